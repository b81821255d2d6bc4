"""What the layers of a network take, give and are told in backward; and a network that is left as it was.

The diagnostics of this package look into networks that belong to someone else.  They choose layers by
`chosen_layers`, look with `record_layers` or `watched`, and do all else inside `untouched`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet._hooks import RemovableHandle
from tinynet._tensor import Tensor, no_grad, tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.conv import _Convolution, _ConvTranspose
from tinynet.nn.linear import Linear
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm
from tinynet.random import default_generator

Array = npt.NDArray[Any]
Loss = Callable[[Tensor, Tensor], Tensor]
Layers = str | type[Module] | Iterable[str | type[Module]]
See = Callable[[str, Tensor], object]  # the name of a layer, what it takes or gives

WEIGHT_LAYERS: tuple[type[Module], ...] = (_Convolution, _ConvTranspose, Linear)
_LISTED = 6  # names that an error shows


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One call of a layer.

    Attributes
    ----------
    input : numpy.ndarray or None
        Its first argument.
    output : numpy.ndarray or None
        What it returned.
    grad_output : numpy.ndarray or None
        The gradient of the loss with respect to the output, of the output's shape.

    Each is a copy, of the layer's dtype; None where it was not asked for or has not come.
    """

    input: Array | None = None
    output: Array | None = None
    grad_output: Array | None = None


@contextmanager
def record_layers(
    model: Module, layers: Layers | None = None, *, inputs: bool = False, gradients: bool = False
) -> Iterator[dict[str, LayerRecord]]:
    """Record the latest call of every chosen layer during a ``with`` block.

    The values are those at the time of the call: what works in place on them later changes no record.  The
    gradient of an output is complete when backward has passed it, and is that of the latest backward.

    Parameters
    ----------
    model : Module
        The network, used in the block as it is.
    layers : str, type, or iterable of them, optional
        Dotted names as in `Module.named_modules` ("" is `model` itself), and classes, which stand for all
        layers of theirs.  By default every convolution (transposed, too) and `Linear`.
    inputs : bool, default False
        Whether inputs are recorded, too.
    gradients : bool, default False
        Whether gradients of outputs are recorded, too.

    Yields
    ------
    dict of str to LayerRecord
        Under the dotted name of each layer, in the network's order; it fills as the network is used, and
        keeps what it holds after the block.  A module that is called several times, as one under several
        names is, has its latest call here.

    Raises
    ------
    ArgumentError
        If there is no layer of a name or class, or `layers` is empty.
    DTypeError
        If an argument is of another kind, or a chosen layer takes or returns no Tensor.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(4, 3), tn.nn.ReLU(), tn.nn.Linear(3, 2))
    >>> with tn.bn.record_layers(model, gradients=True) as seen:
    ...     model(tn.ones(5, 4)).sum().backward()
    >>> seen["0"].output.shape, seen["2"].grad_output.mean()
    ((5, 3), np.float32(1.0))
    """
    owner = "record_layers"
    chosen = chosen_layers(owner, model, layers)
    inputs = _check.boolean(owner, "inputs", inputs)
    gradients = _check.boolean(owner, "gradients", gradients)
    records = {name: LayerRecord() for name in chosen}
    handles: dict[str, RemovableHandle] = {}

    def forget(name: str) -> None:
        former = handles.pop(name, None)
        if former is not None:
            former.remove()  # the gradient of an earlier call no longer counts

    def keep_input(name: str, x: Tensor) -> None:
        forget(name)  # here, too: the call may fail
        records[name] = LayerRecord(input=_copied(x))

    def keep_output(name: str, y: Tensor) -> None:
        forget(name)
        records[name] = LayerRecord(input=records[name].input, output=_copied(y))
        if gradients and y.requires_grad:
            handles[name] = y.register_hook(lambda gradient: keep_gradient(name, gradient))

    def keep_gradient(name: str, gradient: Tensor) -> None:
        records[name] = replace(records[name], grad_output=_copied(gradient))

    try:
        with watched(owner, chosen, inputs=keep_input if inputs else None, outputs=keep_output):
            yield records
    finally:
        for handle in handles.values():
            handle.remove()


