"""Memory formats, under PyTorch's names.

A layout is a property of strides: these are only words to ask for one.  Images get their channels last by
themselves as soon as a layer makes them.
"""

from __future__ import annotations

from typing import final


@final
class MemoryFormat:
    """The name of an order of a tensor's axes in memory.

    There are three: `contiguous_format` is C order, `channels_last` that of images (N, C, H, W) with channels
    last in memory, `preserve_format` the order that is there.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.ones(2, 3, 4, 5).contiguous(memory_format=tn.channels_last).stride()
    (60, 1, 15, 3)
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"tinynet.{self._name}"


contiguous_format = MemoryFormat("contiguous_format")
channels_last = MemoryFormat("channels_last")
preserve_format = MemoryFormat("preserve_format")
FORMATS = (contiguous_format, channels_last, preserve_format)
