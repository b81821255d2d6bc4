"""bn.fold: the same outputs with fewer layers; what it must leave alone."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, models, nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn import functional as F


def values(tensor):
    return tensor.detach().numpy()


def lived(model, seed=0):
    """The model with parameters and statistics that are nobody's defaults."""
    rng = np.random.default_rng(seed)
    with tn.no_grad():
        for name, t in model.state_dict().items():
            if t.dtype in (np.float32, np.float64):
                drawn = rng.uniform(0.5, 2.0, t.shape) if "var" in name else rng.normal(size=t.shape)
                t.copy_(tn.tensor(drawn.astype(t.dtype)))
    return model


def close(folded, model, *args):
    """Outputs within 1e-5 of each other (float32), relative to the largest."""
    got, want = values(folded(*args)), values(model.eval()(*args))
    eps = 1e-5 if want.dtype == np.float32 else 1e-13
    assert np.abs(got - want).max() <= eps * np.abs(want).max()


def norms(model):
    return [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]


LAYERS = {
    "linear": (lambda d: nn.Linear(5, 6, dtype=d), nn.BatchNorm1d, (4, 5)),
    "linear_no_bias": (lambda d: nn.Linear(5, 6, bias=False, dtype=d), nn.BatchNorm1d, (4, 5)),
    "conv1d": (lambda d: nn.Conv1d(4, 6, 3, groups=2, dtype=d), nn.BatchNorm1d, (3, 4, 7)),
    "conv2d": (lambda d: nn.Conv2d(4, 6, 3, stride=2, padding=1, dtype=d), nn.BatchNorm2d, (3, 4, 7, 5)),
    "conv2d_groups": (
        lambda d: nn.Conv2d(4, 6, (1, 2), groups=2, bias=False, dtype=d), nn.BatchNorm2d, (3, 4, 7, 5)
    ),
    "conv_transpose1d": (lambda d: nn.ConvTranspose1d(4, 6, 3, 2, dtype=d), nn.BatchNorm1d, (3, 4, 5)),
    "conv_transpose2d": (
        lambda d: nn.ConvTranspose2d(4, 6, 3, 2, groups=2, dtype=d), nn.BatchNorm2d, (3, 4, 3, 5)
    ),
    "conv_transpose2d_no_bias": (
        lambda d: nn.ConvTranspose2d(4, 6, 3, bias=False, dtype=d), nn.BatchNorm2d, (3, 4, 3, 5)
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}, {"eps": 0.1}])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_and_form(layer, options, dtype):
    make, norm, shape = LAYERS[layer]
    model = lived(nn.Sequential(make(dtype), norm(6, **options, dtype=dtype), nn.ReLU()))
    x = tn.randn(*shape, dtype=dtype)
    for folded in (bn.fold(model), bn.fold(model, x)):
        assert isinstance(folded[1], nn.Identity)
        assert not folded.training
        assert folded[0].weight.dtype == folded[0].bias.dtype == dtype
        close(folded, model.train(), x)
        assert len(norms(model)) == 1  # the model itself is as it was
        assert "bias" not in layer or model[0].bias is None


def test_the_equations():
    model = lived(nn.Sequential(nn.Linear(3, 2, dtype="f8"), nn.BatchNorm1d(2, eps=0.5, dtype="f8")))
    linear, norm = model
    folded = bn.fold(model)
    s = values(norm.weight) / np.sqrt(values(norm.running_var) + 0.5)
    np.testing.assert_allclose(values(folded[0].weight), values(linear.weight) * s[:, None], rtol=1e-15)
    expected = (values(linear.bias) - values(norm.running_mean)) * s + values(norm.bias)
    np.testing.assert_allclose(values(folded[0].bias), expected, rtol=1e-14)


class Unit(nn.Module):
    """A convolution and its normalisation, which only `forward` joins."""

    def __init__(self, before, after, activation=True):
        super().__init__()
        self.bn = nn.BatchNorm2d(after)
        self.conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.activation = activation

    def forward(self, x):
        y = self.bn(self.conv(x))
        return F.relu(y, inplace=True) if self.activation else y


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.second = Unit(channels, channels), Unit(channels, channels, activation=False)

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + x, inplace=True)


