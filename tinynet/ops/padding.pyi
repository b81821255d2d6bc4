from collections.abc import Sequence

from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Extend(Op):
    def __init__(self, widths: Sequence[int], mode: str) -> None: ...
