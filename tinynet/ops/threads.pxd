cdef extern from "region.h" nogil:
    unsigned long tn_enter() noexcept
    void tn_leave(unsigned long mode) noexcept


# Multiply-adds (or elements times the passes over them) below which a region is not worth its start and barrier, and the
# most pieces a sum is split into.  The split depends on the shape alone, never on the number of threads.
cdef enum:
    SERIAL_WORK = 40000
    SLOTS = 16

cdef int team(double work) noexcept nogil
