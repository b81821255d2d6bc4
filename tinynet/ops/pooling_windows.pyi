from collections.abc import Sequence
from typing import Any, TypeAlias, final

import numpy as np

_Ints: TypeAlias = tuple[int, ...]
_Array: TypeAlias = np.ndarray[Any, Any]

@final
class Windows: ...

@final
class Options:
    def __init__(
        self,
        kernel: _Ints | None,
        stride: _Ints | None,
        padding: _Ints | None,
        dilation: _Ints | None,
        ceil_mode: bool,
        output_size: tuple[int | None, ...] | None = None,
    ) -> None: ...

ONE_ROW: Windows

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
def make_divisors(
    rows: Windows, columns: Windows, count_include_pad: bool, divisor_override: int | None
) -> tuple[_Array, _Array, _Array]: ...
def kept_divisors(
    rows: Windows, columns: Windows, count_include_pad: bool, divisor_override: int | None
) -> tuple[_Array, _Array, _Array]: ...
