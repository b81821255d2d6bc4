from typing import Any

from numpy.typing import NDArray

def sgd(
    params: list[NDArray[Any]],
    grads: list[NDArray[Any]],
    buffers: list[NDArray[Any]],
    first: list[bool],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None: ...
