"""Every op against its reference: values and gradients over layouts, threads, dtypes (see ops_cases.py)."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import CASES, Case, draw
from ops_running import (
    LAYOUTS,
    assert_near,
    case_dtype,
    check,
    directional_error,
    eps_of,
    largest,
    leaf,
    run,
)

import tinynet as tn
from tinynet import ops
from tinynet._graph import Op
from tinynet.nn import functional as F

DTYPES = (np.float32, np.float64)
ABSTRACT = {
    "Activation",
    "Binary",
    "Windows",
    "OfInput",
    "OfOutput",
    "OneOfTwo",
    "Pool",
    "Step",
    "Unary",
    "ElementLoss",
    "LabelLoss",
    "WeightedMean",
    "Reduction",
}  # give no function of their own
NO_GRADIENT = {"one_hot"}  # doors of no op

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)


def subclasses(kind: type) -> set[type]:
    return {kind, *(s for k in kind.__subclasses__() for s in subclasses(k))}


# ---- the table is complete -----------------------------------------------------------------------


def test_every_op_has_a_row() -> None:
    for module in pkgutil.iter_modules(ops.__path__, "tinynet.ops."):
        importlib.import_module(module.name)
    in_library = {k for k in subclasses(Op) if k.__module__.startswith("tinynet") and k is not Op}
    missing = {k.__name__ for k in in_library} - ABSTRACT - {c.op.__name__ for c in CASES}
    assert not missing, f"without a row in ops_cases.py: {sorted(missing)}"


def test_every_door_has_a_row() -> None:
    rows = {c.name.split("_")[0] for c in CASES} | {c.node for c in CASES}
    missing = [name for name in F.__all__ if name not in rows | NO_GRADIENT]
    assert not missing, f"without a row in ops_cases.py: {missing}"


def test_names_of_rows_are_unique() -> None:
    assert len({c.name for c in CASES}) == len(CASES)


@each_case
def test_door_records_its_op(case: Case, rng: np.random.Generator) -> None:
    """The door ends in a node of its op; backward gives each input a gradient of its shape and dtype."""
    leaves = [leaf(a) for a in case.draw(rng, case.shapes[0])]
    y = case.door(*leaves)
    assert y.grad_fn is not None
    assert y.grad_fn.name == (case.node or case.op.__name__.lower())
    y.backward(tn.ones(y.shape, dtype=y.dtype))
    for t in leaves:
        assert t.grad is not None
        assert (t.grad.shape, t.grad.dtype) == (t.shape, t.dtype)
        assert np.isfinite(t.grad.numpy()).all()


# ---- values ---------------------------------------------------------------------------------------


@each_dtype
@each_case
def test_values_and_gradients_in_every_layout(
    case: Case, dtype: type, threads: int, rng: np.random.Generator
) -> None:
    """Values against the reference, gradients against those of the same values in C order."""
    for shapes in case.shapes:
        arrays = case.draw(rng, shapes, dtype)
        check(case, shapes, "C", arrays, None)
        for name, lay in LAYOUTS.items():
            laid = [lay(a) for a in arrays]
            if all(a is None for a in laid):
                continue
            check(case, shapes, name, [a if b is None else b for a, b in zip(arrays, laid, strict=True)], lay)


@each_dtype
@pytest.mark.parametrize("case", [c for c in CASES if not c.random], ids=lambda c: c.name)
def test_mixed_layouts(case: Case, dtype: type, rng: np.random.Generator) -> None:
    """Inputs and the output's gradient each in a layout of its own, against all of them in C order."""
    layouts = [f for name, f in LAYOUTS.items() if not name.startswith("zero")]
    for shapes in (*case.shapes, case.shapes[0], case.shapes[0]):
        plain = case.draw(rng, shapes, dtype)
        y, _ = run(case, plain)
        g = np.asarray(rng.standard_normal(y.shape), y.dtype)
        _, expected = run(case, plain, g)
        picks = [layouts[i] for i in rng.integers(len(layouts), size=len(plain) + 1)]
        laid = [a if (b := f(a)) is None else b for f, a in zip(picks, [*plain, g], strict=True)]
        z, gradients = run(case, laid[:-1], laid[-1])
        eps, what = eps_of(dtype, y.dtype), f"{case.name} of {shapes} in {[f.__name__ for f in picks]}"
        assert_near(z, y.astype(np.float64), eps, 2 * case.ulps, largest(y, *plain), what)
        for i, (a, b) in enumerate(zip(gradients, expected, strict=True)):
            size = max(largest(b), case.floor * largest(g))
            assert_near(a, b.astype(np.float64), eps, 2 * case.grad_ulps, size, f"gradient {i} of {what}")


# ---- gradients ------------------------------------------------------------------------------------


