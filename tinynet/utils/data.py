"""The names of `tinynet.data`."""

from __future__ import annotations

from tinynet.data import *  # noqa: F403
from tinynet.data import __all__ as __all__
