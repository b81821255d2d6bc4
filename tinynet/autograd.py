"""Automatic differentiation beyond `Tensor.backward`: gradients of chosen tensors, operations of your own,
and finding where a gradient went wrong."""

from __future__ import annotations

from types import TracebackType

from tinynet import _check
from tinynet._function import Function, FunctionContext
from tinynet._grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tinynet._graph import anomaly_mode, set_anomaly_mode
from tinynet._history import backward, grad
from tinynet.gradcheck import gradcheck

__all__ = [
    "Function",
    "FunctionContext",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is switched on."""
    return bool(anomaly_mode()[0])


class set_detect_anomaly:
    """Look for anomalies from now on, in all threads, or within a ``with`` block.

    While it is on, every recorded operation remembers the line that called it.  If its backward raises, or
    gives a gradient with nan in it, the error names the operation, the argument and that line.  Costs about a
    microsecond per operation and a pass over every gradient.

    Parameters
    ----------
    mode : bool
    check_nan : bool, default True
        Whether nan in a gradient is an error.

    Raises
    ------
    DTypeError
        If an argument is not a bool.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.tensor([0.0], requires_grad=True)
    >>> with tn.autograd.set_detect_anomaly(True):
    ...     y = (x * 0.0).sqrt() * 0.0
    ...     y.backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tinynet.errors.GraphError: backward: sqrt gave nan in the gradient of its argument input, of shape (1,)
    its forward: File ...
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        _check.boolean("set_detect_anomaly", "mode", mode)
        _check.boolean("set_detect_anomaly", "check_nan", check_nan)
        self._former = anomaly_mode()
        set_anomaly_mode(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        set_anomaly_mode(*self._former)


class detect_anomaly:
    """Look for anomalies within a ``with`` block: see `set_detect_anomaly`.

    Parameters
    ----------
    check_nan : bool, default True
        Whether nan in a gradient is an error.

    Raises
    ------
    DTypeError
        If `check_nan` is not a bool.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = _check.boolean("detect_anomaly", "check_nan", check_nan)
        self._former: list[tuple[bool, bool]] = []  # one for each time that the block was entered

    def __enter__(self) -> None:
        self._former.append(anomaly_mode())
        set_anomaly_mode(True, self._check_nan)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        set_anomaly_mode(*self._former.pop())
