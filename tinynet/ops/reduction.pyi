from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinynet._graph import Op

def axes_of(op: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]: ...

class Sum(Op):
    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None: ...

class Mean(Op):
    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None: ...

class Extremum(Op):
    def __init__(
        self, dim: int | Sequence[int] | None = None, keepdim: bool = False, largest: bool = True, first: bool = False
    ) -> None: ...
    @property
    def index(self) -> NDArray[np.intp] | None: ...
