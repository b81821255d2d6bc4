"""What all reductions take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Dim: TypeAlias = int | Sequence[int]
