"""The convolutional network that is timed, in both libraries: the downscaled BN-Inception.

tinynet's side is `tinynet.models.bn_inception_small`; PyTorch's is the same network, channels last in
memory, its best layout on a CPU, from the same weights.  Each library is imported by its own function alone,
so that a fresh process can be measured with only one of them.

    python -m benchmarks.images tinynet|torch BATCH

is such a fresh process: five training steps, then the peak of its resident memory in bytes.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from benchmarks.footprint import peak_of_this_process
from benchmarks.networks import LR, MOMENTUM, TORCH_MODES, Arrays, Batch, Trainer

CLASSES = 10


def batch(count: int) -> Batch:
    """Fixed random images (N, 3, 32, 32), channels last in memory, and labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, 32, 32, 3), dtype=np.float32).transpose(0, 3, 1, 2)
    return Batch(x, rng.integers(0, CLASSES, count, dtype=np.int64))


def weights(shapes: list[tuple[int, ...]]) -> Arrays:
    """One array per parameter: filters and matrices from N(0, 2 / fan_in), gammas near 1, betas near 0."""
    rng = np.random.default_rng(1)
    arrays: Arrays = []
    vectors = 0
    for shape in shapes:
        x = rng.standard_normal(shape, dtype=np.float32)
        if len(shape) > 1:
            arrays.append(x * np.float32(np.sqrt(2.0 / np.prod(shape[1:]))))
        else:
            arrays.append(x * np.float32(0.1) + np.float32(1 - vectors % 2))
            vectors += 1
    return arrays


def tinynet_trainer(count: int) -> Trainer:
    """tinynet's side."""
    import tinynet

    return _trainer(tinynet, tinynet.models.bn_inception_small(CLASSES), count, {})


def torch_trainer(count: int, mode: str = "fused") -> Trainer:
    """PyTorch's side, in eager mode; `mode` is the implementation of its SGD, a key of `TORCH_MODES`."""
    import torch

    model = torch_model(torch).to(memory_format=torch.channels_last)
    return _trainer(torch, model, count, TORCH_MODES[mode])


def torch_model(torch: Any) -> Any:
    """The network in PyTorch; its parameters stand in the order of tinynet's."""
    nn = torch.nn

    class Parallel(nn.Module):  # type: ignore[misc, name-defined]
        """Branches side by side, joined along the channels."""

        def __init__(self, *branches: Any) -> None:
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x: Any) -> Any:
            return torch.cat([branch(x) for branch in self.branches], 1)

    def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[Any]:
        return [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]

    def module(inputs: int, one: int, r3: int, n3: int, rd: int, nd: int, projected: int, pool: Any) -> Any:
        return Parallel(
            nn.Sequential(*conv(inputs, one, 1)),
            nn.Sequential(*conv(inputs, r3, 1), *conv(r3, n3, 3)),
            nn.Sequential(*conv(inputs, rd, 1), *conv(rd, nd, 3), *conv(nd, nd, 3)),
            nn.Sequential(pool, *conv(inputs, projected, 1)),
        )

    def reduction(inputs: int, r3: int, n3: int, rd: int, nd: int) -> Any:
        return Parallel(
            nn.Sequential(*conv(inputs, r3, 1), *conv(r3, n3, 3, 2)),
            nn.Sequential(*conv(inputs, rd, 1), *conv(rd, nd, 3), *conv(nd, nd, 3, 2)),
            nn.MaxPool2d(3, 2, 1),
        )

    return nn.Sequential(
        *conv(3, 64, 3),
        module(64, 32, 32, 48, 32, 48, 32, nn.AvgPool2d(3, 1, 1)),
        reduction(160, 48, 64, 32, 48),
        module(272, 80, 64, 96, 48, 64, 48, nn.AvgPool2d(3, 1, 1)),
        reduction(288, 64, 96, 48, 64),
        module(448, 112, 96, 160, 64, 96, 64, nn.MaxPool2d(3, 1, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(432, CLASSES),
    )


def _trainer(library: Any, model: Any, count: int, mode: dict[str, bool]) -> Trainer:
    """The same source for both: tinynet's names are PyTorch's."""
    parameters = list(model.parameters())
    with library.no_grad():
        for parameter, array in zip(parameters, weights([tuple(p.shape) for p in parameters]), strict=True):
            parameter.copy_(library.from_numpy(array))
    data = batch(count)
    x, y = library.from_numpy(data.x), library.from_numpy(data.y)
    loss_function = library.nn.CrossEntropyLoss()
    optimizer = library.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, **mode)

    def loss() -> Any:
        return loss_function(model(x), y)

    def step() -> None:
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()

    def gradients() -> Arrays:
        return [parameter.grad.numpy() for parameter in parameters]

    return Trainer(step, optimizer.zero_grad, loss, optimizer.step, gradients)


def main(library: str, count: int) -> None:
    """Five steps with one library, then VmHWM."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        trainer = torch_trainer(count)
    else:
        import tinynet

        tinynet.set_num_threads(threads)
        trainer = tinynet_trainer(count)
    for _ in range(5):
        trainer.step()
    print(peak_of_this_process())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
