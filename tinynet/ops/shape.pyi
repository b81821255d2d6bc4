from collections.abc import Sequence
from typing import Any

from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Reshape(Op):
    def __init__(self, shape: Sequence[int]) -> None: ...

@disjoint_base
class Permute(Op):
    def __init__(self, dims: Sequence[int]) -> None: ...

@disjoint_base
class BroadcastTo(Op):
    def __init__(self, shape: Sequence[int]) -> None: ...

@disjoint_base
class Cat(Op):
    def __init__(self, dim: int = 0) -> None: ...

@disjoint_base
class Index(Op):
    def __init__(self, index: Any) -> None: ...
