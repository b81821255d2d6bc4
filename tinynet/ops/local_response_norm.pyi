from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class LocalResponseNorm(Op):
    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None: ...
