from collections.abc import Callable, Sequence
from typing import final

from typing_extensions import disjoint_base

@final
@disjoint_base
class Windows: ...

def kept(function: Callable[..., Windows]) -> Callable[..., Windows]: ...
def extents(
    owner: str, name: str, value: int | Sequence[int], axes: int, minimum: int
) -> tuple[int, ...]: ...
def window_options(
    owner: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]: ...
def checked_divisor(owner: str, divisor_override: int | None) -> int | None: ...
def output_extents(
    owner: str, axes: int, output_size: int | Sequence[int | None] | None
) -> tuple[int | None, ...]: ...
def output_extent(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int: ...
def regular(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> Windows: ...
def adaptive(size: int, count: int) -> Windows: ...
