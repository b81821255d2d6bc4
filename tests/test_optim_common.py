"""What holds of every optimiser: bits, layouts, states, hooks, copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from optim_cases import MAKERS, give, gradients, parameters, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim import SGD, Adam, Optimizer

each_kind = pytest.mark.parametrize("kind", list(MAKERS))
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(optimizer, params, steps, shapes):
    for step in steps:
        give(params, gradients(step, shapes))
        optimizer.step()


def state_arrays(optimizer):
    """Everything in the state, in order of the parameters, as arrays."""
    found = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            each = optimizer.state[p]
            found += [values(v) if isinstance(v, tn.Tensor) else np.asarray(v) for v in each.values()]
    return found


def same_bits(left, right):
    return [a.tobytes() for a in left] == [b.tobytes() for b in right]


# ---- bits and layouts


@each_kind
@each_dtype
def test_bits_do_not_depend_on_threads(kind, dtype):
    shapes = [(8191,), (8192,), (8193,), (3, 5), (20001,), (), (0,), (2, 0)]
    results, former = [], tn.get_num_threads()
    try:
        for threads in (1, 2, 3):
            tn.set_num_threads(threads)
            params = parameters(dtype, shapes=shapes)
            optimizer = MAKERS[kind](params)
            run(optimizer, params, range(3), shapes)
            results.append([values(p) for p in params] + state_arrays(optimizer))
    finally:
        tn.set_num_threads(former)
    assert same_bits(results[0], results[1])
    assert same_bits(results[0], results[2])


def laid_out(array, layout):
    """The same numbers in other strides."""
    if layout == "fortran":
        return np.asfortranarray(array)
    if layout == "channels last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "gaps":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "backwards":
        return np.ascontiguousarray(array[::-1])[::-1]
    return array


@each_kind
@each_dtype
@pytest.mark.parametrize("layout", ["fortran", "channels last", "gaps", "backwards"])
def test_layouts_give_the_same_numbers(kind, dtype, layout):
    shape = (3, 4, 5, 2)
    rng = np.random.default_rng(0)
    start = rng.standard_normal(shape).astype(dtype)
    plain = nn.Parameter(tn.tensor(start.copy()))
    strided = nn.Parameter(tn.from_numpy(laid_out(start, layout)))
    assert not values(strided).flags.c_contiguous
    two = [MAKERS[kind]([p]) for p in (plain, strided)]
    for step in range(3):
        g = rng.standard_normal(shape).astype(dtype)
        plain.grad = tn.from_numpy(g)
        strided.grad = tn.from_numpy(laid_out(g, layout) if step else g)
        for optimizer in two:
            optimizer.step()
    assert np.array_equal(values(plain), values(strided))
    for a, b in zip(*map(state_arrays, two), strict=True):
        assert np.array_equal(a, b)


@each_kind
def test_memory_between_the_elements_stays(kind):
    wide = np.full((4, 6), 777.0, np.float32)
    wide[:, ::2] = 1.0
    p = nn.Parameter(tn.from_numpy(wide[:, ::2]))
    p.grad = tn.ones(4, 3)
    MAKERS[kind]([p]).step()
    assert (wide[:, 1::2] == 777.0).all()
    assert (wide[:, ::2] != 1.0).all()


@each_kind
def test_read_only_weights_are_refused(kind):
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    p = nn.Parameter(tn.from_numpy(array))
    p.grad = tn.ones(3)
    with pytest.raises(ArgumentError, match=r"params\[0\] and its buffer must be writable; got read-only"):
        MAKERS[kind]([p]).step()


@each_kind
def test_versions_rise(kind):
    p = nn.Parameter(np.array([3.0], np.float32))
    y = (tn.tensor([2.0], requires_grad=True) * p).sum()
    p.grad = tn.tensor([1.0])
    MAKERS[kind]([p]).step()
    with pytest.raises(tn.errors.GraphError, match="changed in place"):
        y.backward()


# ---- parameters that change


@each_kind
def test_a_model_that_becomes_double_trains_on(kind):
    rng = np.random.default_rng(0)
    draws = [[rng.standard_normal(s) for s in ((2, 3), (2,))] for _ in range(4)]
    trajectories = []
    for dtypes in ((np.float32,) * 4, (np.float32, np.float32, np.float64, np.float64)):
        tn.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = MAKERS[kind](model.parameters())
        for dtype, draw in zip(dtypes, draws, strict=True):
            if dtype == np.float64:
                model.double()
            give(list(model.parameters()), draw)
            optimizer.step()
        trajectories.append([values(p).astype(np.float64) for p in model.parameters()])
    assert model.weight.dtype == np.float64
    for state in optimizer.state.values():
        assert all(v.dtype == np.float64 for v in state.values() if isinstance(v, tn.Tensor))
    for a, b in zip(*trajectories, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@each_kind
def test_both_dtypes_in_one_group(kind):
    mixed = parameters(np.float32, shapes=[(4,)]) + parameters(np.float64, 1, [(3,)])
    mixed += parameters(np.float32, 2, [(2, 2)])
    alone = [nn.Parameter(values(p).copy()) for p in mixed]
    shapes = [(4,), (3,), (2, 2)]
    together, apart = MAKERS[kind](mixed), [MAKERS[kind]([p]) for p in alone]
    for step in range(3):
        grads = gradients(step, shapes)
        give(mixed, grads)
        give(alone, grads)
        together.step()
        for optimizer in apart:
            optimizer.step()
    assert same_bits(map(values, mixed), map(values, alone))


@each_kind
def test_state_of_another_shape_is_refused(kind):
    (p,) = parameters(shapes=[(3,)])
    optimizer = MAKERS[kind]([p])
    run(optimizer, [p], [0], [(3,)])
    name = next(key for key, value in optimizer.state[p].items() if isinstance(value, tn.Tensor))
    optimizer.state[p][name] = tn.zeros(5)
    with pytest.raises(
        ArgumentError, match=rf"step: {name} must have its parameter's shape \(3,\); got \(5,\)"
    ):
        optimizer.step()
    optimizer.state[p][name] = [1.0]
    with pytest.raises(DTypeError, match=f"step: {name} must be a Tensor; got list"):
        optimizer.step()


# ---- state dicts and copies


@each_kind
@each_dtype
@pytest.mark.parametrize("through_file", [False, True])
def test_resuming_equals_going_on(kind, dtype, through_file, tmp_path):
    shapes = [(3, 4), (5,), (), (2, 0)]
    params = parameters(dtype, shapes=shapes)
    optimizer = MAKERS[kind](params)
    run(optimizer, params, range(3), shapes)
    tree = {"optimizer": optimizer.state_dict(), "params": [p.detach().clone() for p in params]}
    if through_file:
        tn.save(tree, tmp_path / "a.safetensors")
        tree = tn.load(tmp_path / "a.safetensors")
    resumed = [nn.Parameter(p) for p in tree["params"]]
    other = MAKERS[kind](resumed)
    other.load_state_dict(tree["optimizer"])
    assert other.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    for each in (optimizer, other):
        run(each, each.param_groups[0]["params"], range(3, 6), shapes)
    assert same_bits(map(values, params), map(values, resumed))
    assert same_bits(state_arrays(optimizer), state_arrays(other))


@each_kind
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alone(kind, copied):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    shapes = [p.shape for p in model.parameters()]
    optimizer = MAKERS[kind](model.parameters())
    run(optimizer, list(model.parameters()), range(2), shapes)
    twin, other = copied((model, optimizer))
    assert list(map(id, other.param_groups[0]["params"])) == list(map(id, twin.parameters()))
    assert list(map(id, other.state)) == list(map(id, twin.parameters()))
    before = [values(p).copy() for p in model.parameters()]
    run(other, list(twin.parameters()), range(2, 4), shapes)
    assert same_bits(before, map(values, model.parameters()))
    run(optimizer, list(model.parameters()), range(2, 4), shapes)
    assert same_bits(map(values, twin.parameters()), map(values, model.parameters()))
    assert repr(other) == repr(optimizer)


def test_an_optimiser_is_freed_at_once():
    params = parameters()
    optimizer = Adam(params)
    run(optimizer, params, [0], [p.shape for p in params])
    handle = optimizer.register_step_pre_hook(lambda *_: None)
    watched = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert watched() is None
    finally:
        gc.enable()
    handle.remove()


@each_kind
def test_state_of_a_parameter_without_state_is_empty(kind):
    optimizer = MAKERS[kind](parameters())
    assert optimizer.state[tn.zeros(1)] == {}


# ---- closures and hooks


@each_kind
def test_closures_run_with_gradients(kind):
    p = nn.Parameter(np.array([3.0]))
    optimizer = MAKERS[kind]([p])

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tn.no_grad():
        assert optimizer.step(closure).item() == 9
    assert values(p)[0] != 3


@each_kind
def test_hooks_are_called_around_a_step(kind):
    params = parameters(shapes=[(3,)])
    optimizer = MAKERS[kind](params)
    start = values(params[0]).copy()
    calls = []

    def before(owner, args, kwargs):
        assert owner is optimizer
        calls.append(("before", args, kwargs, np.array_equal(values(params[0]), start)))

    def after(owner, args, kwargs):
        calls.append(("after", args, kwargs, np.array_equal(values(params[0]), start)))

    first = optimizer.register_step_pre_hook(before)
    second = optimizer.register_step_post_hook(after)
    run(optimizer, params, [0], [(3,)])
    assert calls == [("before", (optimizer,), {}, True), ("after", (optimizer,), {}, False)]
    first.remove()
    optimizer.step(None)
    assert [name for name, *_ in calls] == ["before", "after", "after"]
    with second:
        pass
    optimizer.step()
    assert len(calls) == 3
    optimizer.register_step_post_hook(after)
    copy.deepcopy(optimizer).step()  # which has no hooks
    assert len(calls) == 3


def test_a_hook_may_replace_the_closure():
    p = nn.Parameter(np.array([1.0]))
    p.grad = tn.tensor(np.array([1.0]))
    optimizer = SGD([p], lr=0.5)
    seen = []

    def closure():
        return "given"

    optimizer.register_step_post_hook(lambda owner, args, kwargs: seen.append(args))
    assert optimizer.step(closure) == "given"
    optimizer.register_step_pre_hook(lambda owner, args, kwargs: ((owner, lambda: "other"), {}))
    assert optimizer.step(closure) == "other"
    optimizer.register_step_pre_hook(lambda owner, args, kwargs: ((owner,), {"closure": closure}))
    assert optimizer.step() == "given"
    optimizer.register_step_pre_hook(lambda owner, args, kwargs: ((owner,), {}))
    assert optimizer.step(closure) is None
    assert seen == [(optimizer, closure), seen[1], (optimizer, closure), (optimizer,)]
    optimizer.register_step_pre_hook(lambda owner, args, kwargs: 3)
    with pytest.raises(
        DTypeError, match=r"register_step_pre_hook: a hook must return None or \(args, kwargs\); got int"
    ):
        optimizer.step()


def test_hooks_must_be_callable():
    optimizer = SGD(parameters())
    with pytest.raises(DTypeError, match="register_step_pre_hook: hook must be callable; got int"):
        optimizer.register_step_pre_hook(3)
    with pytest.raises(DTypeError, match="register_step_post_hook: hook must be callable; got NoneType"):
        optimizer.register_step_post_hook(None)


def test_an_optimiser_of_ones_own():
    class Signs(Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def _check_group(self, group):
            pass

        def _step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    with tn.no_grad():
                        p -= group["lr"] * tn.tensor(np.sign(values(p.grad)))
                    self.state[p]["count"] = self.state[p].get("count", 0) + 1

    p = nn.Parameter(np.array([1.0, 2.0]))
    p.grad = tn.tensor(np.array([3.0, -3.0]))
    optimizer = Signs([p], 0.5)
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step()
    assert values(p).tolist() == [0.5, 2.5]
    assert optimizer.state_dict()["state"] == {0: {"count": 1}}
    assert calls == [1]
    lazy = type("Lazy", (Signs,), {"_step": Optimizer._step, "_check_state": Optimizer._check_state})(
        [p], 1.0
    )
    with pytest.raises(NotImplementedError, match="Lazy: step must be defined by the class"):
        lazy.step()


# ---- as programs for PyTorch use them --------------------------------------------------------------------


class SignDescent(Optimizer):
    """An optimiser of a program's own, in PyTorch's manner."""

    def __init__(self, params, lr=0.125, beta=0.5):
        super().__init__(params, {"lr": lr, "beta": beta})

    @tn.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["average"] = tn.zeros_like(p)
                state["average"].mul_(group["beta"]).add_(p.grad, alpha=1 - group["beta"])
                p.add_(state["average"].sign(), alpha=-group["lr"])


def test_an_optimiser_of_ones_own_needs_no_more_than_a_step():
    params = [nn.Parameter(tn.ones(2))]
    optimizer = SignDescent(params, lr=0.25)
    give(params, [[1.0, -1.0]])
    optimizer.step()
    assert params[0].tolist() == [0.75, 1.25]
    other = SignDescent(params)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.25
    assert other.state[params[0]]["average"].tolist() == [0.5, -0.5]
    give(params, [[-0.25, -1.0]])  # the average stays positive
    other.step()
    assert params[0].tolist() == [0.5, 1.5]


@each_kind
def test_a_group_may_be_empty(kind):
    """As the group without weight decay of a network without biases is."""
    make = MAKERS[kind]
    params, alone = parameters(), parameters()
    optimizer = make([{"params": params}, {"params": []}])
    run(optimizer, params, range(3), [p.shape for p in params])
    run(make(alone), alone, range(3), [p.shape for p in params])
    assert same_bits(map(values, params), map(values, alone))
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.add_param_group({"params": []})
    named = make([{"params": []}, {"params": [("a", alone[0])]}])
    named.add_param_group({"params": [("b", alone[1])]})
    assert [group.get("param_names") for group in named.param_groups] == [None, ["a"], ["b"]]
