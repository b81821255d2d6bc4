"""Modules that hold parameters in a list or a mapping, registered by position or key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

import numpy as np

from tinynet._tensor import Tensor
from tinynet.errors import DTypeError
from tinynet.nn.container import pairs_of, position
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter


class ParameterList(Module):
    """Parameters in a list.

    Parameters
    ----------
    values : iterable of Parameter, Tensor or numpy.ndarray, optional
        Named "0", "1", ...; what is not a `Parameter` is made one, sharing its memory.

    Raises
    ------
    DTypeError
        If an element is none of the three, or not of a floating dtype.

    Examples
    --------
    >>> import tinynet as tn
    >>> weights = tn.nn.ParameterList([tn.ones(2), tn.zeros(3)])
    >>> [w.shape for w in weights], list(weights.state_dict())
    ([(2,), (3,)], ['0', '1'])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)

    def _held(self) -> list[Parameter]:
        return [parameter for parameter in self._parameters.values() if parameter is not None]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._held())

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...
    def __getitem__(self, index: int | slice) -> Parameter | ParameterList:
        """The parameter at `index`; for a slice a new `ParameterList` of the same parameters."""
        if isinstance(index, slice):
            return ParameterList(self._held()[index])
        return self._held()[position("ParameterList", index, len(self))]

    def __setitem__(self, index: int, value: Any) -> None:
        name = str(position("ParameterList", index, len(self)))
        setattr(self, name, _parameter("ParameterList", value))

    def append(self, value: Any) -> ParameterList:
        """Add the parameter `value` at the end; return this list."""
        self.register_parameter(str(len(self)), _parameter("ParameterList.append", value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Append all of `values`; return this list."""
        if isinstance(values, (Tensor, np.ndarray)):
            raise DTypeError(
                f"ParameterList.extend: values must be an iterable of parameters; got {type(values).__name__}"
            )
        for parameter in [_parameter("ParameterList.extend", each) for each in values]:
            self.append(parameter)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def extra_repr(self) -> str:
        """A line for each parameter."""
        return "\n".join(f"({i}): {_described(p)}" for i, p in enumerate(self))


class ParameterDict(Module):
    """Parameters by name, in the order in which they were put in.

    Parameters
    ----------
    parameters : mapping of str to Parameter, Tensor or numpy.ndarray, or iterable of pairs, optional
        What is not a `Parameter` is made one, sharing its memory.  A plain dict keeps its order (PyTorch
        sorts its keys).

    Raises
    ------
    DTypeError
        If a value is none of the three, or not of a floating dtype, or a key is no string.
    ArgumentError
        If a key is empty, holds a dot, or is an attribute of the class ("keys", "training").

    Examples
    --------
    >>> import tinynet as tn
    >>> scales = tn.nn.ParameterDict({"left": tn.ones(2), "right": tn.zeros(2)})
    >>> list(scales.state_dict()), scales["right"].tolist()
    (['left', 'right'], [0.0, 0.0])
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Parameter:
        parameter = self._parameters[key]
        assert parameter is not None  # nothing puts a None in
        return parameter

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _parameter("ParameterDict", value))

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def clear(self) -> None:
        """Remove all parameters."""
        for key in list(self._parameters):
            delattr(self, key)

    def pop(self, key: str) -> Parameter:
        """Remove the parameter named `key` and return it; KeyError if there is none."""
        parameter = self[key]
        delattr(self, key)
        return parameter

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter named `key`, or `default`."""
        parameter = self._parameters.get(key)
        return default if parameter is None else parameter

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Iterable[Parameter]:
        """The parameters."""
        return [self[key] for key in self]

    def items(self) -> Iterable[tuple[str, Parameter]]:
        """Pairs of name and parameter."""
        return [(key, self[key]) for key in self]

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Put in, or replace, the parameters of a mapping or of pairs (name, parameter), in their order."""
        pairs = pairs_of("ParameterDict.update", parameters)
        for key, parameter in [(key, _parameter("ParameterDict", value)) for key, value in pairs]:
            self[key] = parameter

    def extra_repr(self) -> str:
        """A line for each parameter."""
        return "\n".join(f"({key}): {_described(p)}" for key, p in self.items())


def _parameter(operation: str, value: object) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, (Tensor, np.ndarray)):
        raise DTypeError(
            f"{operation}: every value must be a Parameter or Tensor; got {type(value).__name__}"
        )
    return Parameter(value)


def _described(parameter: Parameter) -> str:
    size = "x".join(map(str, parameter.shape))
    return f"Parameter containing: [{parameter.dtype} of size {size}]"
