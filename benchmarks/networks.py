"""A network of `benchmarks.architectures` in tinynet and in PyTorch, ready to be trained or looked at.

A step is what a training loop does with one batch: forget the gradients, forward, loss, backward, SGD with
momentum.  Each library is imported by its own function alone, so that a fresh process can be measured with
only one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.architectures import (
    Activation,
    Architecture,
    Arrays,
    Branches,
    Chain,
    Conv,
    Flatten,
    GlobalAverage,
    Layer,
    Linear,
    Norm,
    Pool,
    Residual,
    batch,
    weights,
)

LR, MOMENTUM = 1e-3, 0.9


@dataclass(frozen=True)
class Mode:
    """A way to use PyTorch.

    Attributes
    ----------
    label : str
        Its name in the tables.
    channels_last : bool
        Whether images and filters are channels last in memory; matters to networks of images only.
    sgd : mapping
        Options of its SGD.
    compiled : bool
        Whether the network goes through ``torch.compile``.
    environment : mapping of str to str
        Variables that must be set before the process starts.
    """

    label: str
    channels_last: bool = False
    sgd: Mapping[str, bool] = field(default_factory=dict)
    compiled: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


# glibc gives memory back to the system, page by page, whenever the top of the heap is free, and maps large
# arrays anew each time; with these bounds it keeps what it has.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_MMAP_THRESHOLD_": "8000000000"}

MODES = {
    "eager": Mode("PyTorch"),
    "fused": Mode("PyTorch, fused SGD", sgd={"fused": True}),
    "channels_last": Mode("PyTorch, channels_last, fused SGD", channels_last=True, sgd={"fused": True}),
    "tuned": Mode("PyTorch, best mode, malloc tuned", True, {"fused": True}, environment=KEEP_MEMORY),
    "compiled": Mode("torch.compile, best mode", True, {"fused": True}, compiled=True),
}


@dataclass(frozen=True)
class Trainer:
    """One library's side: `step` makes one update; the others are for checks and for timing parts."""

    step: Callable[[], object]
    forget: Callable[[], object]
    loss: Callable[[], Any]
    update: Callable[[], object]
    gradients: Callable[[], Arrays]


def tinynet_trainer(architecture: Architecture, count: int) -> Trainer:
    """tinynet's side."""
    import tinynet

    return _trainer(tinynet, tinynet_model(architecture), architecture, count, Mode("tinynet"))


def torch_trainer(architecture: Architecture, count: int, mode: str = "channels_last") -> Trainer:
    """PyTorch's side; `mode` is a key of `MODES`."""
    import torch

    return _trainer(torch, torch_model(architecture, MODES[mode]), architecture, count, MODES[mode])


def tinynet_model(architecture: Architecture) -> Any:
    """The network of `tinynet.models` of this name, or one built from the layers, with the fixed weights."""
    import tinynet

    models: dict[str, Callable[[], Any]] = {
        "mnist_mlp": tinynet.models.mnist_mlp,
        "lenet": tinynet.models.lenet,
        "resnet20": lambda: tinynet.models.resnet(20),
        "bn_inception_small": tinynet.models.bn_inception_small,
        "bn_inception": tinynet.models.bn_inception,
    }
    make = models.get(architecture.name, lambda: build(tinynet, architecture.layers))
    return with_weights(tinynet, make(), architecture)


def torch_model(architecture: Architecture, mode: Mode) -> Any:
    """The network in PyTorch with the fixed weights, as the mode wants it."""
    import torch

    model = with_weights(torch, build(torch, architecture.layers), architecture)
    if mode.channels_last and len(architecture.shape) == 3:
        model = model.to(memory_format=torch.channels_last)
    return torch.compile(model) if mode.compiled else model


def build(library: Any, layers: Chain) -> Any:
    """The chain as a Sequential: the same source for both libraries, as tinynet's names are PyTorch's."""
    nn = library.nn

    class Joined(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, branches: list[Any]) -> None:
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x: Any) -> Any:
            return library.cat([branch(x) for branch in self.branches], 1)

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, body: Any, stride: int, extra: int) -> None:
            super().__init__()
            self.body, self.stride, self.extra = body, stride, extra

        def forward(self, x: Any) -> Any:
            y = self.body(x)
            if self.extra:
                x = x[:, :, :: self.stride, :: self.stride]
                x = nn.functional.pad(x, (0, 0, 0, 0, 0, self.extra))
            return nn.functional.relu(y + x)

    def module(layer: Layer) -> list[Any]:
        match layer:
            case Linear(inputs, outputs, bias):
                return [nn.Linear(inputs, outputs, bias=bias)]
            case Conv(inputs, outputs, kernel, stride, padding, groups, bias):
                return [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)]
            case Norm(features, images):
                return [(nn.BatchNorm2d if images else nn.BatchNorm1d)(features)]
            case Activation("relu"):
                return [nn.ReLU(inplace=True)]
            case Activation():
                return [nn.Sigmoid()]
            case Pool("max", kernel, stride, padding, ceil):
                return [nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)]
            case Pool(_, kernel, stride, padding, ceil):
                return [nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil)]
            case GlobalAverage():
                return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            case Flatten():
                return [nn.Flatten()]
            case Branches(branches):
                return [Joined([build(library, branch) for branch in branches])]
            case Residual(body, stride, extra):
                return [Block(build(library, body), stride, extra)]

    return nn.Sequential(*(made for layer in layers for made in module(layer)))


def with_weights(library: Any, model: Any, architecture: Architecture) -> Any:
    """The model, with the fixed weights in it."""
    with library.no_grad():
        for parameter, array in zip(model.parameters(), weights(architecture), strict=True):
            parameter.copy_(library.from_numpy(array))
    return model


def _trainer(library: Any, model: Any, architecture: Architecture, count: int, mode: Mode) -> Trainer:
    """The same source for both libraries."""
    parameters = list(model.parameters())
    data = batch(architecture, count)
    x, y = library.from_numpy(data.x), library.from_numpy(data.y)
    if len(architecture.shape) == 3 and not mode.channels_last and library.__name__ == "torch":
        x = x.contiguous()
    loss_function = library.nn.CrossEntropyLoss()
    optimizer = library.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, **mode.sgd)

    def loss() -> Any:
        return loss_function(model(x), y)

    def step() -> None:
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()

    def gradients() -> Arrays:
        return [parameter.grad.numpy() for parameter in parameters]

    return Trainer(step, optimizer.zero_grad, loss, optimizer.step, gradients)


def set_threads(library: str, count: int) -> None:
    """Let the library ("tinynet" or "torch") use so many threads."""
    if library == "torch":
        import torch

        torch.set_num_threads(count)
    else:
        import tinynet

        tinynet.set_num_threads(count)


def trainer(library: str, architecture: Architecture, count: int, mode: str = "channels_last") -> Trainer:
    """The trainer of one of the two libraries; `mode` is PyTorch's."""
    if library == "torch":
        return torch_trainer(architecture, count, mode)
    return tinynet_trainer(architecture, count)
