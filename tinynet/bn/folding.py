"""Batch normalisation folded into the layer before it (Ioffe & Szegedy 2015, Algorithm 2, line 11).

With the statistics fixed, batch normalisation is an affine map of each channel, and a linear layer or a
convolution in front of it is one already.  Of ``y = w * x + b`` followed by
``z = gamma (y - mean) / sqrt(var + eps) + beta`` the two together are ``z = w' * x + b'`` with::

    s  = gamma / sqrt(var + eps)        w' = w s  for each output channel        b' = (b - mean) s + beta
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from tinynet import _check
from tinynet._hooks import RemovableHandle
from tinynet._tensor import Tensor, no_grad, tensor
from tinynet.bn.recording import check_model
from tinynet.creation import full_like
from tinynet.errors import ArgumentError
from tinynet.nn.container import Sequential
from tinynet.nn.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from tinynet.nn.linear import Identity, Linear
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm

Array = np.ndarray[Any, Any]
M = TypeVar("M", bound=Module)

_FEEDING = (Linear, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d)
_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d)


def fold(model: M, example_input: Any = None, *, inplace: bool = False) -> M:
    """Fold every batch normalisation of a network into the layer that feeds it, for evaluation.

    Of a `Linear`, `Conv1d`, `Conv2d`, `ConvTranspose1d` or `ConvTranspose2d` with weight w and bias b,
    followed by a batch normalisation with its running statistics, the two become one layer with::

        s = gamma / sqrt(running_var + eps)      w' = w s      b' = (b - running_mean) s + beta

    computed in float64.  A layer without a bias gains one; the batch normalisation becomes an `Identity`.

    A network is Python code, so which layer feeds which is found out by looking: `example_input` is run
    through it, and a batch normalisation is folded if its input is exactly the output of one such layer and
    nothing else reads that output (another run, in which it is NaN to all others, gives the same result).
    Without an example, neighbours in a `Sequential` are taken, which is all that the networks of
    `tinynet.models` need; a `forward` that takes parts of a Sequential by themselves needs an example.

    What cannot be folded stays and is named in a `UserWarning` with the reason: no such layer in front, an
    output that is used elsewhere, channels on another axis, no running statistics, a layer that is used more
    than once, hooks that see what folding changes.  (A `Linear` in a `Sequential` is taken to work on (N, D);
    with an example it is seen whether it does.)

    Parameters
    ----------
    model : Module
    example_input : Tensor, or tuple of arguments, optional
        What `model` is called with; its values do not matter, one small example will do.
    inplace : bool, default False
        Change `model` itself and set it to evaluation mode, rather than a copy.

    Returns
    -------
    Module
        In evaluation mode, with the outputs that `model` has in evaluation mode, up to rounding.  It is meant
        for inference: in training mode it would not normalise.

    Raises
    ------
    DTypeError
        If `model` is no module, or `inplace` no bool.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, Algorithm 2, line 11.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Conv2d(1, 4, 3, bias=False), tn.nn.BatchNorm2d(4), tn.nn.ReLU())
    >>> folded = tn.bn.fold(model)
    >>> folded[1], folded[0].bias.shape
    (Identity(), (4,))
    >>> x = tn.randn(2, 1, 8, 8)
    >>> tn.allclose(folded(x), model.eval()(x), atol=1e-5)
    True
    """
    check_model("fold", model)
    if not _check.boolean("fold", "inplace", inplace):
        model = copy.deepcopy(model)
    model.eval()
    names = {id(module): name for name, module in model.named_modules()}
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if example_input is None:
        pairs, reasons = _neighbours(model)
    else:
        args = example_input if isinstance(example_input, tuple) else (example_input,)
        pairs, reasons = _traced(model, args)
    for norm, layer in pairs.items():
        _scale(layer, norm)
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child in pairs:
                setattr(parent, name, Identity())
    left = [f"{names[id(norm)]!r} ({reasons[norm]})" for norm in norms if norm not in pairs]
    if left:
        warnings.warn(f"fold: left as they are: {', '.join(left)}", UserWarning, stacklevel=2)
    return model


Pairs = dict[_BatchNorm, Any]  # a batch normalisation -> the layer that feeds it
Reasons = dict[_BatchNorm, str]  # a batch normalisation -> why it stays

_NO_LAYER = "its input is not the output of a linear layer or convolution"
_ELSEWHERE = "the output of the layer before it is used elsewhere"
_SHARED = "it, or the layer before it, is used more than once"
_OTHER_AXIS = "its channels are not those of the layer before it"


def _neighbours(model: Module) -> tuple[Pairs, Reasons]:
    """Pairs that follow each other in a `Sequential`, each registered in one place."""
    pairs: Pairs = {}
    reasons: Reasons = {m: _NO_LAYER for m in model.modules() if isinstance(m, _BatchNorm)}
    times: dict[Module, int] = {}
    for _, module in model.named_modules(remove_duplicate=False):
        times[module] = times.get(module, 0) + 1
    for parent in model.modules():
        if not isinstance(parent, Sequential) or type(parent).forward is not Sequential.forward:
            continue
        modules = list(parent)
        for layer, norm in pairwise(modules):
            if isinstance(norm, _BatchNorm) and isinstance(layer, _FEEDING):
                if times[layer] > 1 or times[norm] > 1:
                    reasons[norm] = _SHARED
                elif reason := _misfit(layer, norm):
                    reasons[norm] = reason
                else:
                    pairs[norm] = layer
    return pairs, reasons


class _Trace:
    """What one forward shows: which layer's output each batch normalisation took, and how often each ran."""

    def __init__(self) -> None:
        self.calls: dict[Module, int] = {}
        # Layer, output, its version; keeps the outputs alive.
        self.made: list[tuple[Module, Tensor, int]] = []
        self.feeds: Pairs = {}
        self.ranks: dict[_BatchNorm, int] = {}

    def after(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        self.calls[module] = self.calls.get(module, 0) + 1
        if not isinstance(module, _BatchNorm):
            self.made.append((module, output, output._version))

    def before(self, norm: _BatchNorm, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0] if args else kwargs["input"]
        for layer, output, version in self.made:
            if output is x and output._version == version:
                self.feeds[norm] = layer
                self.ranks[norm] = x.ndim


def _traced(model: Module, args: tuple[Any, ...]) -> tuple[Pairs, Reasons]:
    """Pairs that a run on `args` shows to belong together."""
    trace = _Trace()
    handles: list[RemovableHandle] = []
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    try:
        for module in model.modules():
            if isinstance(module, (_BatchNorm, *_FEEDING)):
                handles.append(module.register_forward_hook(trace.after, with_kwargs=True))
            if isinstance(module, _BatchNorm):
                handles.append(module.register_forward_pre_hook(trace.before, with_kwargs=True, prepend=True))
        with no_grad():
            expected = [a.copy() for a in _arrays(model(*args))]
    finally:
        for handle in handles:
            handle.remove()
    pairs: Pairs = {}
    reasons: Reasons = {}
    for norm in norms:
        layer = trace.feeds.get(norm)
        if norm not in trace.calls:
            reasons[norm] = "the example did not reach it"
        elif layer is None:
            reasons[norm] = _NO_LAYER
        elif trace.calls[norm] > 1 or trace.calls[layer] > 1:
            reasons[norm] = _SHARED
        elif list(trace.feeds.values()).count(layer) > 1:
            reasons[norm] = _ELSEWHERE
        elif trace.ranks[norm] != layer.weight.ndim:  # of (N, D) or (N, C, ...), channels on axis 1
            reasons[norm] = _OTHER_AXIS
        elif reason := _misfit(layer, norm):
            reasons[norm] = reason
        else:
            pairs[norm] = layer
    if pairs and not _alone(model, args, pairs, expected):
        for norm, layer in list(pairs.items()):
            if not _alone(model, args, {norm: layer}, expected):
                reasons[norm] = _ELSEWHERE
                del pairs[norm]
    return pairs, reasons


def _alone(model: Module, args: tuple[Any, ...], pairs: Pairs, expected: list[Array]) -> bool:
    """Whether nothing but its batch normalisation reads what each layer gives out: a run in which all others
    would read NaN there ends with the same outputs."""
    given: dict[Module, Tensor] = {}
    handles: list[RemovableHandle] = []

    def spoil(layer: Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        given[layer] = output
        return full_like(output, float("nan"))

    def unspoiled(norm: _BatchNorm, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
        return (given[pairs[norm]],), {}

    try:
        for norm, layer in pairs.items():
            handles.append(layer.register_forward_hook(spoil))
            handles.append(norm.register_forward_pre_hook(unspoiled, with_kwargs=True))
        with no_grad():
            found = list(_arrays(model(*args)))
    finally:
        for handle in handles:
            handle.remove()
    return len(found) == len(expected) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True)
    )


def _arrays(output: Any) -> Iterator[Array]:
    """The arrays in what a network returned."""
    if isinstance(output, Tensor):
        yield output.detach().numpy()
    elif isinstance(output, (tuple, list)):
        for each in output:
            yield from _arrays(each)
    elif isinstance(output, Mapping):
        for each in output.values():
            yield from _arrays(each)
    else:
        raise ArgumentError(f"fold: the model must return tensors; got {type(output).__name__}")


def _misfit(layer: Any, norm: _BatchNorm) -> str | None:
    """Why this batch normalisation cannot go into this layer; None if it can."""
    if norm.running_mean is None or norm.running_var is None:
        return "it keeps no running statistics"
    channels = layer.out_features if isinstance(layer, Linear) else layer.out_channels
    if channels != norm.num_features or layer.weight.dtype != norm.running_mean.dtype:
        return _OTHER_AXIS
    if layer._forward_hooks or norm._forward_pre_hooks or norm._forward_hooks:
        return "it, or the layer before it, has hooks"
    return None


def _scale(layer: Any, norm: _BatchNorm) -> None:
    """Give `layer` the weight and bias that include `norm`."""
    mean, var, w = (
        np.asarray(t.detach().numpy(), np.float64)  # type: ignore[union-attr]  # checked in _misfit
        for t in (norm.running_mean, norm.running_var, layer.weight)
    )
    s, b = 1.0 / np.sqrt(var + norm.eps), -mean
    if layer.bias is not None:
        b = layer.bias.detach().numpy() - mean
    if norm.weight is not None:
        s = s * norm.weight.detach().numpy()
    b = b * s
    if norm.bias is not None:
        b = b + norm.bias.detach().numpy()
    if isinstance(layer, _TRANSPOSED):  # (C_in, C_out / groups, ...): a group's output channels on axis 1
        per_group = s.reshape(layer.groups, 1, -1)
        grouped = w.reshape(layer.groups, w.shape[0] // layer.groups, w.shape[1], -1) * per_group[..., None]
        w = grouped.reshape(w.shape)
    else:
        w = w * s.reshape(-1, *(1,) * (w.ndim - 1))
    kind, wanted = type(layer.weight), layer.weight.requires_grad
    dtype = layer.weight.dtype
    layer.weight = kind(tensor(w.astype(dtype)), requires_grad=wanted)
    layer.bias = kind(tensor(b.astype(dtype)), requires_grad=wanted)
