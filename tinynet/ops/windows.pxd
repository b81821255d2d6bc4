from tinynet.ops.kernels cimport tn_window
from tinynet.ops.layout cimport Map


# A convolution of images (n, c, h, w) with a kernel (k, c / groups, r, s): output (i, j) of (rows, columns) sees, under
# tap (r, s), pixel (i * step_h - pad_h + r * gap_h, j * step_w - pad_w + s * gap_w).
ctypedef struct Shape:
    Py_ssize_t n, c, h, w
    Py_ssize_t k, rows, columns
    Py_ssize_t groups, r, s
    Py_ssize_t step_h, step_w, pad_h, pad_w, gap_h, gap_w


# One pass over a source: every window gives a pixel of a destination.
ctypedef struct Pass:
    tn_window window                     # over the source
    Py_ssize_t outputs                   # of the window, through all images
    Py_ssize_t h, w, ld                  # of the destination: output (i, j) is its pixel
    Py_ssize_t first_h, first_w, every_h, every_w        # (first_h + i every_h, first_w + j every_w)
    Py_ssize_t tap, tap_h, tap_w         # tap (r, s) of the window is number tap + r tap_h + s tap_w of the kernel


cdef Pass forward_pass(Shape* z, Map* y, Map* x) noexcept
cdef Pass data_pass(Shape* z, Map* x, Map* y, Py_ssize_t a_h, Py_ssize_t a_w) noexcept


cdef inline Py_ssize_t up(Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """n rounded up to a multiple of step."""
    return (n + step - 1) // step * step
