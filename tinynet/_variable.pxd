from numpy cimport ndarray

from tinynet._graph cimport Node, Op


cdef class Variable:
    cdef ndarray _array
    cdef Node node                              # None: no gradient; a Leaf: a leaf that wants one
    cdef int index                              # which output of `node` this is
    cdef object __weakref__
    cdef object write(self, str op, object result)
    cdef object old(self, object other)


cdef ndarray values(Variable t)
cdef Variable wrap(ndarray array, Node node, int index)
cdef object run(Op op, tuple inputs)
