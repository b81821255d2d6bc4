"""From samples to a batch: `default_collate` stacks them, `default_convert` makes Tensors of arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from tinynet._tensor import Tensor, from_numpy
from tinynet.errors import ArgumentError, DTypeError, ShapeError

_NUMBERS: dict[type, Any] = {float: np.float32, int: np.int64, bool: np.bool_}


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples of one form into a batch.

    Parameters
    ----------
    batch : sequence of B samples
        Arrays or Tensors of equal shape and dtype, numbers, text, or tuples, lists and dicts of these.

    Returns
    -------
    object
        Tensors (B, ...) in the form of a sample: for arrays and Tensors of their dtype, for float (float32,
        the dtype that Python's floats have in tinynet; PyTorch's is float64 here), int (int64) and bool; a
        list for text (str, bytes); tuples (in PyTorch: lists), named tuples, lists and mappings of these, of
        the type of the sample.  Nothing requires a gradient.

    Raises
    ------
    ArgumentError
        If there is no sample.
    ShapeError
        If shapes or forms differ between samples.
    DTypeError
        If a sample is of another kind, None for example.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.data.default_collate([{"x": 1.5, "name": "a"}, {"x": 2.5, "name": "b"}])
    {'x': tensor([1.5, 2.5]), 'name': ['a', 'b']}
    """
    return _collate(batch, "sample")


def default_convert(data: Any) -> Any:
    """Make Tensors of the arrays of a sample, without stacking anything.

    Parameters
    ----------
    data : object
        Arrays, NumPy's numbers, or tuples, lists and mappings of these.

    Returns
    -------
    object
        The same with a Tensor, which shares the memory, for each array or number of NumPy's; all else
        (Tensors, Python's numbers, text) is left as it is.

    Examples
    --------
    >>> import tinynet as tn
    >>> import numpy as np
    >>> tn.data.default_convert([np.arange(2), "a", 3])
    [tensor([0, 1]), 'a', 3]
    """
    if type(data) is tuple:  # the usual batch: the short way
        return tuple([_tensor(part) if type(part) is np.ndarray else default_convert(part) for part in data])
    return _changed(data, _tensor)


def to_arrays(data: Any) -> Any:
    """Make arrays of the Tensors of a batch, in its form."""
    return _changed(data, lambda leaf: leaf.detach().numpy() if isinstance(leaf, Tensor) else leaf)


def _collate(samples: Sequence[Any], place: str) -> Any:
    if not len(samples):
        raise ArgumentError("default_collate: batch must be at least one sample; got none")
    first = samples[0]
    if isinstance(first, (np.ndarray, np.generic, Tensor)):
        arrays = [np.asarray(s.detach().numpy() if isinstance(s, Tensor) else s) for s in samples]
        forms = dict.fromkeys((array.shape, array.dtype.name) for array in arrays)
        if len(forms) > 1:
            (one, one_dtype), (other, other_dtype) = list(forms)[:2]
            raise ShapeError(
                f"default_collate: every {place} must have one shape and dtype; "
                f"got {one} {one_dtype} and {other} {other_dtype}"
            )
        return from_numpy(np.stack(arrays))
    kind = type(first)
    if any(type(sample) is not kind for sample in samples):
        raise ShapeError(
            f"default_collate: every {place} must be a {kind.__name__} as the first one is; got another type"
        )
    if kind in _NUMBERS:
        return from_numpy(np.array(samples, dtype=_NUMBERS[kind]))
    if isinstance(first, (str, bytes)):
        return list(samples)
    if isinstance(first, (tuple, list)):
        if any(len(sample) != len(first) for sample in samples):
            raise ShapeError(
                f"default_collate: every {place} must have {len(first)} parts as the first one has; "
                "got another number"
            )
        parts = zip(*samples, strict=True)
        return _sequence_like(first, [_collate(part, f"{place}[{i}]") for i, part in enumerate(parts)])
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in samples):
            raise ShapeError(f"default_collate: every {place} must have the keys {list(first)}; got others")
        return _mapping_like(
            first, {key: _collate([sample[key] for sample in samples], f"{place}[{key!r}]") for key in first}
        )
    raise DTypeError(
        f"default_collate: every {place} must be array, Tensor, number, str, bytes, tuple, list or dict; "
        f"got {kind.__name__}"
    )


def _changed(data: Any, change: Callable[[Any], Any]) -> Any:
    """Return `data` with every leaf changed: what is no tuple, list or mapping."""
    if isinstance(data, (tuple, list)):
        return _sequence_like(data, [_changed(part, change) for part in data])
    if isinstance(data, Mapping):
        return _mapping_like(data, {key: _changed(part, change) for key, part in data.items()})
    return change(data)


def _tensor(leaf: Any) -> Any:
    if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind not in "SUO":  # text, objects
        return from_numpy(np.asarray(leaf))
    return leaf


def _sequence_like(model: Any, parts: list[Any]) -> Any:
    """Return `parts` in the type of `model`, a tuple, named tuple or list."""
    if hasattr(model, "_fields"):
        return type(model)(*parts)
    return tuple(parts) if isinstance(model, tuple) else parts


def _mapping_like(model: Mapping[Any, Any], entries: dict[Any, Any]) -> Any:
    """Return `entries` in the type of `model`, where that can be made; else as a dict."""
    if type(model) is dict:
        return entries
    if isinstance(model, MutableMapping):
        copied = copy.copy(model)  # keeps what else it holds, such as the factory of a defaultdict
        copied.update(entries)
        return copied
    try:
        return type(model)(entries)  # type: ignore[call-arg]
    except TypeError:
        return entries
