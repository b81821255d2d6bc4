"""Where programs written for PyTorch look for `tinynet.data`: ``utils.data``."""

from __future__ import annotations

from tinynet.utils import data

__all__ = ["data"]
