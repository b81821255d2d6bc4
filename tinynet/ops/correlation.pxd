from numpy cimport ndarray

from tinynet.ops.layout cimport Map


# A convolution of images (n, c, h, w) with a kernel (k, c / groups, r, s): output (i, j) of (rows, columns) sees, under tap (r, s),
# pixel (i * step_h - pad_h + r * gap_h, j * step_w - pad_w + s * gap_w).
ctypedef struct Shape:
    Py_ssize_t n, c, h, w
    Py_ssize_t k, rows, columns
    Py_ssize_t groups, r, s
    Py_ssize_t step_h, step_w, pad_h, pad_w, gap_h, gap_w


cdef int forward(Shape* shape, Map* y, Map* x, ndarray w, ndarray b) except -1
cdef int data(Shape* shape, Map* x, Map* y, ndarray w, ndarray b) except -1
cdef int weights(Shape* shape, ndarray gw, Map* x, Map* y) except -1
