from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class LogSoftmax(Op):
    def __init__(self, dim: int) -> None: ...

@disjoint_base
class CrossEntropy(Op):
    def __init__(
        self, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None: ...
