from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class GroupNorm(Op):
    def __init__(self, num_groups: int, eps: float) -> None: ...
