import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from tinynet._graph import Op

def philox_u32(n: int, seed: int, call: int, first: int = 0) -> NDArray[np.uint32]: ...

@disjoint_base
class Dropout(Op):
    def __init__(self, p: float, seed: int, call: int) -> None: ...
