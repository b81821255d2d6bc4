"""`backward` from several tensors, and to chosen leaves."""

from __future__ import annotations

import pytest
from functions import counting, leaf

import tinynet as tn
from tinynet.autograd import backward
from tinynet.errors import ArgumentError, DTypeError, GraphError

# ---- backward from several, to chosen leaves ---------------------------------------------------------------


def test_backward_from_several_tensors():
    x, w = leaf(1.0, 2.0), leaf(3.0)
    backward([(x * x).sum(), x * w, w], [None, tn.tensor([1.0, 10.0]), tn.tensor([100.0])])
    assert x.grad.tolist() == [5, 34]
    assert w.grad.tolist() == [121]
    backward(w)
    backward((w * 1,), tn.ones(1))
    assert w.grad.tolist() == [123]
    with pytest.raises(
        ArgumentError, match="backward: a gradient must be given for each of the 2 tensors; got 1"
    ):
        backward([x * 2, w], tn.ones(2))
    with pytest.raises(
        DTypeError, match="backward: tensors must be a Tensor or a sequence of Tensors; got int"
    ):
        backward(3)


def test_backward_from_a_tensor_and_what_it_was_made_of():
    x = leaf(1.0)
    a = x * 2
    b = a * 3
    backward([b, a, x])
    assert x.grad.tolist() == [9]
    c = x * 2
    backward([c, c * 1], [tn.ones(1), tn.tensor([5.0])])
    assert x.grad.tolist() == [21]


def test_backward_to_chosen_leaves():
    calls: list[str] = []
    x, w, unused = leaf(1.0), leaf(2.0), leaf(3.0)
    a, b = counting(calls, "a")(x), counting(calls, "b")(w)
    y = a * b
    y.backward(inputs=[x], retain_graph=True)
    assert (x.grad.tolist(), w.grad, calls) == ([2], None, ["a"])
    y.backward(inputs=w, retain_graph=True)
    assert (x.grad.tolist(), w.grad.tolist(), calls) == ([2], [1], ["a", "b"])
    backward([y], inputs=[x, w, x])
    assert (x.grad.tolist(), w.grad.tolist()) == ([4], [2])
    (x * 2).backward(inputs=[unused])
    assert unused.grad is None
    assert x.grad.tolist() == [4]


def test_backward_from_a_leaf_that_was_not_chosen():
    x, w = leaf(1.0), leaf(2.0)
    backward([x, w * 2], inputs=[w])
    assert x.grad is None
    assert w.grad.tolist() == [2]
    x.backward(inputs=w)
    assert x.grad is None


def test_backward_to_what_is_no_leaf():
    x, c = leaf(1.0), tn.ones(1)
    h = x * 2
    for bad, i in (([x, h], 1), (h, 0), ([c], 0)):
        with pytest.raises(
            GraphError,
            match=rf"backward: inputs\[{i}\] must be a leaf that requires a gradient; .* use autograd.grad",
        ):
            (h * 2).backward(inputs=bad)
    with pytest.raises(ArgumentError, match="backward: inputs must hold at least one tensor; got none"):
        h.backward(inputs=[])
    with pytest.raises(DTypeError, match=r"backward: inputs\[0\] must be a Tensor; got str"):
        h.backward(inputs=["x"])
    assert x.grad is None


def test_a_leaf_that_has_taken_over_other_data():
    x = leaf(1.0, 2.0, 3.0)
    y = (x * 2).sum()
    x.data = tn.zeros(5, 3)
    with pytest.raises(
        GraphError, match=r"a leaf has taken over data of shape \(5, 3\) since the forward, .* was \(3,\)"
    ):
        y.backward()
    assert x.grad is None
