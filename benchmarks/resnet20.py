"""One training step of the residual network of 20 layers (32 x 32, batch 128) beside PyTorch."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.report import Options, Result

PLAN = steps.Plan("resnet20", (128,), steps.KINKED, seconds=8)


def run(options: Options) -> Result:
    """Compare and time."""
    return steps.run(PLAN, options)
