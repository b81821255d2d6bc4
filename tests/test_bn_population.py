"""Population statistics: Algorithm 2 of Ioffe & Szegedy 2015 in NumPy, and what must not be touched."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.models import mnist_mlp


def values(tensor):
    return tensor.detach().numpy()


def network(dtype=np.float64):
    tn.manual_seed(3)
    model = mnist_mlp(hidden=5, layers=2, num_classes=3, in_features=4, weight_std=0.7, dtype=dtype)
    rng = np.random.default_rng(0)
    for p in model.parameters():
        with tn.no_grad():
            p.copy_(tn.tensor(np.asarray(rng.normal(size=p.shape), dtype)))
    return model


def batches(sizes=(6, 6, 6, 6), dtype=np.float64):
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(n, 4)) * 2 + 1).astype(dtype) for n in sizes]


def algorithm_2(model, inputs):
    """The statistics of both hidden layers, each batch normalised by itself on the way."""
    state = {name: values(t).astype(np.float64) for name, t in model.state_dict().items()}
    sums = {name: [0.0, 0.0, 0] for name in ("bn1", "bn2")}
    for x in inputs:
        h = x.astype(np.float64)
        for i in (1, 2):
            u = h @ state[f"linear{i}.weight"].T
            mean, var, m = u.mean(0), ((u - u.mean(0)) ** 2).mean(0), len(u)
            each = sums[f"bn{i}"]
            each[0] = each[0] + m * mean
            each[1] = each[1] + m * (m / (m - 1) * var)
            each[2] += m
            h = special.expit(
                state[f"bn{i}.weight"] * (u - mean) / np.sqrt(var + 1e-5) + state[f"bn{i}.bias"]
            )
    return {name: (mean / total, var / total) for name, (mean, var, total) in sums.items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(6, 6, 6, 6), (8, 3, 5), (2,)])
def test_values_are_algorithm_2s(dtype, sizes):
    model, inputs = network(dtype), batches(sizes, dtype)
    want = algorithm_2(model, inputs)
    got = bn.population_statistics(model, inputs)
    assert list(got) == ["bn1", "bn2"]
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    for name, (mean, var) in got.items():
        assert mean.dtype == var.dtype == np.float64
        np.testing.assert_allclose(mean, want[name][0], rtol=rtol, atol=rtol)
        np.testing.assert_allclose(var, want[name][1], rtol=rtol)
        layer = dict(model.named_modules())[name]
        assert np.array_equal(values(layer.running_mean), mean.astype(dtype))
        assert np.array_equal(values(layer.running_var), var.astype(dtype))


def test_equal_batches_give_the_papers_formula():
    layer = nn.BatchNorm1d(4, dtype=np.float64)
    inputs = batches()
    ((mean, var),) = bn.population_statistics(layer, inputs).values()
    np.testing.assert_allclose(mean, np.mean([x.mean(0) for x in inputs], axis=0), rtol=1e-12)
    np.testing.assert_allclose(var, 6 / 5 * np.mean([x.var(0) for x in inputs], axis=0), rtol=1e-12)


def test_sequences_count_all_positions():
    layer = nn.BatchNorm1d(4, dtype=np.float64)
    inputs = [np.random.default_rng(i).normal(size=(3, 4, 5)) for i in range(2)]
    ((mean, var),) = bn.population_statistics(layer, inputs).values()
    np.testing.assert_allclose(mean, np.mean([x.mean((0, 2)) for x in inputs], axis=0), rtol=1e-12)
    np.testing.assert_allclose(var, 15 / 14 * np.mean([x.var((0, 2)) for x in inputs], axis=0), rtol=1e-12)


def test_a_small_spread_on_a_large_mean_is_kept():
    x = (1e4 + 1e-2 * np.random.default_rng(0).normal(size=(50, 4))).astype(np.float32)
    ((mean, var),) = bn.population_statistics(nn.BatchNorm1d(4), [x]).values()
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-9)
    np.testing.assert_allclose(var, exact.var(0, ddof=1), rtol=1e-3)


def test_inference_then_uses_them():
    model, inputs = network(), batches()
    got = bn.population_statistics(model, inputs)
    x = inputs[0]
    h = x
    for i in (1, 2):
        state = {name: values(t) for name, t in model.state_dict().items()}
        mean, var = got[f"bn{i}"]
        u = h @ state[f"linear{i}.weight"].T
        h = special.expit(state[f"bn{i}.weight"] * (u - mean) / np.sqrt(var + 1e-5) + state[f"bn{i}.bias"])
    want = h @ state["output.weight"].T + state["output.bias"]
    np.testing.assert_allclose(values(model.eval()(tn.tensor(x))), want, rtol=1e-9)


@pytest.mark.parametrize(
    "wrap",
    [
        tn.tensor,
        lambda x: (tn.tensor(x), tn.tensor(np.zeros(len(x), np.int64))),
        lambda x: [x, "label"],
        lambda x: np.asfortranarray(x),
        lambda x: x.astype(">f8"),
    ],
)
def test_kinds_of_batches(wrap):
    inputs = batches()
    want = bn.population_statistics(network(), inputs)
    got = bn.population_statistics(network(), (wrap(x) for x in inputs))
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-12)


def test_only_running_statistics_change():
    model = network()
    model(tn.tensor(batches()[0]))  # one training step's worth of running statistics
    model.linear1.eval()
    model.act2.eval()
    modes = [module.training for module in model.modules()]
    before = {name: values(t).copy() for name, t in model.state_dict().items()}
    bn.population_statistics(model, batches())
    assert [module.training for module in model.modules()] == modes
    for name, t in model.state_dict().items():
        assert np.array_equal(values(t), before[name]) == (
            not name.endswith(("running_mean", "running_var"))
        ), name
    assert model.bn1.num_batches_tracked.item() == 1
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert model.bn1.track_running_stats
    assert not model.bn1._forward_pre_hooks


def test_it_does_not_depend_on_what_the_running_statistics_were():
    first = network()
    second = network().eval()
    for x in batches((5, 7)):
        first(tn.tensor(x))
    a, b = bn.population_statistics(first, batches()), bn.population_statistics(second, batches())
    for name in a:
        assert np.array_equal(a[name], b[name])


def test_dropout_is_active():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))
    x = [np.ones((200, 4), np.float32)]
    ((_, (mean, var)),) = bn.population_statistics(model.eval(), x).items()
    assert (var > 0.5).all()
    np.testing.assert_allclose(mean, 1, atol=0.4)
    assert not any(module.training for module in model.modules())


class Failing:
    """Batches that end in an error."""

    def __init__(self, error):
        self.error = error

    def __iter__(self):
        yield from batches()
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("disk"), KeyboardInterrupt()])
def test_an_error_in_the_middle_changes_nothing(error):
    model = network().eval()
    before = {name: values(t).copy() for name, t in model.state_dict().items()}
    with pytest.raises(type(error)):
        bn.population_statistics(model, Failing(error))
    for name, t in model.state_dict().items():
        assert np.array_equal(values(t), before[name]), name
    assert not any(module.training for module in model.modules())
    assert model.bn1.track_running_stats
    assert not model.bn1._hooked


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((1, 4)), ShapeError, "more than one value per channel"),
        (np.zeros((3, 5)), ShapeError, "linear"),
        (np.zeros((3, 4), np.float32), DTypeError, "linear"),
        ("text", DTypeError, "population_statistics: a batch must be a Tensor, array or tuple; got str"),
        ((), ArgumentError, "population_statistics: a batch must hold an input; got an empty one"),
    ],
)
def test_bad_batches(bad, error, message):
    model = network()
    before = values(model.bn1.running_mean).copy()
    with pytest.raises(error, match=message):
        bn.population_statistics(model, [batches()[0], bad])
    assert np.array_equal(values(model.bn1.running_mean), before)


def test_model_errors():
    with pytest.raises(DTypeError, match="population_statistics: model must be a Module; got dict"):
        bn.population_statistics({}, [])
    for bad in (3, None, "text", {}):
        kind = type(bad).__name__
        with pytest.raises(
            DTypeError, match=f"population_statistics: batches must be an iterable of batches; got {kind}"
        ):
            bn.population_statistics(network(), bad)
    with pytest.raises(
        ArgumentError, match="population_statistics: model must hold batch normalisations; got Sequential"
    ):
        bn.population_statistics(mnist_mlp(batch_norm=False), [])
    with pytest.raises(
        ArgumentError, match="population_statistics: batches must hold at least one batch; got none"
    ):
        bn.population_statistics(network(), [])
    model = nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(
        ArgumentError, match="layer '1' must keep running statistics; got track_running_stats=False"
    ):
        bn.population_statistics(model, [np.zeros((3, 4), np.float32)])


def test_a_layer_that_is_not_reached():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.BatchNorm1d(4)
            self.unused = nn.BatchNorm1d(4)

        def forward(self, x):
            return self.used(input=x)

    model = Branch()
    with pytest.raises(ArgumentError, match="every layer must be reached by a forward; 'unused' got none"):
        bn.population_statistics(model, [np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)])
    assert not values(model.used.running_mean).any()


def test_a_layer_used_twice_averages_both_uses():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4, dtype=np.float64)

        def forward(self, x):
            self.norm(x)
            return self.norm(x * 3 + 1)

    (x,) = batches((6,))
    ((mean, var),) = bn.population_statistics(Twice(), [x]).values()
    np.testing.assert_allclose(mean, (x.mean(0) + (3 * x + 1).mean(0)) / 2, rtol=1e-12)
    np.testing.assert_allclose(var, (x.var(0, ddof=1) + (3 * x).var(0, ddof=1)) / 2, rtol=1e-12)
