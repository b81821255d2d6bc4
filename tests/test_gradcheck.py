"""gradcheck: accepts right gradients, catches wrong ones, says where, and leaves its inputs as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet.errors import ArgumentError, GraphError
from tinynet.nn import functional as F


def leaf(*shape: int) -> tn.Tensor:
    return tn.randn(*shape, dtype="float64", requires_grad=True)


@pytest.mark.parametrize(
    ("f", "shapes"),
    [
        (lambda x: x.sigmoid(), [(3, 2)]),
        (lambda x, w, b: F.linear(x, w, b).tanh(), [(4, 3), (2, 3), (2,)]),
        (lambda x: F.log_softmax(x, 1), [(3, 4)]),
        (lambda x: F.cross_entropy(x, tn.tensor([0, 2, 1])), [(3, 4)]),
        (lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True), [(5, 3), (3,), (3,)]),
        (lambda x, y: (x * y, x + y), [(2, 1), (3,)]),
        (lambda x: 1.0 / (x * x + 1.0), [()]),
        (lambda x: x.T[::-1].exp().sum(0), [(2, 3)]),
        (lambda x: x * 2.0, [(0, 3)]),
    ],
)
def test_right_gradients_are_accepted(f, shapes):
    assert tn.gradcheck(f, [leaf(*s) for s in shapes])


def test_one_tensor_instead_of_a_list():
    assert tn.gradcheck(lambda x: x * x, leaf(3))


def test_inputs_without_a_gradient_are_passed_on():
    assert tn.gradcheck(lambda x, y: x * y, [leaf(3), tn.tensor([1.0, 2.0, 3.0], dtype="float64")])
    assert tn.gradcheck(lambda x, i: x[i], [leaf(3), tn.tensor([1, 1, 0])])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.detach() * x,  # half of the derivative of x^2
        lambda x: x * 2.0 + x.detach(),
        lambda x: x.relu() + x.detach() * 1e-2,
        lambda x: (x, x * x.detach()),
    ],
)
def test_wrong_gradients_are_caught(wrong):
    x = tn.tensor([1.5, -2.0, 0.5], dtype="float64", requires_grad=True)
    assert tn.gradcheck(wrong, x, raise_exception=False) is False
    with pytest.raises(
        GraphError, match=r"gradcheck: gradient of input 0 at \(0,\) is .*, by finite differences"
    ):
        tn.gradcheck(wrong, x)


def test_the_message_names_input_index_and_both_values():
    x, y = (
        tn.ones(2, dtype="float64", requires_grad=True),
        tn.tensor([[1.0, 0.0]], dtype="float64", requires_grad=True),
    )

    def wrong(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
        bent = y * y.detach()  # wrong where y is not 0
        return x.sum() + (bent * tn.tensor([0.0, 1.0], dtype="float64")).sum() + (bent * bent.detach()).sum()

    with pytest.raises(
        GraphError, match=r"gradient of input 1 at \(0, 0\) is -?\d.*, by finite differences -?\d"
    ):
        tn.gradcheck(wrong, [x, y])


def test_a_nan_is_not_accepted():
    x = tn.tensor([-1.0], dtype="float64", requires_grad=True)
    assert not tn.gradcheck(lambda x: x.log(), x, raise_exception=False)


def test_outputs_that_require_no_gradient_are_left_out():
    assert tn.gradcheck(lambda x: (x * x, x.detach() * 3.0, x.max(0)[1]), leaf(3))


def test_tolerances():
    x = tn.tensor([1.0], dtype="float64", requires_grad=True)
    slightly = lambda x: x + x.detach() * 1e-4  # noqa: E731
    assert tn.gradcheck(slightly, x)
    assert not tn.gradcheck(slightly, x, rtol=1e-5, atol=1e-7, raise_exception=False)
    assert tn.gradcheck(lambda x: x * x * x, x, eps=1e-3, rtol=1e-4)


def test_arguments():
    with pytest.raises(ArgumentError, match="gradcheck: at least one input must require a gradient"):
        tn.gradcheck(lambda x: x, tn.ones(2))
    with pytest.raises(ArgumentError, match="gradcheck: input 1 must be a float64 leaf; got float32"):
        tn.gradcheck(lambda x, y: x, [leaf(1), tn.ones(2, requires_grad=True)])
    with pytest.raises(ArgumentError, match="gradcheck: input 0 must be a float64 leaf"):
        tn.gradcheck(lambda x: x, leaf(1) * 2.0)
    with pytest.raises(GraphError, match="gradcheck: no output requires a gradient"):
        tn.gradcheck(lambda x: x.detach(), leaf(1))


def test_inputs_are_left_as_they_were():
    x = leaf(3)
    values, g = x.detach().numpy().copy(), tn.ones(3, dtype="float64")
    x.grad = g
    tn.gradcheck(lambda x: x * x, x)
    np.testing.assert_array_equal(x.detach().numpy(), values)
    assert x.grad is g
    assert g.tolist() == [1, 1, 1]


def test_an_error_in_the_function_leaves_the_inputs_as_they_were():
    x = leaf(3)
    values, calls = x.detach().numpy().copy(), []

    def failing(x: tn.Tensor) -> tn.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError
        return x * x

    with pytest.raises(KeyError):
        tn.gradcheck(failing, x)
    np.testing.assert_array_equal(x.detach().numpy(), values)
    assert x.grad is None


# ---- random programs -------------------------------------------------------------------------------------

STEPS: list[Any] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a @ b,
    lambda a, b: a / (b * b + 1.0),
    lambda a, b: F.linear(a, b),
    lambda a, b: tn.cat([a[:1], b[1:]]),
    lambda a, b: a.sum(0, keepdim=True) * b,
    lambda a, b: a.mean(1, keepdim=True) + b,
    lambda a, b: a.T,
    lambda a, b: a.reshape(4).reshape(2, 2),
    lambda a, b: a[::-1],
    lambda a, b: a[[1, 1]],
    lambda a, b: a.sigmoid(),
    lambda a, b: a.tanh(),
    lambda a, b: F.log_softmax(a, 1),
    lambda a, b: a.clone(),
    lambda a, b: (a * 2.0).mul_(b),  # in place on a result of its own
    lambda a, b: (a + 1.0).add_(a).sub_(b),
]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(range(len(STEPS))), st.integers(0, 99), st.integers(0, 99)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 2**32),
)
def test_random_programs(program, seed):
    """Values used by any number of later steps, as views and in place: gradients agree with differences."""
    source = tn.Generator(seed)
    x, y = (tn.randn(2, 2, dtype="float64", generator=source, requires_grad=True) for _ in range(2))

    def run(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
        values = [x, y]
        for step, i, j in program:
            v = STEPS[step](values[i % len(values)], values[j % len(values)])
            values.append(v.tanh() if step in (2, 3, 5, 7, 17) else v)  # products stay small
        return values[-1] + values[len(values) // 2] * 0.5

    assert tn.gradcheck(run, [x, y], atol=1e-6, rtol=1e-4)
