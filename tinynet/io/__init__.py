"""Files: trees of tensors in safetensors form, and writes that are complete or did not happen.

`save` and `load` keep a tree (dicts, lists, tuples, arrays, tensors, numbers, text) in one safetensors file;
`atomic_write` is the writer for everything else: CSV, JSON, PNG.
"""

from __future__ import annotations

from tinynet.io.atomic import atomic_path, atomic_write
from tinynet.io.checkpoint import load, save

__all__ = ["atomic_path", "atomic_write", "load", "save"]
