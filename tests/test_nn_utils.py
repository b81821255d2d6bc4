"""nn.utils: clipping of gradients, and parameters as one vector."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError
from tinynet.nn import utils

INF, NAN = float("inf"), float("nan")


def with_gradients(arrays):
    """A leaf for each array, which is its gradient."""
    leaves = [tn.zeros(a.shape, dtype=a.dtype, requires_grad=True) for a in arrays]
    for leaf, a in zip(leaves, arrays, strict=True):
        leaf.grad = tn.tensor(a)
    return leaves


def gradients(leaves):
    return [leaf.grad.numpy().copy() for leaf in leaves]


def p_norm(arrays, p):
    magnitudes = np.concatenate([np.abs(a.astype(np.float64)).ravel() for a in arrays])
    return magnitudes.max() if p == INF else (magnitudes**p).sum() ** (1 / p)


# ---- norms


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 70), min_size=1, max_size=5),
    p=st.sampled_from([1.0, 2.0, 3.0, 0.5, INF]),
    double=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_clipping_by_any_norm(sizes, p, double, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((n, 2)).astype("f8" if double else "f4") for n in (*sizes, 1)]
    leaves, norm = with_gradients(arrays), p_norm(arrays, p)
    for max_norm in (2.0 * norm, 0.5 * norm):
        total = utils.clip_grad_norm_(iter(leaves), max_norm, norm_type=p)
        assert (total.shape, total.dtype) == ((), np.float64 if double else np.float32)
        np.testing.assert_allclose(total.item(), norm, rtol=1e-6)
        factor = min(1.0, max_norm / (norm + 1e-6))
        for g, a in zip(gradients(leaves), arrays, strict=True):
            np.testing.assert_allclose(g, a * factor, rtol=1e-6, atol=1e-12)


def test_a_norm_below_the_bound_changes_nothing(rng):
    leaves = with_gradients([rng.standard_normal(5).astype("f4")])
    before, version = gradients(leaves), leaves[0].grad._version
    utils.clip_grad_norm_(leaves, 100.0)
    assert leaves[0].grad._version == version
    assert gradients(leaves)[0].tobytes() == before[0].tobytes()
    utils.clip_grad_norm_(leaves, 0.1)
    assert leaves[0].grad._version == version + 1


def test_large_arrays_in_every_layout(threads, rng):
    """The same bits on any number of threads; gaps, other orders, one tensor instead of a list."""
    x = rng.standard_normal((300, 401)).astype("f4")
    exact = np.linalg.norm(x.astype(np.float64))
    expected = utils.get_total_norm([tn.from_numpy(x)])
    tn.set_num_threads(1)
    assert utils.get_total_norm(tn.from_numpy(x)).item() == expected.item()
    np.testing.assert_allclose(expected.item(), exact, rtol=1e-7)
    for other in (np.asfortranarray(x), np.flip(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(utils.get_total_norm([tn.from_numpy(other)]).item(), exact, rtol=1e-7)
    leaf = with_gradients([np.asfortranarray(x)])[0]
    utils.clip_grad_norm_(leaf, 1.0)
    np.testing.assert_allclose(leaf.grad.numpy(), x / exact, rtol=1e-5)


def test_norms_that_float32_squares_do_not_hold():
    big = tn.tensor([3e30, 4e30])
    np.testing.assert_allclose(utils.get_total_norm([big]).item(), 5e30, rtol=1e-6)
    small = tn.tensor([3e-30, 4e-30])
    np.testing.assert_allclose(utils.get_total_norm([small]).item(), 5e-30, rtol=1e-6)


def test_both_dtypes_and_none():
    single, double = np.asarray([3.0], "f4"), np.asarray([4.0], "f8")
    leaves = [*with_gradients([single, double]), tn.zeros(3, requires_grad=True), tn.zeros(2)]
    total = utils.clip_grad_norm_(leaves, 1.0)
    assert (total.item(), total.dtype) == (5.0, np.float64)
    np.testing.assert_allclose([g.item() for g in gradients(leaves[:2])], [0.6, 0.8], rtol=1e-6)
    assert leaves[0].grad.dtype == np.float32
    assert leaves[2].grad is None
    for nothing in ([], [tn.zeros(3, requires_grad=True)], tn.zeros(2)):
        total = utils.clip_grad_norm_(nothing, 1.0)
        assert (total.item(), total.dtype) == (0.0, np.float32)
    assert utils.get_total_norm([]).item() == 0.0
    assert utils.clip_grad_norm_(with_gradients([np.zeros((0, 3), "f4")]), 1.0, INF).item() == 0.0


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_that_are_not_finite(p, dtype):
    for bad in (NAN, INF):
        arrays = [np.asarray([1.0, bad], dtype), np.asarray([7.0], dtype)]
        leaves = with_gradients(arrays)
        with pytest.raises(GraphError, match=f"clip_grad_norm_: the total norm must be finite; got {bad}"):
            utils.clip_grad_norm_(leaves, 1.0, p, error_if_nonfinite=True)
        for g, a in zip(gradients(leaves), arrays, strict=True):
            np.testing.assert_array_equal(g, a)
        np.testing.assert_array_equal(utils.clip_grad_norm_(leaves, 1.0, p).item(), bad)
        g = gradients(leaves)
        assert np.isnan(g[0]).tolist() == [bool(np.isnan(bad)), True]
        np.testing.assert_array_equal(g[1], [NAN if np.isnan(bad) else 0.0])


def test_nothing_is_recorded_and_graphs_see_the_change():
    w = tn.tensor([3.0, 4.0], requires_grad=True)
    (w * w / 2).sum().backward()
    total = utils.clip_grad_norm_([w], 1.0)
    assert not total.requires_grad
    assert w.grad.is_leaf
    saved = w.grad
    y = saved * tn.tensor([1.0, 1.0], requires_grad=True)
    utils.clip_grad_value_(w, 0.1)
    with pytest.raises(GraphError, match="mul needs a value of shape"):
        y.sum().backward()


def test_clipping_in_two_halves(rng):
    arrays = [rng.standard_normal(s).astype("f4") for s in ((3, 4), (5,))]
    a, b = with_gradients(arrays), with_gradients(arrays)
    utils.clip_grad_norm_(a, 0.7)
    total = utils.get_total_norm([leaf.grad for leaf in b])
    utils.clip_grads_with_norm_(b, 0.7, total)
    for g, h in zip(gradients(a), gradients(b), strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-6)


def test_clipping_values():
    leaves = with_gradients([np.asarray([3.0, -0.5, -7.0, NAN, INF], "f4"), np.asarray([[9.0]], "f8")])
    version = leaves[0].grad._version
    assert utils.clip_grad_value_(leaves, 2) is None
    np.testing.assert_array_equal(leaves[0].grad.numpy(), [2.0, -0.5, -2.0, NAN, 2.0])
    assert leaves[1].grad.tolist() == [[2.0]]
    assert leaves[0].grad._version == version + 1


def test_training_with_clipping(rng):
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = tn.optim.SGD(model.parameters(), lr=0.1)
    x, y = tn.tensor(rng.standard_normal((8, 5)).astype("f4")), tn.tensor(rng.integers(0, 3, 8))
    for _ in range(3):
        optimizer.zero_grad()
        (nn.CrossEntropyLoss()(model(x), y) * 1000.0).backward()
        assert utils.clip_grad_norm_(model.parameters(), 1.0).item() > 1.0
        assert utils.get_total_norm([p.grad for p in model.parameters()]).item() <= 1.0001
        optimizer.step()


# ---- vectors


def test_parameters_as_one_vector_and_back(rng):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4, bias=False))
    kept = [p.detach().numpy() for p in model.parameters()]
    vector = utils.parameters_to_vector(model.parameters())
    np.testing.assert_array_equal(vector.detach().numpy(), np.concatenate([a.ravel() for a in kept]))
    versions = [p._version for p in model.parameters()]
    changed = tn.from_numpy(rng.standard_normal(16).astype("f4"))
    utils.vector_to_parameters(changed, model.parameters())
    assert utils.parameters_to_vector(model.parameters()).tolist() == changed.tolist()
    assert [p._version for p in model.parameters()] == [v + 1 for v in versions]
    for p, a in zip(model.parameters(), kept, strict=True):
        assert np.shares_memory(p.detach().numpy(), a)  # in place
        assert not np.shares_memory(p.detach().numpy(), changed.numpy())
    for each in (*model.parameters(), vector):
        assert each.requires_grad


def test_gradient_goes_through_the_vector():
    w, b = tn.tensor([[1.0, 2.0]], requires_grad=True), tn.tensor(3.0, requires_grad=True)
    v = utils.parameters_to_vector([w, b])
    (v * v).sum().backward()
    assert w.grad.tolist() == [[2.0, 4.0]]
    assert b.grad.item() == 6.0


def test_vectors_of_other_layouts_and_of_the_parameters_themselves():
    w = tn.tensor(np.asfortranarray(np.arange(6.0).reshape(2, 3)), requires_grad=True)
    assert utils.parameters_to_vector([w]).tolist() == list(range(6))
    utils.vector_to_parameters(tn.from_numpy(np.arange(12.0)[::-2]), [w])
    assert w.tolist() == [[11.0, 9.0, 7.0], [5.0, 3.0, 1.0]]
    flat = tn.arange(4.0)
    utils.vector_to_parameters(flat, [flat[2:], flat[:2]])  # views of the vector
    assert flat.tolist() == [2.0, 3.0, 0.0, 1.0]


# ---- errors

W = tn.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: utils.clip_grad_norm_(3, 1.0),
            DTypeError,
            "clip_grad_norm_: parameters must be a Tensor or an iterable of them; got int",
        ),
        (
            lambda: utils.clip_grad_norm_([W, None], 1.0),
            DTypeError,
            "clip_grad_norm_: parameters must be Tensors; got NoneType",
        ),
        (
            lambda: utils.clip_grad_norm_([W], -1.0),
            ArgumentError,
            "clip_grad_norm_: max_norm must be a finite number >= 0; got -1.0",
        ),
        (
            lambda: utils.clip_grad_norm_([W], 1.0, 0),
            ArgumentError,
            "clip_grad_norm_: norm_type must be a finite number > 0; got 0.0",
        ),
        (
            lambda: utils.clip_grad_norm_([W], 1.0, "two"),
            DTypeError,
            "clip_grad_norm_: norm_type must be a finite number > 0; got 'two'",
        ),
        (
            lambda: utils.clip_grad_norm_([W], 1.0, 2.0, None),
            DTypeError,
            "clip_grad_norm_: error_if_nonfinite must be a bool; got None",
        ),
        (
            lambda: utils.clip_grad_norm_([W], 1.0, foreach=True),
            NotImplementedError,
            "clip_grad_norm_: foreach must be None or False, .* got True",
        ),
        (
            lambda: utils.clip_grad_value_([W], 1.0, foreach=True),
            NotImplementedError,
            "clip_grad_value_: foreach must be None or False, .* got True",
        ),
        (
            lambda: utils.clip_grad_value_([W], "a"),
            DTypeError,
            "clip_grad_value_: clip_value must be a finite number >= 0; got 'a'",
        ),
        (
            lambda: utils.clip_grads_with_norm_([W], 1.0, 2.0),
            DTypeError,
            "clip_grads_with_norm_: total_norm must be a Tensor; got float",
        ),
        (
            lambda: utils.clip_grads_with_norm_([W], 1.0, W, foreach=True),
            NotImplementedError,
            "clip_grads_with_norm_: foreach must be",
        ),
        (
            lambda: utils.get_total_norm([tn.tensor([1])]),
            DTypeError,
            "get_total_norm: tensors must be float32 or float64; got int64",
        ),
        (
            lambda: utils.get_total_norm([tn.tensor(INF)], error_if_nonfinite=True),
            GraphError,
            "get_total_norm: the total norm must be finite; got inf",
        ),
        (
            lambda: utils.parameters_to_vector(W),
            DTypeError,
            "parameters_to_vector: parameters must be an iterable of Tensor; got Tensor",
        ),
        (
            lambda: utils.parameters_to_vector([W, 1.0]),
            DTypeError,
            r"parameters_to_vector: parameters\[1\] must be a Tensor; got float",
        ),
        (
            lambda: utils.parameters_to_vector([]),
            ArgumentError,
            "parameters_to_vector: parameters must hold at least one tensor; got none",
        ),
        (
            lambda: utils.parameters_to_vector([W, W.double()]),
            DTypeError,
            "must have the dtype of tensors",
        ),
        (
            lambda: utils.vector_to_parameters([1.0], [W]),
            DTypeError,
            "vector_to_parameters: vec must be a Tensor; got list",
        ),
        (
            lambda: utils.vector_to_parameters(tn.ones(3), [W]),
            ShapeError,
            r"vector_to_parameters: vec must have shape \(n,\) with n = 2, .* got \(3,\)",
        ),
        (
            lambda: utils.vector_to_parameters(tn.ones(2, dtype=tn.float64), [W]),
            DTypeError,
            r"vector_to_parameters: parameters\[0\] must have the dtype of vec, float64; got float32",
        ),
        (
            lambda: utils.vector_to_parameters(tn.ones(4), [W, W[:1].broadcast_to(2)]),
            ArgumentError,
            r"vector_to_parameters: parameters\[1\] must be writable; got read-only memory",
        ),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
    assert W.tolist() == [1.0, 2.0]


def test_read_only_gradients_are_refused():
    array = np.ones(2, np.float32)
    array.flags.writeable = False
    leaves = with_gradients([np.ones(3, np.float32), np.ones(2, np.float32)])
    leaves[1].grad = tn.from_numpy(array)
    for call in (utils.clip_grad_norm_, utils.clip_grad_value_):
        with pytest.raises(
            ArgumentError, match=r"gradients must be writable; got read-only memory of shape \(2,\)"
        ):
            call(leaves, 0.5)
    assert leaves[0].grad.tolist() == [1.0] * 3


# ---- beside PyTorch


@pytest.mark.parity
def test_signatures_are_pytorchs():
    import torch

    for name in utils.__all__:
        ours, theirs = (
            [(p.name, p.kind, p.default) for p in inspect.signature(getattr(lib, name)).parameters.values()]
            for lib in (utils, torch.nn.utils)
        )
        assert ours == theirs, name


@pytest.mark.parity
@pytest.mark.parametrize("p", [1.0, 2.0, 2.5, INF])
def test_clipping_is_pytorchs(p, rng):
    import torch

    arrays = [rng.standard_normal(s).astype("f4") for s in ((7, 5), (5,), (), (3, 0))]
    for bad, max_norm in ((None, 1.0), (None, 1e3), (NAN, 1.0), (INF, 1.0), (None, 0.0)):
        given = [a.copy() for a in arrays]
        if bad is not None:
            given[1][2] = bad
        if p == INF:
            given = given[:3]  # PyTorch has no largest element of nothing
        mine = with_gradients(given)
        theirs = [torch.zeros(a.shape, requires_grad=True) for a in given]
        for q, a in zip(theirs, given, strict=True):
            q.grad = torch.tensor(a)
        x, y = utils.clip_grad_norm_(mine, max_norm, p), torch.nn.utils.clip_grad_norm_(theirs, max_norm, p)
        np.testing.assert_allclose(x.item(), y.item(), rtol=1e-6)
        for g, q in zip(gradients(mine), theirs, strict=True):
            np.testing.assert_allclose(g, q.grad.numpy(), rtol=1e-5)
