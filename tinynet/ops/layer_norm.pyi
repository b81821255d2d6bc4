from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class LayerNorm(Op):
    def __init__(self, normalized_shape: tuple[int, ...], eps: float) -> None: ...
