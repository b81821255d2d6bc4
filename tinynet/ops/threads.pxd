cdef extern from "region.h" nogil:
    unsigned long tn_enter() noexcept
    void tn_leave(unsigned long mode) noexcept


# Work is counted in units of a float32 multiply-add at full speed, about 0.01 ns.  Below SERIAL_WORK (2 us) a parallel region is
# not worth its start and barrier (`python -m benchmarks serial_work`).  SLOTS: the most ranges that a sum is split into; the
# split depends on the shape alone, never on the number of threads.
cdef enum:
    SERIAL_WORK = 200000
    SLOTS = 16
    APART = 1024                     # float32, a page, between two threads' scratch: what a core fetches ahead, none writes
    PIECE = 8192                     # elements of a piece of an elementwise loop: 32 KiB of float32, an L1 cache

cdef int team(double work, Py_ssize_t pieces) noexcept nogil
