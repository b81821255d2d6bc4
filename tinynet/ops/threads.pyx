"""How many threads a parallel loop gets.

The loops themselves are prange loops beside the ops they belong to.  Each asks `team` for its number of threads:
1 where the work is too small to share, else the number set for the process - always the same number, since OpenMP's runtime
rebuilds its threads when the size of the team changes.  For 1 thread the loop is written out without OpenMP, for which a
region of one thread costs 0.3 to 0.8 us (`python -m benchmarks overhead`), as much as a small op.
Inside a loop every piece of work is wrapped in
`tn_enter`/`tn_leave` (csrc/region.h), on the serial branch too, so that the arithmetic is the same everywhere.

`TINYNET_PIN=1` in the environment keeps each of OpenMP's workers on a CPU of its own.  Some systems put a worker that slept on
the CPU where its master already runs, and a region then waits some milliseconds (`python -m benchmarks threads`).  Not the
default: two such processes would fight for the same CPUs.  The thread that calls is not pinned, since all threads that it
starts later (the loader's, another library's) would inherit its one CPU.

After a fork the child runs with one thread: the runtime's workers do not survive it, and waiting for them would hang.
"""

from cython.parallel cimport prange

import os

from tinynet.errors import ArgumentError

cdef extern from *:
    """
    #ifdef _OPENMP
    #define TN_OPENMP_BUILT 1
    #else
    #define TN_OPENMP_BUILT 0
    #endif

    #ifdef __linux__
    #include <sched.h>
    /* Keep the calling thread on one CPU. */
    static void tn_pin(int cpu) {
        cpu_set_t one;
        CPU_ZERO(&one);
        if (cpu >= CPU_SETSIZE) return;
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    static int tn_current_cpu(void) { return sched_getcpu(); }
    #else
    static void tn_pin(int cpu) { (void)cpu; }
    static int tn_current_cpu(void) { return -1; }
    #endif
    """
    int TN_OPENMP_BUILT
    void tn_pin(int cpu) noexcept nogil
    int tn_current_cpu() noexcept nogil

cdef enum:
    MOST_THREADS = 1024

cdef int threads = 1
cdef bint forked = False             # in a child of fork: OpenMP's workers are gone
cdef bint pinned = os.environ.get("TINYNET_PIN", "0") not in ("", "0")
cdef double serial_work = SERIAL_WORK


cdef int team(double work, Py_ssize_t pieces) noexcept nogil:
    """Threads for a loop over `pieces` pieces of `work` units in all."""
    return threads if pieces > 1 and work >= serial_work else 1


def get_num_threads():
    """The number of threads that parallel loops use, at least 1."""
    return threads


def set_num_threads(n):
    """Set the number of threads that parallel loops use.

    Results do not depend on it: sums are split by shape and combined in a fixed order, so every number of threads gives
    the same bits.  In a build without OpenMP, and in a child process after a fork, only 1 is possible, and
    other values leave it at 1.

    Where TINYNET_PIN=1 stood in the environment at import, the workers of the calling thread are each kept on a CPU of
    their own, if there are as many CPUs as threads.  That helps where a step comes after a pause and the process
    has the CPUs for itself; it harms where several processes share them.

    Parameters
    ----------
    n : int
        In [1, 1024].

    Raises
    ------
    ArgumentError
        If `n` is not such an integer.
    """
    global threads
    if isinstance(n, bool) or not hasattr(n, "__index__") or not 1 <= n.__index__() <= MOST_THREADS:
        raise ArgumentError(f"set_num_threads: n must be an integer in [1, {MOST_THREADS}]; got {n!r}")
    threads = n.__index__() if TN_OPENMP_BUILT and not forked else 1
    if pinned and threads > 1:
        pin_workers()


cdef int pin_workers() except -1:
    """Give each worker of this thread's team a CPU: the calling thread's own comes first, and is no worker's."""
    cdef int i, cpu, here = tn_current_cpu()
    cdef int[MOST_THREADS] cpus
    available = _one_per_core()
    if len(available) < threads:
        return 0
    available.sort(key=lambda each: each != here)         # stable: the others keep their order
    for i in range(threads):
        cpus[i] = available[i]
    for i in prange(threads, nogil=True, schedule="static", num_threads=threads):       # thread i runs i
        cpu = cpus[i]
        if i > 0:
            tn_pin(cpu)
    return 0


def openmp_built():
    """True if the parallel loops were compiled with OpenMP."""
    return bool(TN_OPENMP_BUILT)


def _set_serial_work(double work):
    """For tests: run loops of at least `work` units in parallel; returns the former bound."""
    global serial_work
    old, serial_work = serial_work, work
    return old


def default_num_threads():
    """min(OMP_NUM_THREADS, CPUs this process may use, whole CPUs of its cgroup quota, physical cores), at least 1."""
    counts = [_affinity(), _cgroup_quota(), _physical_cores()]
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdigit() and int(asked) > 0:
        counts.append(int(asked))
    return max(1, min(c for c in counts if c))


def _affinity():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:           # not on every system
        return os.cpu_count() or 1


def _cgroup_quota(root="/sys/fs/cgroup"):
    """Whole CPUs that the control group may use, or None without a limit (cgroup v2, then v1)."""
    try:
        with open(f"{root}/cpu.max") as f:
            quota, period = f.read().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        pass
    try:
        with open(f"{root}/cpu/cpu.cfs_quota_us") as f, open(f"{root}/cpu/cpu.cfs_period_us") as g:
            quota, period = int(f.read()), int(g.read())
        return None if quota <= 0 else max(1, quota // period)
    except (OSError, ValueError):
        return None


def _physical_cores(root="/sys/devices/system/cpu"):
    """Cores rather than hardware threads, among the CPUs this process may use; None where the system does not tell."""
    try:
        cores = set()
        for cpu in os.sched_getaffinity(0):
            folder = f"{root}/cpu{cpu}/topology/"
            with open(folder + "core_id") as f, open(folder + "physical_package_id") as g:
                cores.add((f.read(), g.read()))
        return len(cores)
    except (OSError, AttributeError):
        return None


def _one_per_core(root="/sys/devices/system/cpu"):
    """The CPUs that this process may use, the first of each core before the second of any; [] where the system does not tell."""
    try:
        cpus, seen, place = sorted(os.sched_getaffinity(0)), {}, {}
    except AttributeError:
        return []
    for cpu in cpus:
        folder = f"{root}/cpu{cpu}/topology/"
        try:
            with open(folder + "core_id") as f, open(folder + "physical_package_id") as g:
                core = f.read(), g.read()
        except OSError:
            core = cpu
        place[cpu] = seen[core] = seen.get(core, -1) + 1
    return sorted(cpus, key=place.get)


def _after_fork():
    global threads, forked
    threads, forked = 1, True


set_num_threads(default_num_threads())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
