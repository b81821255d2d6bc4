from collections.abc import Sequence

from typing_extensions import disjoint_base

from tinynet._graph import Op

def normalized_sizes(owner: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]: ...

@disjoint_base
class LayerNorm(Op):
    def __init__(self, normalized_shape: int | Sequence[int], eps: float) -> None: ...
