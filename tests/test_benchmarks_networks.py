"""The networks of the benchmarks: counts, shapes, weights, and that all libraries train the same one."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # at the end: an installed tinynet stays ahead of the folder of sources

from benchmarks import architectures, networks, steps  # noqa: E402
from benchmarks.architectures import ARCHITECTURES, Conv, GlobalAverage, Linear, Pool, mlp  # noqa: E402
from benchmarks.report import BenchmarkError  # noqa: E402

NAMES = tuple(ARCHITECTURES)


def counted(model: Any, shape: tuple[int, ...]) -> list[int]:
    """Multiplications and additions of each convolution and linear layer, from a real forward's shapes."""
    found: list[int] = []

    def look(module: Any, args: Any, output: Any) -> None:
        found.append(2 * output.numel() * math.prod(module.weight.shape[1:]))

    for module in model.modules():
        if isinstance(module, tn.nn.Linear | tn.nn.Conv2d):
            module.register_forward_hook(look)
    with tn.no_grad():
        model.eval()(tn.zeros(1, *shape))
    return found


class TestCounts:
    # Of the MLP by hand: 2 (784 100 + 100 100 + 100 100 + 100 10).  Of resnet20: the 40.55 million
    # multiply-adds that are usually stated.
    @pytest.mark.parametrize(("name", "flops"), [("mnist_mlp", 198_800), ("resnet20", 81_102_080)])
    def test_known_numbers(self, name, flops):
        assert sum(architectures.forward_flops(ARCHITECTURES[name])) == flops

    @pytest.mark.parametrize("name", NAMES)
    def test_as_many_as_the_network_of_tinynet_has(self, name):
        architecture = ARCHITECTURES[name]
        found = counted(networks.tinynet_model(architecture), architecture.shape)
        assert sorted(found) == sorted(architectures.forward_flops(architecture))

    def test_training_leaves_out_the_gradient_of_the_images(self):
        # layers 784 100, 100 100, 100 100, 100 10: forward and gw of all, gx of all but the first
        assert architectures.training_flops(ARCHITECTURES["mnist_mlp"]) == 2 * (2 * 99_400 + 21_000)
        assert architectures.training_flops(mlp((4, 3, 2))) == 2 * (2 * (12 + 6) + 6)

    @pytest.mark.parametrize("name", NAMES)
    def test_parameters_are_those_of_tinynet(self, name):
        shapes = [shape for _, shape in architectures.parameters(ARCHITECTURES[name])]
        made = networks.tinynet_model(ARCHITECTURES[name])
        assert shapes == [parameter.shape for parameter in made.parameters()]
        for parameter, array in zip(
            made.parameters(), architectures.weights(ARCHITECTURES[name]), strict=True
        ):
            np.testing.assert_array_equal(parameter.detach().numpy(), array)

    @pytest.mark.parametrize(
        ("layer", "shape", "after"),
        [
            (Linear(5, 7), (5,), (7,)),
            (Conv(3, 8, 3, 1, 1), (3, 9, 8), (8, 9, 8)),
            (Conv(3, 8, 7, 2, 3), (3, 224, 225), (8, 112, 113)),
            (Pool("max", 3, 2), (4, 28, 29), (4, 13, 14)),
            (Pool("max", 3, 2, ceil=True), (4, 28, 29), (4, 14, 14)),
            (Pool("avg", 3, 1, 1), (4, 5, 6), (4, 5, 6)),
            (GlobalAverage(), (4, 5, 6), (4,)),
        ],
    )
    def test_shapes(self, layer, shape, after):
        assert architectures.shape_after(layer, shape) == after


