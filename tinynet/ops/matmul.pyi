from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class MatMul(Op): ...
