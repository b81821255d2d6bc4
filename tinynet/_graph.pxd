from libc.stdint cimport uint64_t
from numpy cimport ndarray

cdef enum:
    MAX_SAVED = 6


cdef class Op:
    cdef readonly tuple needs                   # per input: is its gradient wanted?
    cdef readonly tuple saved                   # arrays (or None) that backward reads
    cdef uint64_t[MAX_SAVED] versions           # of their blocks when they were saved
    cdef object forward(self, tuple inputs, ndarray out)
    cdef tuple backward(self, object gy, tuple needs, tuple into)
    cdef int save(self, tuple arrays) except -1
    cdef int check_saved(self) except -1


cdef class Node:
    cdef Op op
    cdef tuple parents                          # per input: the Node that made it, or None
    cdef tuple indices                          # per input: which output of the parent it is; None: all 0
    cdef tuple needs
    cdef readonly int n_outputs
    cdef readonly uint64_t sequence             # rises with every node made
    cdef object __weakref__


cdef class Leaf(Node):
    cdef ndarray grad                           # the sum of all gradients so far, or None
    cdef object wrapped                         # the Tensor that shows `grad`, made when asked for
    cdef ndarray like                           # the leaf's own array: gradients take its layout


cdef Node record(Op op, tuple parents, tuple indices, int n_outputs)
cdef int sweep(Node root, int index, ndarray gradient, bint retain_graph) except -1
