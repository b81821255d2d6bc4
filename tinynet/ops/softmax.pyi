from tinynet._graph import Op

class LogSoftmax(Op):
    def __init__(self, dim: int) -> None: ...

class CrossEntropy(Op):
    def __init__(self, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0) -> None: ...
