"""What programs ask before they choose a device: there is no GPU here, so that they choose the CPU."""

from __future__ import annotations

__all__ = ["device_count", "is_available"]


def is_available() -> bool:
    """Whether tensors can lie on a GPU: False."""
    return False


def device_count() -> int:
    """The number of GPUs that tensors can lie on: 0."""
    return 0
