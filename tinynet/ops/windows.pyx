"""Which pixels a convolution sees: the geometry that all its functions share.

    forward    output (i, j) sees, under tap (r, s), pixel (i sh - ph + r dh, j sw - pw + s dw) of the image
    data       pixel (h, w) of the image sees, under tap (r, s), the output (i, j) for which h = i sh - ph + r dh, w = ...

`data` is cut into phases, one for each remainder (a, b) of a pixel by the stride: the pixels h = a + sh i see only the taps r
with (a + ph - r dh) % sh = 0, and those at distances that are whole: output i + (a + ph - r dh) / sh.  So each phase is a
forward of step 1 with a part of the kernel, last tap first, and no zeros between outputs are ever read.
"""

from tinynet.ops.kernels cimport tn_window
from tinynet.ops.layout cimport Map


cdef Pass forward_pass(Shape* z, Map* y, Map* x) noexcept:
    """Windows over the images x, outputs y."""
    cdef Pass p
    cdef tn_window* v = &p.window
    v.h, v.w, v.c, v.ld = z.h, z.w, z.c // z.groups, x.ld
    v.rows, v.columns, v.taps_h, v.taps_w = z.rows, z.columns, z.r, z.s
    v.step_h, v.step_w, v.offset_h, v.offset_w, v.gap_h, v.gap_w = z.step_h, z.step_w, -z.pad_h, -z.pad_w, z.gap_h, z.gap_w
    p.outputs, p.h, p.w, p.ld = z.n * z.rows * z.columns, z.rows, z.columns, y.ld
    p.first_h, p.first_w, p.every_h, p.every_w = 0, 0, 1, 1
    p.tap, p.tap_h, p.tap_w = 0, z.s, 1
    return p


# One axis of a phase: its pixels a + step i see `count` taps, tap last - t every at i + offset + t gap.
ctypedef struct Phase:
    Py_ssize_t pixels, count, offset, gap, last, every


cdef Phase phase(Py_ssize_t a, Py_ssize_t size, Py_ssize_t step, Py_ssize_t pad, Py_ssize_t gap, Py_ssize_t taps) noexcept:
    """One axis of the phase that begins at pixel a < size."""
    cdef Phase f
    cdef Py_ssize_t r
    f.pixels, f.count, f.offset, f.gap, f.last, f.every = (size - a + step - 1) // step, 0, 0, 1, 0, 1
    for r in range(taps):
        if (a + pad - r * gap) % step == 0:
            if f.count == 1:                                            # the distance of the first two is that of all
                f.every = r - f.last
            f.last = r
            f.count += 1
    if f.count > 0:
        f.offset = (a + pad - f.last * gap) // step
    if f.count > 1:
        f.gap = f.every * gap // step
    return f


cdef Pass data_pass(Shape* z, Map* x, Map* y, Py_ssize_t a_h, Py_ssize_t a_w) noexcept:
    """Windows over the outputs y, and pixels (a_h, a_w), one stride apart, of the images x."""
    cdef Pass p
    cdef tn_window* v = &p.window
    cdef Phase h = phase(a_h, z.h, z.step_h, z.pad_h, z.gap_h, z.r), w = phase(a_w, z.w, z.step_w, z.pad_w, z.gap_w, z.s)
    v.h, v.w, v.c, v.ld = z.rows, z.columns, z.k // z.groups, y.ld
    v.rows, v.columns, v.taps_h, v.taps_w = h.pixels, w.pixels, h.count, w.count
    v.step_h, v.step_w, v.offset_h, v.offset_w, v.gap_h, v.gap_w = 1, 1, h.offset, w.offset, h.gap, w.gap
    p.outputs, p.h, p.w, p.ld = z.n * v.rows * v.columns, z.h, z.w, x.ld
    p.first_h, p.first_w, p.every_h, p.every_w = a_h, a_w, z.step_h, z.step_w
    p.tap, p.tap_h, p.tap_w = h.last * z.s + w.last, -h.every * z.s, -w.every
    return p
