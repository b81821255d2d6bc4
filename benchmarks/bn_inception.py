"""One training step of BN-Inception (224 x 224, batch 4) beside PyTorch."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.report import Options, Result

# The last modules normalise over 4 x 7 x 7 values, which magnifies rounding.
PLAN = steps.Plan("bn_inception", (4,), steps.Tolerance(1e-4, 6e-2, 0.2), seconds=12)


def run(options: Options) -> Result:
    """Compare and time."""
    return steps.run(PLAN, options)
