from numpy cimport ndarray

from tinynet._graph cimport Op

cdef enum:
    LARGEST = 2147483647                 # of kernel_size, stride, padding and dilation, so that no product overflows


cdef class Windows:
    cdef Py_ssize_t size
    cdef Py_ssize_t count                # windows
    cdef Py_ssize_t kernel               # taps of a window at most
    cdef Py_ssize_t dilation
    cdef ndarray table                   # (count, 3): start, first, last
    cdef ndarray inside                  # (count, 2): start + first, start + last: the positions, where dilation is 1
    cdef ndarray touching                # (size, 2): windows o with from <= o < to are the only ones that may cover a position
    cdef bint filled                     # whether each window has a tap inside the map
    cdef ndarray lengths                 # (2, count) float64: taps inside the map, and taps inside the padded map
    cdef slice positions(self, Py_ssize_t o)


cdef class Options:
    cdef tuple kernel, stride, padding, dilation         # a number for each axis
    cdef bint ceil_mode
    cdef tuple output_size               # of adaptive pooling: a number or None for each axis; None: regular
    cdef tuple windows(self, Op op, tuple size, double images)
    cdef tuple of_axes(self)


cdef Options regular_options(Op op, int axes, object kernel_size, object stride, object padding, object dilation,
                             object ceil_mode)
cdef Options adaptive_options(Op op, int axes, object output_size)
cdef tuple divisors_of(Windows rows, Windows columns, bint count_include_pad, object divisor_override)
