from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class LabelLoss(Op):
    def __init__(self, ignore_index: int = -100, reduction: str = "mean") -> None: ...

class CrossEntropy(LabelLoss):
    def __init__(
        self, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None: ...

@disjoint_base
class NLLLoss(LabelLoss): ...

@disjoint_base
class SoftCrossEntropy(Op):
    def __init__(self, reduction: str = "mean", label_smoothing: float = 0.0) -> None: ...
