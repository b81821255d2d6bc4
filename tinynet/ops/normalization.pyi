from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from tinynet._graph import Op

def batch_statistics(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]: ...

@disjoint_base
class BatchNorm(Op):
    def __init__(
        self,
        running_mean: NDArray[Any] | None,
        running_var: NDArray[Any] | None,
        training: bool,
        momentum: float,
        eps: float,
        count: NDArray[Any] | None = None,
    ) -> None: ...
