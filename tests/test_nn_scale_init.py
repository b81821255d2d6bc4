"""scale_init of batch normalisation, and InputNorm2d."""

from __future__ import annotations

import copy
import inspect
import math
import pickle

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError


def values(tensor):
    return tensor.detach().numpy()


NORMS = {nn.BatchNorm1d: (16, 3), nn.BatchNorm2d: (8, 3, 2, 2)}


@pytest.mark.parametrize("kind", NORMS)
class TestScaleInit:
    def test_fills_gamma_and_nothing_else(self, kind):
        norm = kind(3, scale_init=0.1, dtype=tn.float64)
        assert values(norm.weight).tolist() == [0.1] * 3
        assert norm.weight.requires_grad
        assert values(norm.bias).tolist() == [0.0] * 3
        assert norm.running_var.tolist() == [1.0] * 3
        assert list(norm.state_dict()) == list(kind(3).state_dict())

    def test_default_is_one(self, kind):
        assert values(kind(3).weight).tolist() == [1.0] * 3
        assert kind(3).scale_init == 1.0

    def test_multiplies_the_output(self, kind, rng):
        x = tn.tensor(rng.standard_normal(NORMS[kind]) * 3 + 1)
        one, half = kind(3, dtype=tn.float64), kind(3, scale_init=0.5, dtype=tn.float64)
        assert np.array_equal(values(half(x)), 0.5 * values(one(x)))

    def test_reset_parameters_goes_back_to_it(self, kind):
        norm = kind(3, scale_init=0.25)
        with tn.no_grad():
            norm.weight.fill_(7)
            norm.bias.fill_(7)
        norm.reset_parameters()
        assert values(norm.weight).tolist() == [0.25] * 3
        assert values(norm.bias).tolist() == [0.0] * 3

    def test_is_seen_where_it_differs_from_one(self, kind):
        assert "scale_init" not in repr(kind(3))
        assert "scale_init" not in repr(kind(3, scale_init=1))
        assert repr(kind(3, scale_init=0.1)).endswith("track_running_stats=True, scale_init=0.1)")
        assert copy.deepcopy(kind(3, scale_init=0.1)).scale_init == 0.1

    def test_travels_with_a_pickle(self, kind):
        norm = pickle.loads(pickle.dumps(kind(3, scale_init=0.25)))
        norm.reset_parameters()
        assert values(norm.weight).tolist() == [0.25] * 3

    def test_layers_pickled_before_there_was_one_start_at_one(self, kind):
        norm = kind(3)
        del norm.__dict__["scale_init"]
        old = pickle.loads(pickle.dumps(norm))
        assert repr(old) == repr(kind(3))
        old.reset_parameters()
        assert values(old.weight).tolist() == [1.0] * 3

    def test_frozen_folded_and_with_population_statistics(self, kind, rng):
        """What the tools of tinynet.bn do with gamma holds for another start, too."""
        first = nn.Linear(4, 3) if kind is nn.BatchNorm1d else nn.Conv2d(4, 3, 1)
        model = nn.Sequential(first, kind(3, scale_init=0.25)).double()
        x = tn.tensor(rng.standard_normal((6, 4) if kind is nn.BatchNorm1d else (6, 4, 2, 2)))
        tn.bn.population_statistics(model, [x])
        tn.bn.freeze(model)
        assert values(model[1].weight).tolist() == [0.25] * 3
        axes = (0,) if x.ndim == 2 else (0, 2, 3)
        want = values(model(x))
        spread = want.std(axis=axes, ddof=1)
        np.testing.assert_allclose(spread, 0.25, rtol=1e-2)  # the unbiased variance is the population's
        np.testing.assert_allclose(values(tn.bn.fold(model.eval())(x)), want, rtol=1e-10, atol=1e-12)

    def test_without_gamma_it_does_nothing(self, kind):
        norm = kind(3, affine=False, scale_init=0.1)
        norm.reset_parameters()
        assert norm.weight is None

    def test_is_keyword_only(self, kind):
        assert inspect.signature(kind).parameters["scale_init"].kind is inspect.Parameter.KEYWORD_ONLY

    @pytest.mark.parametrize("wrong", [0, -0.1, math.nan, math.inf])
    def test_refuses_what_is_not_positive(self, kind, wrong):
        message = rf"{kind.__name__}: scale_init must be a finite number > 0; got"
        with pytest.raises(ArgumentError, match=message):
            kind(3, scale_init=wrong)

    @pytest.mark.parametrize("wrong", ["1", None, True])
    def test_refuses_what_is_no_number(self, kind, wrong):
        with pytest.raises(
            DTypeError, match=rf"{kind.__name__}: scale_init must be a finite number > 0; got"
        ):
            kind(3, scale_init=wrong)


