from collections.abc import Sequence
from typing import Any

from tinynet._graph import Op

class Reshape(Op):
    def __init__(self, shape: Sequence[int]) -> None: ...

class Permute(Op):
    def __init__(self, dims: Sequence[int]) -> None: ...

class BroadcastTo(Op):
    def __init__(self, shape: Sequence[int]) -> None: ...

class Cat(Op):
    def __init__(self, dim: int = 0) -> None: ...

class Index(Op):
    def __init__(self, index: Any) -> None: ...
