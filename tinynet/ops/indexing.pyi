from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Plan: ...

@disjoint_base
class Index(Op):
    def __init__(self, index: Any) -> None: ...

@disjoint_base
class IndexSelect(Index):
    def __init__(self, dim: int, index: NDArray[Any]) -> None: ...

@disjoint_base
class Gather(Index):
    def __init__(self, dim: int, index: NDArray[Any], door: str = "gather") -> None: ...

@disjoint_base
class SetItem(Op):
    def __init__(self, index: Any) -> None: ...

def assign(x: NDArray[Any], parts: tuple[Any, ...], value: Any) -> int: ...
