import numpy as np
from numpy.typing import NDArray

from tinynet._graph import Op

def philox_u32(n: int, seed: int, call: int, first: int = 0) -> NDArray[np.uint32]: ...

class Dropout(Op):
    def __init__(self, p: float, seed: int, call: int) -> None: ...