def test_pairs_that_only_a_run_shows():
    model = lived(nn.Sequential(Unit(3, 4), Residual(4), nn.Flatten(), nn.Linear(4 * 25, 3)))
    x = tn.randn(2, 3, 5, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folded = bn.fold(model, x)
    assert norms(folded) == []
    close(folded, model, tn.randn(3, 3, 5, 5))
    with pytest.warns(UserWarning, match=r"fold: left as they are: '0.bn' \(its input is not the output"):
        assert len(norms(bn.fold(model))) == 3


def test_in_place():
    model = lived(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    x = tn.randn(5, 3)
    want = values(model.eval()(x))
    assert bn.fold(model.train(), inplace=True) is model
    assert not model.training
    assert norms(model) == []
    np.testing.assert_allclose(values(model(x)), want, rtol=1e-5, atol=1e-6)


class Uses(nn.Module):
    """A normalised convolution whose output something else may read, too."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.conv, self.bn, self.other = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2)

    def forward(self, x):
        y = self.conv(x)
        if self.kind == "sum":
            return self.bn(y) + y
        if self.kind == "detached":
            return self.bn(y) + tn.from_numpy(y.detach().numpy().copy())
        if self.kind == "returned":
            return {"normalised": self.bn(y), "raw": [y]}
        if self.kind == "twice":
            return self.bn(y), self.other(y)
        if self.kind == "overwritten":
            return self.bn(F.relu(y, inplace=True))
        if self.kind == "copied":
            return self.bn(y * 1.0)
        if self.kind == "first":
            return self.conv(self.bn(x))
        if self.kind == "layer_again":
            return self.conv(self.bn(y))
        return self.bn(self.bn(y))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (
            "sum",
            "is used elsewhere), 'other' (the example did not reach it)",
        ),
        ("detached", "'bn' (the output of the layer before it is used elsewhere)"),
        ("returned", "'bn' (the output of the layer before it is used elsewhere)"),
        ("twice", "'other' (the output of the layer before it is used elsewhere)"),
        ("overwritten", "'bn' (its input is not the output of a linear layer or convolution)"),
        ("copied", "'bn' (its input is not the output of a linear layer or convolution)"),
        ("first", "'bn' (its input is not the output of a linear layer or convolution)"),
        ("layer_again", "'bn' (it, or the layer before it, is used more than once)"),
        ("norm_again", "'bn' (it, or the layer before it, is used more than once)"),
    ],
)
def test_what_is_left_alone(kind, reason):
    model = lived(Uses(kind))
    x = tn.randn(2, 2, 3, 3)
    with pytest.warns(UserWarning, match=re.escape(reason)) as caught:
        folded = bn.fold(model, x)
    assert caught[0].filename == __file__
    assert len(norms(folded)) == 2
    got, want = folded(x), model.eval()(x)
    if kind not in ("returned", "twice"):
        assert np.array_equal(values(got), values(want))


def test_channels_on_another_axis():
    """Of (N, C, D) a linear layer maps the last axis, and axis 1 is normalised; likewise without a batch."""
    for layer, x in ((nn.Linear(4, 5), tn.randn(8, 5, 4)), (nn.Conv1d(2, 6, 1), tn.randn(2, 6))):
        model = lived(nn.Sequential(layer, nn.BatchNorm1d(x.shape[1])))
        with pytest.warns(UserWarning, match=r"'1' \(its channels are not those of the layer before it\)"):
            close(bn.fold(model, x), model, x)


@pytest.mark.parametrize(
    "hook",
    [
        lambda model: model[0].register_forward_hook(lambda module, args, output: output * 2),
        lambda model: model[1].register_forward_hook(lambda module, args, output: output * 2),
        lambda model: model[1].register_forward_pre_hook(lambda module, args: (args[0] * 2,)),
    ],
)
def test_hooks_that_see_what_lies_between(hook):
    model, x = lived(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))), tn.randn(5, 3)
    hook(model)
    for args in ((), (x,)):
        with pytest.warns(UserWarning, match="'1' .(its input is not the output|.* has hooks)"):
            close(bn.fold(model, *args), model, x)


def test_one_of_several():
    """Where one pair does not fit, the others are folded all the same."""
    model = lived(nn.Sequential(Unit(2, 2), Uses("sum"), Unit(2, 3)))
    x = tn.randn(2, 2, 3, 3)
    with pytest.warns(UserWarning, match=r"left as they are: '1\.bn' \(.*\), '1\.other' \(.*\)$"):
        folded = bn.fold(model, x)
    assert len(norms(folded)) == 2
    close(folded, model, x)


def test_shared_modules_and_statistics_that_are_not_there():
    linear, norm = nn.Linear(3, 3), nn.BatchNorm1d(3)
    model = lived(nn.Sequential(linear, norm, linear, nn.BatchNorm1d(3)))
    for args in ((), (tn.randn(4, 3),)):
        with pytest.warns(UserWarning, match=r"'1' \(it, or the layer before it, is used more.*'3'"):
            folded = bn.fold(model, *args)
        close(folded, model, tn.randn(4, 3))
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False))
    with pytest.warns(UserWarning, match="it keeps no running statistics"):
        bn.fold(model)


def test_two_names_for_one_pair():
    """A pair that is called once, but registered twice, gives way under both names."""
    model = nn.Module()
    model.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model.norm = model.body[1]
    model.forward = lambda x: model.body(x)
    model = lived(model)
    folded = bn.fold(model.body)
    close(folded, model.body, tn.randn(5, 3))
    holder = nn.ModuleList([model.body, model.norm])
    with pytest.warns(UserWarning, match="used more than once"):
        bn.fold(holder)


def test_without_normalisation_nothing_happens():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folded = bn.fold(model)
    assert np.array_equal(values(folded[0].weight), values(model[0].weight))


def test_hooks_are_gone_afterwards():
    model = lived(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    bn.fold(model, tn.randn(2, 3), inplace=True)
    assert not any(m._hooked for m in model.modules())


def test_errors():
    with pytest.raises(DTypeError, match="fold: model must be a Module; got int"):
        bn.fold(3)
    with pytest.raises(DTypeError, match="fold: inplace must be a bool; got 1"):
        bn.fold(nn.Linear(2, 2), inplace=1)

    class Odd(nn.Module):
        def forward(self, x):
            return 3

    with pytest.raises(ArgumentError, match="fold: the model must return tensors; got int"):
        bn.fold(Odd(), tn.ones(2))


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda: models.resnet(8), 0),
        (lambda: models.resnet(8, shortcut="projection"), 0),
        (lambda: models.resnet(8, batch_norm="last"), 1),  # behind a sum
        (models.bn_inception_small, 0),
    ],
    ids=["resnet", "projection", "last", "inception"],
)
def test_our_networks(make, left):
    """With and without an example, in training as in evaluation mode before."""
    model = make()
    x = tn.randn(2, 3, 16, 16)
    model(x * 2.0)  # running statistics that are not the defaults
    for args in ((), (x,)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            folded = bn.fold(model, *args)
        assert len(caught) == bool(left)
        assert len(norms(folded)) == left
        close(folded, model, x)
        model.train()
