"""Functions that change a tensor's form, join, split, or pick from it, under PyTorch's names.

Where a method of the same name exists, the function is that method.
"""

from __future__ import annotations

from tinynet.shapes.forms import (
    broadcast_to,
    flatten,
    reshape,
    squeeze,
    unflatten,
    unsqueeze,
)
from tinynet.shapes.order import (
    flip,
    movedim,
    permute,
    swapaxes,
    transpose,
)
from tinynet.shapes.parts import (
    cat,
    chunk,
    split,
    stack,
    unbind,
)
from tinynet.shapes.picked import (
    diag,
    gather,
    index_select,
    masked_select,
    take_along_dim,
    tril,
    triu,
)

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "diag",
    "flatten",
    "flip",
    "gather",
    "index_select",
    "masked_select",
    "movedim",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "take_along_dim",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
]
