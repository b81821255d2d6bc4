from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, overload

from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from tinynet._hooks import RemovableHandle
from tinynet._tensor import Tensor
from tinynet._variable import Variable

_Tensors: TypeAlias = Variable | Iterable[Variable]
_Gradients: TypeAlias = Variable | ArrayLike | Iterable[Variable | None] | None

class History(Variable):
    def backward(
        self,
        gradient: Variable | ArrayLike | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: _Tensors | None = None,
    ) -> None: ...
    @property
    def retains_grad(self) -> bool: ...
    def retain_grad(self) -> None: ...
    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle: ...
    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], object]) -> RemovableHandle: ...
    def detach_(self) -> Self: ...

def through_hook(hook: Callable[[Tensor], Tensor | None], g: NDArray[Any]) -> NDArray[Any]: ...
def call_with(hook: Callable[[Tensor], object], tensor_ref: Callable[[], Tensor | None]) -> None: ...
def backward(
    tensors: _Tensors,
    grad_tensors: _Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: _Tensors | None = None,
) -> None: ...
@overload
def grad(
    outputs: _Tensors,
    inputs: _Tensors,
    grad_outputs: _Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: Literal[False] = False,
) -> tuple[Tensor, ...]: ...
@overload
def grad(
    outputs: _Tensors,
    inputs: _Tensors,
    grad_outputs: _Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]: ...
