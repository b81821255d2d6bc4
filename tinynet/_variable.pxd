from numpy cimport ndarray

from tinynet._graph cimport Leaf, Node, Op
from tinynet.ops.pending cimport Pending


cdef class Variable:
    cdef ndarray _array                         # None as long as nobody has read the result of a recipe,
    cdef Pending pending                        # which this is then
    cdef Node node                              # None: no gradient; a Leaf: a leaf that wants one
    cdef Leaf leaf                              # made with the first gradient asked for, kept for the variable's life
    cdef int index                              # which output of `node` this is
    cdef object __weakref__
    cdef object write(self, str op, object result)
    cdef int check_write(self, str op) except -1
    cdef int check_views(self, str op, Node node) except -1
    cdef object fill(self, str op, object value)
    cdef bint retaining(self)
    cdef int rebind(self, Node node, int index) except -1
    cdef object old(self, object other)


cdef tuple FLOATS                               # the dtypes that can be differentiated


cdef ndarray values(Variable t)
cdef ndarray form(Variable t)
cdef bint waits(Variable t) noexcept
cdef Variable wrap(ndarray array, Node node, int index)
cdef Variable shown(ndarray gradient)
cdef object run(Op op, tuple inputs, ndarray out=*)
