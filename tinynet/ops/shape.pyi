from collections.abc import Sequence

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
class Stack(Op):
    def __init__(self, dim: int = 0) -> None: ...

@disjoint_base
class Split(Op):
    def __init__(
        self, sizes: Sequence[int] | None, dim: int = 0, drop: bool = False, door: str = "split"
    ) -> None: ...

@disjoint_base
class Pad(Op):
    def __init__(self, widths: Sequence[int], value: float = 0) -> None: ...

@disjoint_base
class Triangle(Op):
    def __init__(self, diagonal: int = 0, upper: bool = False) -> None: ...
