cdef int load_blas() except -1

# c (m, n) = alpha * op(a) op(b) + beta * c, all row-major with row strides lda, ldb, ldc; op transposes where asked.
# itemsize 4: float32, 8: float64.  Call it after load_blas, between blas_serial_begin
# and blas_serial_end; extents and strides must fit 32 bits (checks.blas_extent).
cdef void gemm(int itemsize, bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, double alpha,
               const void* a, Py_ssize_t lda, const void* b, Py_ssize_t ldb, double beta, void* c, Py_ssize_t ldc) noexcept nogil

# Both with the GIL held.
cdef void blas_serial_begin() noexcept
cdef void blas_serial_end() noexcept
