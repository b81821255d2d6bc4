"""Padding by an array's own elements; by a constant it is `Pad` in shape.pyx.

Along an axis of n elements, before of which are put in front, y_j = x_i with i = j - before where x lies, and elsewhere

    reflect      i = |j - before|, or 2 (n - 1) - (j - before) behind the end: the outermost element is not repeated
    replicate    i = 0 or n - 1, whichever is nearer
    circular     i = (j - before) mod n; where a negative width cuts off, only what is left goes round
"""

from numpy cimport PyArray_NDIM, PyArray_TYPE, import_array, ndarray

from tinynet._graph cimport Op
from tinynet.ops.checks cimport shape_of
from tinynet.ops.layout cimport Map, new_nhwc
from tinynet.ops.memory cimport new_shaped, outline
from tinynet.ops.walk cimport assign

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

import_array()


cdef class Extend(Op):
    """y = x beyond its borders as `mode` says, along its last axes, one after the other; a negative width cuts off.

    `widths` is (before, after) of the last axis, then of the one before it, and so on.  gx = gy where x lies, plus what went
    elsewhere, axis by axis in reverse.  Saves x's outline.
    """

    cdef tuple widths
    cdef str mode
    cdef list steps                      # (axis, before, indices, outline of what was extended)

    arguments = ("input",)

    def __init__(self, widths, mode):
        self.widths, self.mode = tuple(widths), mode

    @property
    def name(self):
        return "pad"

    cdef object places(self, tuple shape, Py_ssize_t n, Py_ssize_t before, Py_ssize_t after):
        """For each element along the new axis, the index of the one that it shows."""
        cdef Py_ssize_t low = max(-before, 0), left = n - low - max(-after, 0)       # what is not cut off
        cdef Py_ssize_t most = n - 1 if self.mode == "reflect" else left
        if self.mode != "replicate" and max(before, after) > most:
            limit = "smaller than" if self.mode == "reflect" else "at most"
            raise ShapeError(f"pad: pad must be {limit} the extent it widens for mode '{self.mode}'; "
                             f"got {self.widths} for shape {shape}")
        if n + before + after < 1 or n < 1:
            raise ShapeError(f"pad: pad must leave at least one element of each axis for mode '{self.mode}'; "
                             f"got {self.widths} for shape {shape}")
        i = np.arange(-before, n + after)
        if self.mode == "circular":
            return (low + (i - low) % left).tolist()
        if self.mode == "reflect":
            i = np.where(i < n, abs(i), 2 * (n - 1) - i)
        return np.clip(i, 0, n - 1).tolist()

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], y
        cdef int nd = PyArray_NDIM(x), pair
        cdef tuple shape = shape_of(x)
        if len(self.widths) % 2 or len(self.widths) > 2 * nd or any([not hasattr(w, "__index__") for w in self.widths]):
            raise ArgumentError(f"pad: pad must be pairs of integers, at most one for each of the {nd} axes; got {self.widths}")
        self.steps = []
        plans = []
        for pair in range(len(self.widths) // 2):
            before, after = self.widths[2 * pair], self.widths[2 * pair + 1]
            plans.append((nd - 1 - pair, before, self.places(shape, shape[nd - 1 - pair], before, after)))
        for axis, before, places in plans:
            self.steps.append((axis, before, places, outline(x)))
            y = resized(x, axis, len(places))
            spread_out(y, x, axis, before, places)
            x = y
        return x

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray g = gy, pattern
        for axis, before, places, pattern in reversed(self.steps):
            g = gathered(g, pattern, axis, before, places)
        return (g,)


cdef ndarray resized(ndarray x, int axis, Py_ssize_t size):
    """Room for x with another extent of one axis: channels-last for images."""
    cdef Map m
    cdef list shape = list(shape_of(x))
    shape[axis] = size
    if len(shape) == 4:
        return new_nhwc(shape[0], shape[1], shape[2], shape[3], PyArray_TYPE(x), &m)
    return new_shaped(x, shape)


cdef tuple borders(Py_ssize_t n, Py_ssize_t before, list places):
    """(first, last, others): where x itself lies along the new axis, and the places that show other elements."""
    cdef Py_ssize_t first = min(max(before, 0), len(places)), last = max(min(before + n, len(places)), first)
    return first, last, list(range(first)) + list(range(last, len(places)))


cdef int spread_out(ndarray y, ndarray x, int axis, Py_ssize_t before, list places) except -1:
    """y_j = x_places[j] along the axis."""
    lead = (slice(None),) * axis
    first, last, others = borders((<object>x).shape[axis], before, places)
    assign((<object>y)[lead + (slice(first, last),)], (<object>x)[lead + (slice(first - before, last - before),)])
    for j in others:
        assign((<object>y)[lead + (slice(j, j + 1),)], (<object>x)[lead + (slice(places[j], places[j] + 1),)])
    return 0


cdef ndarray gathered(ndarray gy, ndarray pattern, int axis, Py_ssize_t before, list places):
    """gx_i = the sum of gy_j over places[j] = i, of the shape of `pattern`."""
    cdef ndarray gx = resized(gy, axis, (<object>pattern).shape[axis])
    cdef object target
    lead = (slice(None),) * axis
    first, last, others = borders((<object>pattern).shape[axis], before, places)
    (<object>gx).fill(0)
    assign((<object>gx)[lead + (slice(first - before, last - before),)], (<object>gy)[lead + (slice(first, last),)])
    for j in others:
        target = (<object>gx)[lead + (slice(places[j], places[j] + 1),)]
        np.add(target, (<object>gy)[lead + (slice(j, j + 1),)], target)
    return gx
