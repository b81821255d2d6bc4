"""The one file that knows BLAS: SciPy's, called from C, and its Fortran order.

A row-major (m, n) matrix is the same memory as a column-major (n, m) matrix, its transpose.  So C = A B for row-major
matrices is C' = B' A' for BLAS: the operands change places, and no data moves.

BLAS runs on one thread inside our parallel loops.  The limit is SciPy's own (process-global, only that copy of OpenBLAS);
it is set for the length of a loop and put back.  The setter is looked up once by its symbol: a call costs a fifth of a
microsecond, where threadpoolctl's context manager costs over twenty.
"""

import ctypes

import scipy.linalg.cython_blas
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport int64_t

# SciPy declares BLAS's integers as `int` up to 1.17 and as `blas_int` (32 or 64 bits) from 1.18 on.  The functions are
# taken from the module's capsules, which exist in both, and every integer is passed as the address of a 64-bit number: on a
# little-endian machine its first half is the 32-bit number.
ctypedef void (*sgemm_t)(char*, char*, int64_t*, int64_t*, int64_t*, float*, float*, int64_t*, float*, int64_t*, float*,
                         float*, int64_t*) noexcept nogil
ctypedef void (*dgemm_t)(char*, char*, int64_t*, int64_t*, int64_t*, double*, double*, int64_t*, double*, int64_t*, double*,
                         double*, int64_t*) noexcept nogil


cdef void* routine(name) except NULL:
    """The address of one of SciPy's BLAS routines."""
    capsule = scipy.linalg.cython_blas.__pyx_capi__[name]
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


cdef sgemm_t sgemm = <sgemm_t>routine("sgemm")
cdef dgemm_t dgemm = <dgemm_t>routine("dgemm")

ctypedef int (*get_threads_t)() noexcept nogil
ctypedef void (*set_threads_t)(int) noexcept nogil

cdef get_threads_t get_threads = NULL
cdef set_threads_t set_threads = NULL

LARGEST = 2**31 - 1                  # extents and strides must fit BLAS's int; checked by the ops before the GIL goes


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


cdef int blas_serial_begin() noexcept nogil:
    """Limit BLAS to one thread; returns the former number for `blas_serial_end`."""
    if set_threads == NULL:
        return 0
    cdef int former = get_threads()
    if former != 1:
        set_threads(1)
    return former


cdef void blas_serial_end(int former) noexcept nogil:
    if former > 1:
        set_threads(former)


def _find_limit():
    """Look up OpenBLAS's thread setter in the library that cython_blas is linked to."""
    global get_threads, set_threads
    cdef size_t address
    import threadpoolctl
    for info in threadpoolctl.threadpool_info():
        if info["internal_api"] != "openblas" or "scipy" not in info["filepath"]:
            continue
        library = ctypes.CDLL(info["filepath"])
        for prefix in ("scipy_", ""):
            for suffix in ("", "64_"):
                setter = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
                getter = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
                if setter is not None and getter is not None:
                    address = ctypes.cast(setter, ctypes.c_void_p).value
                    set_threads = <set_threads_t><void*>address
                    address = ctypes.cast(getter, ctypes.c_void_p).value
                    get_threads = <get_threads_t><void*>address
                    return info
    return None


_info = _find_limit()


def blas_info():
    """Name and version of the BLAS in use, and whether its threads can be limited by symbol."""
    if _info is None:
        return "SciPy's BLAS (threads not limited)"
    return f"OpenBLAS {_info.get('version')} ({_info.get('architecture')}, from SciPy)"
