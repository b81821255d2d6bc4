from libc.stdint cimport uint64_t
from numpy cimport ndarray

from tinynet.ops.pending cimport Pending

cdef enum:
    MAX_SAVED = 6


cdef class Op:
    cdef readonly tuple needs                   # per input: is its gradient wanted?
    cdef readonly tuple saved                   # arrays (or None) that backward reads
    cdef uint64_t[MAX_SAVED] versions           # of their blocks when they were saved
    cdef bint by_output                         # backward reads the output alone, which may be written over the input
    cdef bint takes_pending                     # forward takes recipes (ops/pending.pyx) in place of arrays
    cdef Pending recipe                         # the recipe of its result: backward may be left to the op before it
    cdef bint final                             # set by the sweep: this backward is the last, may write over what was saved
    cdef object forward(self, tuple inputs, ndarray out)
    cdef tuple backward(self, object gy, tuple needs, tuple into)
    cdef int save(self, tuple arrays) except -1
    cdef int check_saved(self) except -1
    cdef bint takes_over(self, Op following)


cdef class Node:
    cdef Op op
    cdef tuple parents                          # per input: the Node that made it, or None
    cdef tuple indices                          # per input: which output of the parent it is; None: all 0
    cdef tuple needs
    cdef readonly int n_outputs
    cdef readonly uint64_t sequence             # rises with every node made
    cdef Watch watch                            # hooks and retained gradients; None: nobody looks
    cdef tuple place                            # where it was recorded, if anomalies are looked for
    cdef object __weakref__


cdef class Leaf(Node):
    cdef ndarray grad                           # the sum of all gradients so far, or None
    cdef object wrapped                         # the Tensor that shows `grad`, made when asked for
    cdef ndarray like                           # the leaf's own array: gradients take its layout


cdef class Deferred:
    cdef ndarray gradient                       # of the result of `op`,
    cdef Op op                                  # whose backward is still to be done


cdef class Watch:
    cdef dict hooks                             # output -> {id: function of an array that returns an array}
    cdef dict retained                          # output -> the Leaf that collects its gradient
    cdef dict after                             # of a leaf: {id: function}, called when its gradient has grown


cdef Watch watch_of(Node node)
cdef Node record(Op op, tuple parents, tuple indices, int n_outputs)
cdef int receive(dict held, Node node, int index, object g) except -1
cdef int sweep(dict held, bint retain_graph, dict captured=*, set path=*) except -1
cdef set paths(object roots, object targets)