class TestInputNorm2d:
    def test_normalises_by_the_batch_in_training(self, rng):
        x = rng.random((16, 3, 5, 4))
        norm = nn.InputNorm2d(dtype=tn.float64)
        mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
        want = 0.58 * (x - mean) / np.sqrt(var + 1e-5)
        np.testing.assert_allclose(values(norm(tn.tensor(x))), want, rtol=1e-10)
        count = x[:, 0].size
        np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * mean.ravel(), rtol=1e-12)
        unbiased = var.ravel() * count / (count - 1)
        np.testing.assert_allclose(norm.running_var.numpy(), 0.9 + 0.1 * unbiased, rtol=1e-12)

    def test_normalises_by_the_running_statistics_in_evaluation(self, rng):
        x = rng.random((16, 3, 5, 4))
        norm = nn.InputNorm2d(momentum=1.0, dtype=tn.float64)
        norm(tn.tensor(x))
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3), ddof=1)
        y = values(norm.eval()(tn.tensor(x[:1])))
        want = 0.58 * (x[:1] - mean.reshape(1, 3, 1, 1)) / np.sqrt(var.reshape(1, 3, 1, 1) + 1e-5)
        np.testing.assert_allclose(y, want, rtol=1e-12)
        assert norm.num_batches_tracked.item() == 1

    def test_the_scale_is_trained_and_there_is_no_shift(self):
        norm = nn.InputNorm2d()
        assert [(name, p.requires_grad) for name, p in norm.named_parameters()] == [("weight", True)]
        assert np.unique(values(norm.weight)) == np.float32(0.58)
        norm(tn.rand(4, 3, 2, 2)).sum().backward()
        assert norm.weight.grad.shape == (3,)
        assert norm.bias is None

    def test_its_state(self):
        norm = nn.InputNorm2d(2, scale=0.25)
        norm(tn.rand(4, 2, 3, 3))
        state = norm.state_dict()
        assert list(state) == ["weight", "running_mean", "running_var", "num_batches_tracked"]
        other = nn.InputNorm2d(2)
        other.load_state_dict(state)
        for norm in (other, copy.deepcopy(other), pickle.loads(pickle.dumps(other))):
            assert {name: each.tolist() for name, each in norm.state_dict().items()} == {
                name: each.tolist() for name, each in state.items()
            }
            assert norm.bias is None

    def test_is_a_batch_normalisation(self):
        norm = nn.InputNorm2d(1, 1e-3, None, 0.25)
        assert isinstance(norm, nn.BatchNorm2d)
        assert (norm.eps, norm.momentum) == (1e-3, None)
        with tn.no_grad():
            norm.weight.fill_(3)
        norm.reset_parameters()
        assert values(norm.weight).tolist() == [0.25]
        tn.bn.freeze(norm)
        assert repr(norm) == "InputNorm2d(1, eps=0.001, momentum=None, scale=0.25, frozen=True)"

    def test_errors(self):
        with pytest.raises(ArgumentError, match=r"InputNorm2d: scale must be a finite number > 0; got 0\.0"):
            nn.InputNorm2d(scale=0)
        with pytest.raises(DTypeError, match=r"InputNorm2d: scale must be a finite number > 0; got '1'"):
            nn.InputNorm2d(scale="1")
        with pytest.raises(ArgumentError, match=r"InputNorm2d: num_features must be a positive int; got 0"):
            nn.InputNorm2d(0)
        message = r"InputNorm2d: input must have shape \(N, 3, H, W\); got \(2, 1, 4, 4\)"
        with pytest.raises(ShapeError, match=message):
            nn.InputNorm2d()(tn.ones(2, 1, 4, 4))
        with pytest.raises(NotImplementedError, match=r"InputNorm2d: device must be"):
            nn.InputNorm2d(device="cuda")