class TestNetworks:
    def test_weights_are_drawn_by_their_kind(self):
        architecture = ARCHITECTURES["bn_inception_small"]
        drawn = zip(architectures.parameters(architecture), architectures.weights(architecture), strict=True)
        for (kind, shape), array in drawn:
            assert array.dtype == np.float32
            middle = 1 if kind == "gamma" else 0
            spread = math.sqrt(2 / math.prod(shape[1:])) if kind == "weight" else 0.1
            assert array.mean() == pytest.approx(middle, abs=5 * spread / math.sqrt(array.size))
            assert array.std() == pytest.approx(spread, rel=5 / math.sqrt(array.size))

    @pytest.mark.parametrize("name", ["lenet", "resnet20", "bn_inception_small"])
    def test_built_from_the_layers_it_is_the_network_of_tinynet_models(self, name):
        architecture = ARCHITECTURES[name]
        x = tn.from_numpy(architectures.batch(architecture, 2).x)
        built = networks.with_weights(tn, networks.build(tn, architecture.layers), architecture)
        scores, expected = built(x), networks.tinynet_model(architecture)(x)
        np.testing.assert_allclose(scores.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-4)

    def test_batches_are_channels_last_and_always_the_same(self):
        first, second = (architectures.batch(ARCHITECTURES["resnet20"], 3) for _ in range(2))
        assert first.x.shape == (3, 3, 32, 32)
        assert first.x.transpose(0, 2, 3, 1).flags.c_contiguous
        np.testing.assert_array_equal(first.x, second.x)
        assert set(first.y) <= set(range(10))

    def test_the_step_learns(self):
        trainer = networks.tinynet_trainer(mlp((8, 4, 4, 3)), 6)
        before = trainer.loss().item()
        for _ in range(200):
            trainer.step()
        assert trainer.loss().item() < before
        assert [gradient.shape for gradient in trainer.gradients()][:3] == [(4, 8), (4,), (4,)]


class TestCheck:
    @staticmethod
    def side(loss: float, slope: float) -> tuple[float, list[np.ndarray]]:
        return loss, [np.ones(3, np.float32), np.full(2, slope, np.float32)]

    def test_differences(self):
        loss, together, worst = steps.check(
            "n", "x", self.side(1.5, 1.25), self.side(1.0, 1.0), steps.Tolerance(1, 1, 1)
        )
        assert loss == 0.5
        assert together == pytest.approx(math.sqrt(2 * 0.0625 / 5))
        assert worst == pytest.approx(0.25)

    @pytest.mark.parametrize(("loss", "slope"), [(1.001, 1.0), (1.0, 1.01), (math.nan, 1.0), (1.0, math.nan)])
    def test_nothing_is_timed_if_the_libraries_disagree(self, loss, slope):
        message = "^mnist_mlp: tinynet and PyTorch must agree before they are timed; their losses differ by "
        with pytest.raises(BenchmarkError, match=message):
            steps.check("mnist_mlp", "PyTorch", self.side(loss, slope), self.side(1.0, 1.0), steps.SMOOTH)


@pytest.mark.parity
@pytest.mark.parametrize(("name", "count"), [("mnist_mlp", 60), ("lenet", 4), ("resnet20", 2)])
@pytest.mark.parametrize("mode", ["eager", "channels_last"])
def test_pytorch_trains_the_same(name, count, mode):
    architecture = ARCHITECTURES[name]
    ours, theirs = (
        steps.loss_and_gradients(side)
        for side in (
            networks.tinynet_trainer(architecture, count),
            networks.torch_trainer(architecture, count, mode),
        )
    )
    steps.check(name, mode, ours, theirs, steps.KINKED)


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")
@pytest.mark.parametrize(("name", "count"), [("mnist_mlp", 60), ("bn_inception_small", 2)])
def test_jax_trains_the_same(name, count):
    from benchmarks.worker import Worker  # in its own process: JAX's threads and fork do not go together

    ours = steps.loss_and_gradients(networks.tinynet_trainer(ARCHITECTURES[name], count))
    with Worker("jax", name, count, 1) as worker:
        steps.check(name, "JAX", ours, worker.check(), steps.KINKED)
