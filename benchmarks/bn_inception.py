"""One training step of BN-Inception (224 x 224, batch 4) beside PyTorch."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.report import Options, Result

PLAN = steps.Plan("bn_inception", (4,), steps.KINKED, seconds=12)


def run(options: Options) -> Result:
    """Compare and time."""
    return steps.run(PLAN, options)