@contextmanager
def untouched(model: Module) -> Iterator[None]:
    """Leave a network as it was, whatever is done to it in a ``with`` block.

    Restored at the end are the values of all parameters and buffers (running statistics are buffers), the
    gradients, the training flags, `requires_grad`, the hooks of all modules, and the state of the default
    generator.  Inside the block there are no gradients at first, so that those which arise there are its own.
    What was computed before can still go backward, unless the block changed values that it needs.

    Parameters
    ----------
    model : Module
        The network.  Its modules, and the shapes and dtypes of its tensors, must stay.

    Raises
    ------
    DTypeError
        If `model` is no Module.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.BatchNorm1d(3)
    >>> with tn.bn.untouched(layer):
    ...     y = layer(tn.randn(5, 3))
    >>> layer.running_mean
    tensor([0., 0., 0.])
    """
    check_model("untouched", model)
    modules = list(model.modules())
    flags = [module.training for module in modules]
    hooks = [{name: dict(own) for name, own in _hooks_of(module)} for module in modules]
    tensors = [*model.parameters(), *model.buffers()]
    saved = [(each, each.detach().numpy().copy(), each.requires_grad, each.grad) for each in tensors]
    state = default_generator.get_state()
    for each in tensors:
        each.grad = None
    try:
        yield
    finally:
        for each, values, wanted, gradient in saved:
            # A write, even of the same values, would forbid the backward of what was computed before.
            if each.detach().numpy().tobytes() != values.tobytes():
                with no_grad():
                    each.copy_(tensor(values))
            if each.requires_grad != wanted:
                each.requires_grad = wanted
            each.grad = gradient
        for module, training, own in zip(modules, flags, hooks, strict=True):
            module.training = training
            for name, current in _hooks_of(module):
                current.clear()
                current.update(own[name])
            module._hooks_changed()
        default_generator.set_state(state)


def _hooks_of(module: Module) -> Iterator[tuple[str, dict[int, Any]]]:
    """The dictionaries of a module's hooks, by name."""
    return ((name, own) for name, own in module.__dict__.items() if name.endswith("_hooks"))


# ---- what the other diagnostics share ---------------------------------------------------------------------


def check_model(owner: str, model: Any) -> None:
    """Insist on a Module."""
    if not isinstance(model, Module):
        raise DTypeError(f"{owner}: model must be a Module; got {type(model).__name__}")


def chosen_layers(
    owner: str, model: Any, layers: Layers | None, default: tuple[type[Module], ...] = WEIGHT_LAYERS
) -> dict[str, Module]:
    """The layers that `layers` (see `record_layers`) chooses, by dotted name, in the network's order.

    None chooses all layers of the classes in `default`.  ArgumentError if a name, or a class, finds nothing.
    """
    check_model(owner, model)
    wanted: tuple[Any, ...]
    if layers is None:
        wanted = default
    elif isinstance(layers, Iterable) and not isinstance(layers, (str, type)):
        wanted = tuple(layers)
    else:
        wanted = (layers,)
    kinds = tuple(each for each in wanted if isinstance(each, type) and issubclass(each, Module))
    names = [each for each in wanted if isinstance(each, str)]
    if len(kinds) + len(names) != len(wanted):
        raise DTypeError(f"{owner}: layers must be names or classes of modules; got {layers!r}")
    every: dict[str, Module] = dict(model.named_modules(remove_duplicate=False))
    unknown = [name for name in names if name not in every]
    if unknown:
        listed = ", ".join(map(repr, list(every)[:_LISTED])) + (", ..." if len(every) > _LISTED else "")
        raise ArgumentError(f"{owner}: layers must be of the network ({listed}); got {unknown[0]!r}")
    absent = [kind for kind in kinds if not any(isinstance(module, kind) for module in every.values())]
    if absent and (layers is not None or absent == list(default)):
        listed = ", ".join(kind.__name__.lstrip("_") for kind in absent)
        raise ArgumentError(f"{owner}: model must have layers of the classes asked for; got no {listed}")
    of_kinds = {name for name, module in model.named_modules() if isinstance(module, kinds)}
    if not names and not of_kinds:
        raise ArgumentError(f"{owner}: layers must choose at least one; got {layers!r}")
    return {name: module for name, module in every.items() if name in names or name in of_kinds}


