from typing import Any, TypeAlias

from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Arrays: TypeAlias = list[NDArray[Any]]

@disjoint_base
class Rule: ...

@disjoint_base
class Sgd(Rule): ...

@disjoint_base
class Adam(Rule): ...

@disjoint_base
class RmsProp(Rule): ...

@disjoint_base
class Adagrad(Rule): ...

def sgd(
    params: _Arrays,
    grads: _Arrays,
    buffers: _Arrays,
    first: list[bool],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None: ...
def adam(
    params: _Arrays,
    grads: _Arrays,
    averages: _Arrays,
    squares: _Arrays,
    largest: _Arrays,
    steps: list[float],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    decoupled: bool,
) -> None: ...
def rmsprop(
    params: _Arrays,
    grads: _Arrays,
    squares: _Arrays,
    averages: _Arrays,
    buffers: _Arrays,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None: ...
def adagrad(
    params: _Arrays,
    grads: _Arrays,
    sums: _Arrays,
    steps: list[float],
    lr: float,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None: ...
