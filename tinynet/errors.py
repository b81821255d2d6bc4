"""The exceptions of tinynet: one small tree.

Every class derives from `TinynetError` and from the built-in exception that a user of NumPy or PyTorch would
expect: both ``except tinynet.errors.ShapeError`` and ``except ValueError`` work.  A message has one form::

    operation: argument must be <expected>; got <received>

Options that tinynet does not support raise the built-in `NotImplementedError`, which names the option.
"""

from __future__ import annotations


class TinynetError(Exception):
    """Base of all errors that tinynet raises on purpose."""


class ShapeError(TinynetError, ValueError):
    """Shapes that do not fit each other or the operation."""


class ArgumentError(TinynetError, ValueError):
    """A value outside what the operation accepts: a label, a probability, an axis, an option's name."""


class DTypeError(TinynetError, TypeError):
    """An argument of the wrong type or dtype."""


class GraphError(TinynetError, RuntimeError):
    """A backward pass that cannot be done: freed graph, changed saved value, no gradient to start from."""


class DataError(TinynetError, RuntimeError):
    """A data set or checkpoint file that is missing, damaged, or does not fit."""


class DivergenceError(TinynetError, ArithmeticError):
    """A training whose loss is no finite number any more, so that nothing can come of going on.

    Parameters
    ----------
    message : str
        What is said.
    step : int
        The step, counted from 1, whose loss is not finite; an attribute too.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[str, int]]:
        return type(self), (str(self), self.step)  # else it cannot leave a pool of processes
