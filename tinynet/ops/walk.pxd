from numpy cimport ndarray

ctypedef void (*combine_t)(float* y, const float* a, const float* b, Py_ssize_t n, int da, int db) noexcept nogil

# Up to three float32 arrays gone through together, in the order of the first one's memory: `rows` runs of n elements.
# Array k begins at data[k]; along a run it takes steps of inner[k] elements, from run to run steps[k] along three axes of
# `sizes` runs, outermost first.  `pieces` of work: `across` to a run that is long, `step` runs together that are short.
ctypedef struct Walk:
    Py_ssize_t n, rows, pieces, across, step
    Py_ssize_t sizes[3]
    float* data[3]
    Py_ssize_t inner[3]
    Py_ssize_t steps[3][3]


# Some of the runs that lie evenly: `count` of them, the first of which begins at[k] elements into array k.
ctypedef struct Stretch:
    Py_ssize_t count
    Py_ssize_t[3] at


cdef bint plan(Walk* w, ndarray y, ndarray a, ndarray b) noexcept
cdef Stretch stretch(const Walk* w, Py_ssize_t row, Py_ssize_t last) noexcept nogil
cdef bint combine(combine_t f, ndarray y, ndarray a, ndarray b) noexcept
cdef int assign(ndarray y, ndarray x) except -1