@each_case
def test_directional_gradient(case: Case, rng: np.random.Generator) -> None:
    for shapes in case.shapes:
        arrays = case.draw(rng, shapes)
        if all(a.size for a in arrays):
            error = directional_error(case, arrays, rng)
            assert error <= 1e-6, f"{case.name} of {shapes}: relative error {error:.3g}"


@each_case
def test_float32_gradients_follow_float64(case: Case, rng: np.random.Generator) -> None:
    for shapes in (*case.shapes, case.large):
        arrays = case.draw(rng, shapes)
        shape = case.door(*(tn.from_numpy(a) for a in arrays)).shape
        cotangent = draw(rng, shape, "normal")
        kinds = [(d, case_dtype(case, np.dtype(d))) for d in DTYPES]
        single, double = (run(case, [a.astype(d) for a in arrays], cotangent.astype(out)) for d, out in kinds)
        for i, (g, h) in enumerate(zip(single[1], double[1], strict=True)):
            size = max(largest(h), case.floor * largest(cotangent))
            what = f"gradient {i} of {case.name} of {shapes}"
            assert_near(g, h.astype(np.float64), eps_of(np.float32), case.grad_ulps, size, what)


@each_dtype
@each_case
def test_gradients_asked_for_one_by_one(case: Case, dtype: type, rng: np.random.Generator) -> None:
    """The gradient of an input is the same whether or not the others want theirs."""
    for shapes in case.shapes[:2]:
        arrays = case.draw(rng, shapes, dtype)
        y, _ = run(case, arrays)
        g = np.asarray(rng.standard_normal(y.shape), y.dtype)
        _, together = run(case, arrays, g)
        for i in range(len(arrays)):
            inputs = [leaf(a) if j == i else tn.from_numpy(a) for j, a in enumerate(arrays)]
            case.door(*inputs).backward(tn.from_numpy(g))
            assert inputs[i].grad is not None
            assert inputs[i].grad.numpy().tobytes() == together[i].tobytes()
            assert all(t.grad is None for j, t in enumerate(inputs) if j != i)


@each_dtype
@each_case
def test_backward_twice(case: Case, dtype: type, rng: np.random.Generator) -> None:
    """A retained graph gives the same gradient again; the gradients add up, and nobody's arrays change."""
    for shapes in case.shapes[:2]:
        arrays = case.draw(rng, shapes, dtype)
        leaves = [leaf(a) for a in arrays]
        y = case.door(*leaves)
        g = np.asarray(rng.standard_normal(y.shape), y.dtype)
        values, cotangent, before = y.detach().numpy().copy(), g.copy(), [a.copy() for a in arrays]
        y.backward(tn.from_numpy(g), retain_graph=True)
        once = [t.grad.numpy().copy() for t in leaves]
        y.backward(tn.from_numpy(g))
        for t, h in zip(leaves, once, strict=True):
            assert t.grad.numpy().tobytes() == (h + h).tobytes()
        assert y.detach().numpy().tobytes() == values.tobytes()
        assert g.tobytes() == cotangent.tobytes()
        assert all(a.tobytes() == b.tobytes() for a, b in zip(arrays, before, strict=True))


@each_case
def test_nothing_is_recorded_without_need(case: Case, rng: np.random.Generator) -> None:
    arrays = case.draw(rng, case.shapes[0])
    y = case.door(*(tn.from_numpy(a) for a in arrays))
    assert not y.requires_grad
    with tn.no_grad():
        z = case.door(*(leaf(a) for a in arrays))
    assert not z.requires_grad
    assert z.is_leaf
    assert y.numpy().tobytes() == z.numpy().tobytes()


sides = st.integers(1, 9)


@settings(max_examples=40)
@given(n=sides, c=st.integers(1, 35), k=st.integers(1, 35), seed=st.integers(0, 2**32 - 1))
def test_gradients_of_any_shape(n: int, c: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name, shapes in {
        "mul": ((n, c), (c,)),
        "div": ((n, c), (c,)),
        "pow": ((n, 1), (c,)),
        "remainder": ((c,), (n, c)),
        "where": ((n, 1), (c,)),
        "erf": ((n, c),),
        "rsqrt": ((n, c),),
        "linear": ((n, c), (k, c), (k,)),
        "matmul": ((n, c), (c, k)),
        "matmul_T": ((c, n), (k, c)),
        "sigmoid": ((n, c),),
        "log_softmax": ((n, c),),
        "cross_entropy": ((n, c),),
        "bn_train": ((n + 4, c, k), (c,), (c,)),
        "sum_dim": ((n, c, k),),
        "index": ((n + 1, c, k),),
    }.items():
        case = next(x for x in CASES if x.name == name)
        arrays = case.draw(rng, shapes)
        assert directional_error(case, arrays, rng) <= 1e-6, (name, shapes)
