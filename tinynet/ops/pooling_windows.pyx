"""The windows of pooling, axis by axis, and the options that say where they lie.

Window o of an axis covers the positions start + i d for the taps 0 <= i < kernel, of which those with first <= i < last lie
inside the map.

    regular     start = o stride - padding
    adaptive    start = floor(o size / count), with ceil((o + 1) size / count) - start taps

What is worked out here depends on sizes and options alone, and is kept for the next call unless it is large.
"""

cimport cython
from functools import lru_cache

import numpy as np

from tinynet import _check
from tinynet.errors import ArgumentError

cdef enum:
    KEPT = 4096                          # the sum of the arguments up to which windows are remembered: tables of 0.5 MB at most
    KEPT_DIVISORS = 1 << 14              # divisors up to which they are remembered: 8 MB in all at most


# ---- arguments --------------------------------------------------------------------------------------------------------

def window_options(owner, axes, kernel_size, stride, padding, dilation=1):
    """kernel_size, stride (None: kernel_size), padding and dilation as tuples of `axes` ints; raises where they do not fit."""
    cdef tuple kernel = extents(owner, "kernel_size", kernel_size, axes, 1)
    cdef tuple steps = kernel if stride is None else extents(owner, "stride", stride, axes, 1)
    cdef tuple pads = extents(owner, "padding", padding, axes, 0)
    cdef Py_ssize_t k, p
    for k, p in zip(kernel, pads):
        if 2 * p > k:
            raise ArgumentError(f"{owner}: padding must be at most half of kernel_size {kernel_size!r}; got {padding!r}")
    return kernel, steps, pads, extents(owner, "dilation", dilation, axes, 1)


cdef tuple extents(owner, name, value, axes, minimum):
    """`_check.extents`, for one number without a call of Python."""
    if type(value) is int and minimum <= value <= LARGEST:
        return (value,) * axes
    return _check.extents(owner, name, value, axes, minimum)


def checked_divisor(owner, divisor_override):
    """The divisor_override of a mean: an int other than 0, or None."""
    if divisor_override is None:
        return None
    number = _check.integer(owner, "divisor_override", divisor_override)
    if number == 0 or abs(number) > LARGEST:
        raise ArgumentError(f"{owner}: divisor_override must be an int other than 0 of at most {LARGEST}, or None; got {number}")
    return number


def output_extents(owner, axes, output_size):
    """The output_size of adaptive pooling as a tuple of `axes` positive ints or None."""
    values = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,)
    if len(values) not in (1, axes):
        raise ArgumentError(f"{owner}: output_size must be an int or {axes} of them; got {output_size!r}")
    numbers = tuple([None if v is None else _check.extents(owner, "output_size", v, 1, 1)[0] for v in values])
    return numbers if len(numbers) == axes else numbers * axes


# ---- windows ----------------------------------------------------------------------------------------------------------

@cython.final
cdef class Windows:
    """The windows of one axis of `size` positions; see the .pxd for what it tells."""

    def __init__(self, size, start, end, kernel, dilation, padding):
        """`start` and `end`: the positions of each window's first and last tap, wherever they are; both in rising order."""
        at = np.arange(size)
        first = np.maximum(-(start // dilation), 0)                     # ceil(-start / dilation)
        last = np.minimum((np.minimum(end, size - 1) - start) // dilation + 1, kernel)
        self.size, self.count, self.kernel, self.dilation = size, len(start), kernel, dilation
        self.table = np.stack([start, first, last], axis=1)
        self.inside = np.stack([start + first, start + last], axis=1)
        self.touching = np.stack([np.searchsorted(end, at, "left"), np.searchsorted(start, at, "right")], axis=1)
        self.filled = bool((last > first).all())
        self.lengths = np.stack([last - first, np.minimum(end, size + padding - 1) - start + 1]).astype(np.float64)

    cdef slice positions(self, Py_ssize_t o):
        """The positions of window o that lie inside the map."""
        start, first, last = self.table[o].tolist()
        return slice(start + first * self.dilation, start + (last - 1) * self.dilation + 1, self.dilation)


def kept(function):
    """A function of (sizes, ...) that remembers its last results where the sizes are small: making them takes as long as pooling
    a small map.  The tables of regular windows are as long as the sizes, about.
    """
    remembered = lru_cache(maxsize=256)(function)

    def chosen(size, *others):
        return (remembered if sum(size) <= KEPT else function)(size, *others)

    return chosen


def regular(size, count, kernel, stride, padding, dilation):
    start = np.arange(count) * stride - padding
    return Windows(size, start, start + (kernel - 1) * dilation, kernel, dilation, padding)


def adaptive(size, count):
    o = np.arange(count)
    start, end = o * size // count, -(-(o + 1) * size // count) - 1
    return Windows(size, start, end, int((end - start).max()) + 1, 1, 0)


@kept
def regular_windows(size, count, kernel, stride, padding, dilation):
    """The `Windows` of each axis; the arguments are tuples with a number for each."""
    return tuple([regular(*each) for each in zip(size, count, kernel, stride, padding, dilation)])


def adaptive_windows(size, count):
    """The `Windows` of each axis that divide it into `count` parts."""
    return (kept_adaptive if sum(size) + sum(count) <= KEPT else make_adaptive)(size, count)


def make_adaptive(size, count):
    return tuple([adaptive(*each) for each in zip(size, count)])


kept_adaptive = lru_cache(maxsize=256)(make_adaptive)


def divisors_of(Windows rows, Windows columns, count_include_pad, divisor_override):
    """The divisor of the mean over each window, (P, Q) float64, the same in float32, and its reciprocal in float32."""
    small = rows.size + columns.size + rows.count + columns.count <= KEPT and rows.count * columns.count <= KEPT_DIVISORS
    return (kept_divisors if small else make_divisors)(rows, columns, count_include_pad, divisor_override)


def make_divisors(Windows rows, Windows columns, count_include_pad, divisor_override):
    taps = 1 if count_include_pad else 0
    exact = np.multiply.outer(rows.lengths[taps], columns.lengths[taps])
    if divisor_override is not None:
        exact[...] = divisor_override
    return exact, exact.astype(np.float32), (1.0 / exact).astype(np.float32)


kept_divisors = lru_cache(maxsize=32)(make_divisors)


@kept
def output_extents_of(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit along each axis."""
    return tuple([output_extent(*each, ceil_mode) for each in zip(size, kernel, stride, padding, dilation)])


def output_extent(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit; with `ceil_mode` also one that ends beyond the padding, if it starts before it."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count
