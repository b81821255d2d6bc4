"""The windows of pooling, axis by axis, and the options that say where they lie.

Window o of an axis covers the positions start + i d for the taps 0 <= i < kernel, of which those with first <= i < last lie
inside the map.

    regular     start = o stride - padding
    adaptive    start = floor(o size / count), with ceil((o + 1) size / count) - start taps

What is worked out here depends on sizes and options alone, and is kept for the next call unless it is large.
"""

cimport cython

from tinynet._graph cimport Op

from functools import lru_cache

import numpy as np

from tinynet import _check
from tinynet.errors import ArgumentError, ShapeError

cdef enum:
    KEPT = 4096                          # positions and windows, in all, up to which windows are remembered: 0.25 MB at most
    MOST_KEPT = 256                      # options, and windows, that are remembered: 60 MB at most
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


def regular(size, count, kernel, stride, padding, dilation):
    start = np.arange(count) * stride - padding
    return Windows(size, start, start + (kernel - 1) * dilation, kernel, dilation, padding)


def adaptive(size, count):
    o = np.arange(count)
    start, end = o * size // count, -(-(o + 1) * size // count) - 1
    return Windows(size, start, end, int((end - start).max()) + 1, 1, 0)


def output_extent(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit; with `ceil_mode` also one that ends beyond the padding, if it starts before it."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count


ONE_ROW = regular(1, 1, 1, 1, 0, 1)      # the rows of a map that has one axis


# ---- options that were checked ----------------------------------------------------------------------------------------

cdef dict known = {}                     # what options were made of -> Options
cdef dict planned = {}                   # (Options, size) -> the windows of rows and columns


cdef int keep(dict memory, tuple key, object value) except -1:
    if len(memory) >= MOST_KEPT:
        memory.clear()
    memory[key] = value
    return 0


@cython.final
cdef class Options:
    """The options of an op on windows, checked."""

    def __init__(self, kernel, stride, padding, dilation, ceil_mode, output_size=None):
        self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode = kernel, stride, padding, dilation, ceil_mode
        self.output_size = output_size

    cdef tuple windows(self, Op op, tuple size, double images):
        """The windows of rows and columns on a map of `size`, of which there are `images`; op is who asks."""
        cdef tuple key = (self, size), found = planned.get(key), count, windows
        if found is None:
            if self.output_size is not None:
                count = tuple([n if m is None else m for n, m in zip(size, self.output_size)])
            else:
                count = tuple([output_extent(*each, self.ceil_mode) for each in zip(size, *self.of_axes())])
                if min(count) < 1:
                    raise ShapeError(f"{op.name}: input must be large enough for one window of kernel_size {self.kernel} with "
                                     f"padding {self.padding} and dilation {self.dilation}; got {size}, which gives {count}")
            check_room(op, count, images)
            if self.output_size is not None:
                windows = tuple([adaptive(*each) for each in zip(size, count)])
            else:
                windows = tuple([regular(*each) for each in zip(size, count, *self.of_axes())])
            found = windows if len(windows) == 2 else (ONE_ROW, windows[0])
            if sum(size) + sum(count) <= KEPT:
                keep(planned, key, found)
        else:
            check_room(op, ((<Windows>found[0]).count, (<Windows>found[1]).count), images)
        return found

    cdef tuple of_axes(self):
        return self.kernel, self.stride, self.padding, self.dilation


cdef int check_room(Op op, tuple count, double images) except -1:
    cdef double elements = images
    for n in count:
        elements *= <double>n
    if elements > 1e17:
        raise ShapeError(f"{op.name}: an output of {count} per channel does not fit into memory")
    return 0


cdef Options regular_options(Op op, int axes, object kernel_size, object stride, object padding, object dilation,
                             object ceil_mode):
    """Options as they were given, checked: those that were checked before need only be found."""
    cdef bint plain = (type(kernel_size) is int and (stride is None or type(stride) is int) and type(padding) is int
                       and type(dilation) is int and type(ceil_mode) is bool)
    cdef tuple key = (axes, kernel_size, stride, padding, dilation, ceil_mode) if plain else None
    cdef object found = known.get(key) if plain else None
    if found is None:
        checked = window_options(op.name, axes, kernel_size, stride, padding, dilation)
        checked += (_check.boolean(op.name, "ceil_mode", ceil_mode),)
        if not plain:
            key = checked
            found = known.get(key)
        if found is None:
            found = Options(*checked)
            keep(known, key, found)
    return found


cdef Options adaptive_options(Op op, int axes, object output_size):
    cdef tuple key = ("adaptive", axes, output_size) if type(output_size) is int else None
    cdef object found = known.get(key) if key is not None else None
    if found is None:
        checked = output_extents(op.name, axes, output_size)
        found = known.get(checked)
        if found is None:
            found = Options(None, None, None, None, False, checked)
            keep(known, checked, found)
        if key is not None:
            keep(known, key, found)
    return found


cdef tuple divisors_of(Windows rows, Windows columns, bint count_include_pad, object divisor_override):
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
