"""Which C kernels run: chosen once, at import, by what the CPU can do.

The environment variable ``TINYNET_ISA`` forces one of ``avx512``, ``avx2``, ``baseline`` (what every CPU of the architecture
has) or ``scalar`` (plain C, the reference).  This is the only extension that links the kernels; the others reach them
through the table `K` (kernels.pxd).
"""

import os

from tinynet.errors import ArgumentError

ISAS = ("avx512", "avx2", "baseline", "scalar")


def compiled():
    """Names of the instruction sets in this build, best first."""
    return tuple(isa for isa in ISAS if tn_compiled(isa.encode()))


def available():
    """Names of the instruction sets in this build that this CPU can run, best first."""
    return tuple(isa for isa in compiled() if tn_select(isa.encode()) != NULL)


def chosen():
    """Name of the instruction set in use."""
    return K.isa.decode()


def _select(isa):
    """Use the kernels of one instruction set from now on (for tests; results change in the last bits)."""
    global K
    if isa not in ISAS:
        raise ArgumentError(f"TINYNET_ISA: must be one of {', '.join(ISAS)}; got {isa!r}")
    cdef const tn_kernels* table = tn_select(isa.encode())
    if table == NULL:
        why = "this CPU cannot run it" if isa in compiled() else "it was not compiled into this build"
        raise ArgumentError(f"TINYNET_ISA: {isa!r} cannot be used: {why}; there are {', '.join(available())}")
    K = table


K = tn_select(NULL)
if os.environ.get("TINYNET_ISA"):
    _select(os.environ["TINYNET_ISA"])