@contextmanager
def watched(
    owner: str, layers: Mapping[str, Module], *, inputs: See | None = None, outputs: See | None = None
) -> Iterator[None]:
    """Call ``inputs(name, x)`` before and ``outputs(name, y)`` after every forward of the layers."""

    def before(name: str, see: See) -> Callable[..., None]:
        def hook(_module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            see(name, _tensor("take", name, args[0] if args else next(iter(kwargs.values()), None)))

        return hook

    def after(name: str, see: See) -> Callable[..., None]:
        def hook(_module: Module, _args: tuple[Any, ...], output: Any) -> None:
            see(name, _tensor("return", name, output))

        return hook

    def _tensor(what: str, name: str, value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            raise DTypeError(f"{owner}: layer {name!r} must {what} a Tensor; got {type(value).__name__}")
        return value

    handles: list[RemovableHandle] = []
    try:
        for name, layer in layers.items():
            if inputs is not None:
                handles.append(layer.register_forward_pre_hook(before(name, inputs), with_kwargs=True))
            if outputs is not None:
                handles.append(layer.register_forward_hook(after(name, outputs)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def as_tensor(owner: str, name: str, value: Any) -> Tensor:
    """A Tensor or array as a Tensor that collects no gradient."""
    if isinstance(value, np.ndarray):
        return tensor(value)
    if not isinstance(value, Tensor):
        raise DTypeError(f"{owner}: {name} must be a Tensor or array; got {type(value).__name__}")
    return value.detach()


_DTYPES = {"real numbers": "fiub", "integers": "iu"}  # what each is called -> NumPy's kinds


def as_array(owner: str, name: str, value: Any, of: str = "real numbers") -> Array:
    """A Tensor or array of real numbers, or of integers, as an array that may share its memory."""
    array = value.detach().numpy() if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray) or array.dtype.kind not in _DTYPES[of]:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise DTypeError(f"{owner}: {name} must be a Tensor or array of {of}; got {kind}")
    return array


def check_batches(owner: str, batches: Any) -> None:
    """Insist on what can be a series of batches."""
    if not isinstance(batches, Iterable) or isinstance(batches, (str, bytes, Mapping)):
        raise DTypeError(f"{owner}: batches must be an iterable of batches; got {type(batches).__name__}")


def batch_input(owner: str, batch: Any) -> Tensor:
    """The network's input in a batch: the batch itself, or the first entry of a tuple or list."""
    if isinstance(batch, (tuple, list)):
        if not batch:
            raise ArgumentError(f"{owner}: a batch must hold an input; got an empty one")
        batch = batch[0]
    if isinstance(batch, np.ndarray):
        return tensor(batch)
    if not isinstance(batch, Tensor):
        raise DTypeError(f"{owner}: a batch must be a Tensor, array or tuple; got {type(batch).__name__}")
    return batch


def check_loss(owner: str, loss: Any) -> None:
    """Insist on a function."""
    if not callable(loss):
        raise DTypeError(f"{owner}: loss must be callable; got {type(loss).__name__}")


def by_batch(layer: _BatchNorm) -> bool:
    """Whether a batch normalisation, in its mode, normalises by the batch and not by running statistics."""
    return (layer.training and not layer.frozen) or layer.running_mean is None


def one_loss(owner: str, value: Any) -> Tensor:
    """What a loss returned, which must be one number."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        received = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
        raise DTypeError(f"{owner}: loss must return a tensor of one number; got {received}")
    return value


def loss_to_train(owner: str, value: Any) -> Tensor:
    """What a loss returned, which must be one number that a backward can begin at."""
    number = one_loss(owner, value)
    if not number.requires_grad:
        raise ArgumentError(f"{owner}: loss must depend on parameters to train; got one that does not")
    return number


def _copied(x: Tensor) -> Array:
    return np.array(x.detach().numpy())
