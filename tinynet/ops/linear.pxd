from numpy cimport ndarray, npy_intp


cdef enum:
    DEPTH = 1024                         # rows of b packed at a time: few enough for an L2 cache with any panel
    ROWS = 480                           # rows of a piece: a multiple of every tile height, long against packing a panel


ctypedef struct Matrix:
    char* data                           # element (i, j) is at data[(i * rows + j * columns) * itemsize]
    Py_ssize_t rows, columns
    bint transposed                      # for BLAS: the memory holds the transpose, row by row,
    Py_ssize_t ld                        # and this is the distance between its rows

ctypedef struct Cut:
    Py_ssize_t rows, columns             # of a piece
    Py_ssize_t across, pieces            # how many are side by side, and in all


cdef Py_ssize_t batch_of(double work, int threads) noexcept
cdef Matrix matrix(ndarray x, bint transposed) noexcept
cdef bint blas_can_read(Matrix* x, Py_ssize_t rows, Py_ssize_t columns) noexcept
cdef void rectangle(float* c, Matrix a, Matrix b, const float* bias, float* packed, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                    Py_ssize_t ldc, bint accumulate) noexcept nogil
cdef Py_ssize_t room(Py_ssize_t k, Py_ssize_t n) noexcept nogil
cdef bint takes_panels(int itemsize, double work) noexcept
cdef int product(str op, ndarray c, ndarray a, bint ta, ndarray b, bint tb, ndarray bias, bint accumulate) except -1
cdef ndarray flat_rows(ndarray x)
cdef ndarray summand(tuple into, int i, npy_intp m, npy_intp n, ndarray g, bint* more)
