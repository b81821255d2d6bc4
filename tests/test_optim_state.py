"""State dicts of the optimisers, and whole trajectories beside PyTorch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from optim_cases import MAKERS, OPTIONS, give, gradients, parameters, values

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DataError
from tinynet.optim import SGD


def run(optimizer, params, steps):
    for step in steps:
        give(params, gradients(step))
        optimizer.step()


def test_state_dict_form():
    params = parameters()
    optimizer = SGD([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}], lr=0.1, momentum=0.9)
    assert optimizer.state_dict()["state"] == {}
    run(optimizer, params, [0])
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2, 3, 4]]
    assert [group["lr"] for group in state["param_groups"]] == [0.1, 0.5]
    assert list(state["state"]) == [0, 1, 2, 3, 4]
    for index, g in enumerate(gradients(0)):
        np.testing.assert_allclose(values(state["state"][index]["momentum_buffer"]), g)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_step_counts_as_a_write_to_the_state(kind, dtype):
    p = nn.Parameter(np.array([3.0], dtype))
    p.grad = tn.ones(1, dtype=dtype)
    optimizer = MAKERS[kind]([p])
    optimizer.step()
    for state in [t for t in optimizer.state[p].values() if isinstance(t, tn.Tensor) and t.shape == (1,)]:
        y = (tn.ones(1, dtype=dtype, requires_grad=True) * state).sum()
        optimizer.step()
        with pytest.raises(tn.errors.GraphError, match="changed in place"):
            y.backward()


@pytest.mark.parametrize("through_file", [False, True])
def test_resuming_equals_going_on(through_file, tmp_path):
    options = {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}
    params = parameters()
    optimizer = SGD(params, lr=0.1, **options)
    run(optimizer, params, range(3))
    optimizer.param_groups[0]["lr"] = 0.05
    resumed = [nn.Parameter(values(p).copy()) for p in params]
    other = SGD(resumed, lr=7.0)
    state = optimizer.state_dict()
    if through_file:
        tn.save(state, tmp_path / "state.safetensors")
        state = tn.load(tmp_path / "state.safetensors")
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.05
    assert other.param_groups[0]["params"][0] is resumed[0]
    run(optimizer, params, range(3, 6))
    run(other, resumed, range(3, 6))
    assert all(np.array_equal(values(a), values(b)) for a, b in zip(params, resumed, strict=True))


def test_loading_into_a_running_optimiser():
    params = parameters()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, range(2))
    weights = [values(p).copy() for p in params]
    saved = copy.deepcopy(optimizer.state_dict())
    run(optimizer, params, range(2, 4))
    want = [values(p).copy() for p in params]
    for p, w in zip(params, weights, strict=True):
        with tn.no_grad():
            p.copy_(tn.tensor(w))
    optimizer.load_state_dict(saved)
    run(optimizer, params, range(2, 4))
    assert all(np.array_equal(values(p), w) for p, w in zip(params, want, strict=True))


def test_loaded_state_is_a_copy():
    params = parameters()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, [0])
    other = SGD(parameters(), lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    for a, b in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert not np.shares_memory(values(a["momentum_buffer"]), values(b["momentum_buffer"]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("state"), DataError, r"state_dict must have 'state' and 'param_groups'; got keys"),
        (
            lambda s: s.update(state=[]),
            DataError,
            "'param_groups' must be a list and 'state' a dict; got list",
        ),
        (lambda s: s["param_groups"].append({}), DataError, "param_groups must be 1 groups; got 2"),
        (
            lambda s: s["param_groups"][0].pop("lr"),
            DataError,
            r"group 0 must have the keys \['dampening', 'lr'",
        ),
        (
            lambda s: s["param_groups"][0]["params"].pop(),
            DataError,
            r"group 0 must hold parameters 0 to 4; got \[0, 1, 2, 3\]",
        ),
        (
            lambda s: s["param_groups"][0].update(params=5),
            DataError,
            "group 0 must hold parameters 0 to 4; got 5",
        ),
        (
            lambda s: s["param_groups"][0].update(params=[tn.zeros(2), 1, 2, 3, 4]),
            DataError,
            r"group 0 must hold parameters 0 to 4; got \[tensor",
        ),
        (lambda s: s["param_groups"].append(3), DataError, "param_groups must be 1 groups; got 2"),
        (lambda s: s.update(param_groups=[3]), DataError, r"group 0 must have the keys \[.*\]; got 3"),
        (lambda s: s["param_groups"][0].update(lr=-1), ArgumentError, "SGD: lr must be a finite number >= 0"),
        (lambda s: s["state"].update({9: {}}), DataError, "state must be of parameters 0 to 4; got 9"),
        (lambda s: s["state"].update({0: 3}), DataError, "the state of parameter 0 must fit it; got no dict"),
        (
            lambda s: s["state"].update({0: {"momentum_buffer": 3}}),
            DataError,
            "state of parameter 0 must fit it; got a momentum_buffer that is a int",
        ),
        (
            lambda s: s["state"].update({4: {"momentum_buffer": tn.tensor([1.0])}}),
            DataError,
            r"got a momentum_buffer of shape \(1,\) and dtype float32 where",
        ),
        (
            lambda s: s["state"][1].update(exp_avg=1),
            DataError,
            r"the state of parameter 1 must fit it; got keys \['exp_avg', 'momentum_buffer'\] where only",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message):
    params = parameters()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, range(2))
    state = copy.deepcopy(optimizer.state_dict())
    before = copy.deepcopy(state)
    state["param_groups"][0]["momentum"] = 0.5
    change(state)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for index, each in before["state"].items():
        assert np.array_equal(
            values(after["state"][index]["momentum_buffer"]), values(each["momentum_buffer"])
        )


def test_other_keys_and_names_are_loaded():
    params = parameters()
    optimizer = SGD([{"params": params, "initial_lr": 0.5, "own": 1}], lr=0.1)
    state = copy.deepcopy(optimizer.state_dict())
    del state["param_groups"][0]["own"]
    state["param_groups"][0].update(initial_lr=0.25, foreach=None, schedule=[1, 2])
    group = optimizer.param_groups[0]
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0] is group  # a scheduler may hold it
    assert (group["initial_lr"], group["schedule"], "own" in group) == (0.25, [1, 2], False)
    assert group["schedule"] is not state["param_groups"][0]["schedule"]
    assert group["params"][0] is params[0]

    named = SGD([("a", params[0])], lr=0.1)
    named.load_state_dict(SGD([params[1]], lr=0.2).state_dict())
    assert (named.param_groups[0]["lr"], named.param_groups[0]["param_names"]) == (0.2, ["a"])
    named.load_state_dict(SGD([("b", params[1])], lr=0.2).state_dict())
    assert named.param_groups[0]["param_names"] == ["b"]


def test_load_of_something_else():
    with pytest.raises(DataError, match="state_dict must have 'state' and 'param_groups'; got None"):
        SGD(parameters()).load_state_dict(None)


# ---- PyTorch


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_trajectory_equals_pytorch(dtype, options):
    import torch

    params = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(values(p))) for p in params]
    optimizer, reference = SGD(params, lr=0.1, **options), torch.optim.SGD(theirs, lr=0.1, **options)
    for step in range(6):
        grads = gradients(step)
        if step in (0, 3):
            grads[1] = None
        give(params, grads)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = None if g is None else torch.tensor(np.asarray(g, dtype))
        if step == 4:
            optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.02
        optimizer.step()
        reference.step()
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(
                values(p), q.detach().numpy(), rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-7
            )
    state, want = optimizer.state_dict()["state"], reference.state_dict()["state"]
    assert sorted(state) == sorted(i for i, each in want.items() if each["momentum_buffer"] is not None)
    for i, each in state.items():
        np.testing.assert_allclose(
            values(each["momentum_buffer"]), want[i]["momentum_buffer"].numpy(), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parity
def test_groups_loaded_from_pytorch():
    """Of a state without tensors, PyTorch's own groups fit: its further options are other keys."""
    import torch

    params = parameters()
    theirs = [(f"p{i}", torch.tensor(values(p))) for i, p in enumerate(params)]
    reference = torch.optim.SGD(theirs, lr=0.3, momentum=0.5)
    optimizer = SGD([(f"p{i}", p) for i, p in enumerate(params)])
    optimizer.load_state_dict(reference.state_dict())
    ours, wanted = optimizer.state_dict()["param_groups"], reference.state_dict()["param_groups"]
    assert ours == wanted
    run(optimizer, params, [0])


@pytest.mark.parity
def test_defaults_equal_pytorch():
    import torch

    ours = SGD(parameters()).defaults
    theirs = torch.optim.SGD([torch.zeros(1)]).defaults
    assert {key: theirs[key] for key in ours} == ours
