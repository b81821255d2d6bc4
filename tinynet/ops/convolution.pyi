from typing import Any

from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Windows(Op): ...

class Convolution(Windows):
    def __init__(self, axes: int, stride: Any, padding: Any, dilation: Any, groups: Any) -> None: ...

@disjoint_base
class TransposedConvolution(Windows):
    def __init__(
        self, axes: int, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any
    ) -> None: ...
