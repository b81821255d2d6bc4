"""Every row of the table of ops at shapes, layouts and dtypes that hypothesis draws (see ops_cases.py).

A shape is made from one of the row's own: each extent above 1 is replaced by another, everywhere alike, so
what must agree still agrees.  Extents of 0 and 1 stay, and occur in the rows.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops_cases import CASES, Case, Shapes
from ops_running import LAYOUTS, check, directional_error

import tinynet as tn
from tinynet.ops import threads


@st.composite
def shapes_of(draw: st.DrawFn, case: Case) -> Shapes:
    """The shapes of the inputs of one call."""
    shapes = draw(st.sampled_from(case.shapes))
    extents = sorted({n for shape in shapes for n in shape if n > 1})
    new = {
        n: n if case.fixed else draw(st.integers(case.least, 11), label=f"in place of {n}") for n in extents
    }
    return tuple(tuple(new.get(n, n) for n in shape) for shape in shapes)


each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
few = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@each_case
@few
@given(data=st.data())
def test_values_and_gradients(case: Case, data: st.DataObject) -> None:
    """Values against the float64 reference, gradients against those in C order on one thread."""
    shapes = data.draw(shapes_of(case), label="shapes")
    layout = data.draw(st.sampled_from(["C", *LAYOUTS]), label="layout")
    dtype = data.draw(st.sampled_from([np.float32, np.float64]), label="dtype")
    number = data.draw(st.integers(1, 3), label="threads")
    arrays = case.draw(np.random.default_rng(data.draw(st.integers(0, 99), label="seed")), shapes, dtype)
    lay = LAYOUTS.get(layout)
    laid = arrays if lay is None else [a if (b := lay(a)) is None else b for a in arrays]
    before, bound = tn.get_num_threads(), threads._set_serial_work(0)
    tn.set_num_threads(number)
    try:
        check(case, shapes, layout, laid, lay)
    finally:
        tn.set_num_threads(before)
        threads._set_serial_work(bound)


@each_case
@few
@given(data=st.data())
def test_gradients_are_derivatives(case: Case, data: st.DataObject) -> None:
    """Gradients in float64 against finite differences of the reference."""
    shapes = data.draw(shapes_of(case), label="shapes")
    rng = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))
    arrays = case.draw(rng, shapes)
    if all(a.size for a in arrays):
        assert directional_error(case, arrays, rng) <= 1e-6
