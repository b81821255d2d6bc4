from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from tinynet._graph import Op

def axes_of(op: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]: ...

@disjoint_base
class Reduction(Op):
    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None: ...

class Sum(Reduction): ...
class Mean(Reduction): ...

@disjoint_base
class Var(Reduction):
    def __init__(
        self,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        correction: float = 1,
        root: bool = False,
    ) -> None: ...

class Prod(Reduction): ...

@disjoint_base
class Extremum(Reduction):
    def __init__(
        self,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        largest: bool = True,
        first: bool = False,
    ) -> None: ...
    @property
    def index(self) -> NDArray[np.intp] | None: ...

class LogSumExp(Reduction): ...

@disjoint_base
class Norm(Reduction):
    def __init__(
        self, p: float = 2.0, dim: int | Sequence[int] | None = None, keepdim: bool = False
    ) -> None: ...

@disjoint_base
class CumSum(Op):
    def __init__(self, dim: int) -> None: ...
