from typing import TypeAlias

from typing_extensions import disjoint_base

from tinynet._graph import Op

_Pair: TypeAlias = int | tuple[int, int]

@disjoint_base
class Windows(Op):
    def __init__(self, kernel_size: _Pair, dilation: _Pair, padding: _Pair, stride: _Pair) -> None: ...

class Unfold(Windows): ...

class Fold(Windows):
    def __init__(
        self, output_size: _Pair, kernel_size: _Pair, dilation: _Pair, padding: _Pair, stride: _Pair
    ) -> None: ...
