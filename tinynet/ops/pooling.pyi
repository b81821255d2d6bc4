from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Pool(Op): ...

@disjoint_base
class MaxPool(Pool):
    indices: NDArray[Any]
    def __init__(
        self,
        axes: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        with_indices: bool = False,
    ) -> None: ...

class AdaptiveMaxPool(MaxPool):
    def __init__(
        self, axes: int, output_size: int | Sequence[int | None] | None, with_indices: bool = False
    ) -> None: ...

@disjoint_base
class AvgPool(Pool):
    def __init__(
        self,
        axes: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None: ...

class AdaptiveAvgPool(AvgPool):
    def __init__(self, axes: int, output_size: int | Sequence[int | None] | None) -> None: ...
