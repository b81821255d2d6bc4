from typing import Any, TypeAlias

from numpy.typing import NDArray

Arrays: TypeAlias = list[NDArray[Any]]

def sgd(
    params: Arrays,
    grads: Arrays,
    buffers: Arrays,
    first: list[bool],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None: ...
def adam(
    params: Arrays,
    grads: Arrays,
    averages: Arrays,
    squares: Arrays,
    largest: Arrays,
    steps: list[float],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    decoupled: bool,
) -> None: ...
def adagrad(
    params: Arrays,
    grads: Arrays,
    sums: Arrays,
    steps: list[float],
    lr: float,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None: ...
