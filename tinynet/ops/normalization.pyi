from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinynet._graph import Op

def batch_statistics(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]: ...

class BatchNorm(Op):
    def __init__(
        self,
        running_mean: NDArray[Any] | None,
        running_var: NDArray[Any] | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> None: ...
