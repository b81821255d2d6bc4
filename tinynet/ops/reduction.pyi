from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from tinynet._graph import Op

def axes_of(op: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]: ...

@disjoint_base
class Sum(Op):
    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None: ...

@disjoint_base
class Mean(Op):
    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None: ...

@disjoint_base
class Extremum(Op):
    def __init__(
        self,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        largest: bool = True,
        first: bool = False,
    ) -> None: ...
    @property
    def index(self) -> NDArray[np.intp] | None: ...
