import numpy as np
from numpy.typing import NDArray

def philox_rows(
    indices: NDArray[np.intp], n: int, seed: int, call: int, first: int
) -> NDArray[np.uint32]: ...
def crop_normalize(
    images: NDArray[np.uint8],
    top: NDArray[np.intp],
    left: NDArray[np.intp],
    mirrored: NDArray[np.bool_],
    height: int,
    width: int,
    table: NDArray[np.float32],
) -> NDArray[np.float32]: ...
