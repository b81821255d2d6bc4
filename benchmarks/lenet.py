"""One training step of LeNet (28 x 28, batch 64) beside PyTorch."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.report import Options, Result

PLAN = steps.Plan("lenet", (64,), steps.KINKED, seconds=5)


def run(options: Options) -> Result:
    """Compare and time."""
    return steps.run(PLAN, options)
