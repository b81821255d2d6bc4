from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Softmax(Op):
    def __init__(self, dim: int) -> None: ...
