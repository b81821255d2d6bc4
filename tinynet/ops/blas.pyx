"""The one file that knows BLAS: SciPy's, called from C, and its Fortran order.

A row-major (m, n) matrix is the same memory as a column-major (n, m) matrix, its transpose.  So C = A B for row-major
matrices is C' = B' A' for BLAS: the operands change places, and no data moves.

BLAS runs on one thread inside our parallel loops.  The limit is SciPy's own (process-global, only that copy of OpenBLAS);
it is set for the length of a loop and put back.  The setter is looked up once by its symbol: a call costs a fifth of a
microsecond, where threadpoolctl's context manager costs over twenty.
"""

import ctypes
import os

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport int64_t

# SciPy declares BLAS's integers as `int` up to 1.17 and as `blas_int` (32 or 64 bits) from 1.18 on.  The functions are
# taken from the module's capsules, which exist in both, and every integer is passed as the address of a 64-bit number: on a
# little-endian machine its first half is the 32-bit number.
ctypedef void (*sgemm_t)(char*, char*, int64_t*, int64_t*, int64_t*, float*, float*, int64_t*, float*, int64_t*, float*,
                         float*, int64_t*) noexcept nogil
ctypedef void (*dgemm_t)(char*, char*, int64_t*, int64_t*, int64_t*, double*, double*, int64_t*, double*, int64_t*, double*,
                         double*, int64_t*) noexcept nogil


ctypedef int (*get_threads_t)() noexcept nogil
ctypedef void (*set_threads_t)(int) noexcept nogil

cdef sgemm_t sgemm = NULL
cdef dgemm_t dgemm = NULL
cdef get_threads_t get_threads = NULL
cdef set_threads_t set_threads = NULL
cdef object library_info = None


cdef int load_blas() except -1:
    """Find the routines, at the first product that needs them: importing scipy.linalg takes longer than all of tinynet."""
    global sgemm, dgemm, library_info
    if dgemm == NULL:
        import scipy.linalg.cython_blas
        capsules = scipy.linalg.cython_blas.__pyx_capi__
        sgemm = <sgemm_t>PyCapsule_GetPointer(capsules["sgemm"], PyCapsule_GetName(capsules["sgemm"]))
        dgemm = <dgemm_t>PyCapsule_GetPointer(capsules["dgemm"], PyCapsule_GetName(capsules["dgemm"]))
        library_info = find_limit()
    return 0


cdef void gemm(int itemsize, bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, double alpha,
               const void* a, Py_ssize_t lda, const void* b, Py_ssize_t ldb, double beta, void* c, Py_ssize_t ldc) noexcept nogil:
    cdef char ta = b"T" if trans_a else b"N"
    cdef char tb = b"T" if trans_b else b"N"
    cdef int64_t m_ = m, n_ = n, k_ = k, lda_ = max(lda, 1), ldb_ = max(ldb, 1), ldc_ = max(ldc, 1)
    cdef float alpha_s = <float>alpha, beta_s = <float>beta
    # c' = op(b)' op(a)'
    if itemsize == 4:
        sgemm(&tb, &ta, &n_, &m_, &k_, &alpha_s, <float*>b, &ldb_, <float*>a, &lda_, &beta_s, <float*>c, &ldc_)
    else:
        dgemm(&tb, &ta, &n_, &m_, &k_, &alpha, <double*>b, &ldb_, <double*>a, &lda_, &beta, <double*>c, &ldc_)


cdef int limited = 0                 # loops that run now, in all Python threads
cdef int former = 0                  # BLAS's number of threads before the first of them


cdef void blas_serial_begin() noexcept:
    """Limit BLAS to one thread until the last loop that asked for it has ended."""
    global limited, former
    if set_threads == NULL:
        return
    if limited == 0:
        former = get_threads()
        if former != 1:
            set_threads(1)
    limited += 1


cdef void blas_serial_end() noexcept:
    global limited
    if set_threads == NULL:
        return
    limited -= 1
    if limited == 0 and former > 1:
        set_threads(former)


cdef object find_limit():
    """Look up the thread setter of the OpenBLAS that SciPy's BLAS calls end in; its description, or None."""
    global get_threads, set_threads
    cdef size_t address
    import threadpoolctl
    found = [info for info in threadpoolctl.threadpool_info() if info["internal_api"] == "openblas"]
    # NumPy's wheels carry a copy of their own (numpy.libs); a system's OpenBLAS serves both.
    found.sort(key=lambda info: "numpy" in os.path.basename(os.path.dirname(info["filepath"])))
    for info in found[:1]:
        library = ctypes.CDLL(info["filepath"])
        for name in ("scipy_openblas_{}_num_threads", "scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"):
            setter = getattr(library, name.format("set"), None)
            getter = getattr(library, name.format("get"), None)
            if setter is not None and getter is not None:
                address = ctypes.cast(setter, ctypes.c_void_p).value
                set_threads = <set_threads_t><void*>address
                address = ctypes.cast(getter, ctypes.c_void_p).value
                get_threads = <get_threads_t><void*>address
                return info
    return None


def blas_info():
    """Name and version of the BLAS in use, and whether its threads can be limited."""
    load_blas()
    if library_info is None:
        return "SciPy's BLAS (threads not limited)"
    return f"OpenBLAS {library_info.get('version')} ({library_info.get('architecture')}, from SciPy)"
