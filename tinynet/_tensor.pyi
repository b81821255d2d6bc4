from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, overload

from numpy.typing import ArrayLike, DTypeLike

from tinynet._format import MemoryFormat
from tinynet._forms import Forms
from tinynet._grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinynet._variable import (
    apply,
    arrays_of,
    as_dtype,
    empty,
    empty_like,
    from_dlpack,
    from_numpy,
    grads_of,
    tensor,
)

__all__ = [
    "Tensor",
    "ValuesIndices",
    "apply",
    "arrays_of",
    "as_dtype",
    "empty",
    "empty_like",
    "enable_grad",
    "from_dlpack",
    "from_numpy",
    "grads_of",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
    "tensor",
]

class ValuesIndices(NamedTuple):
    values: Tensor
    indices: Tensor

# Within the class, `float`, `int`, `bool` and `type` are the methods of those names.
_float: TypeAlias = float
_int: TypeAlias = int
_bool: TypeAlias = bool
_Dim: TypeAlias = int | Sequence[int]

class Tensor(Forms):
    # conversions
    def clone(self, *, memory_format: MemoryFormat = ...) -> Tensor: ...
    def contiguous(self, memory_format: MemoryFormat = ...) -> Tensor: ...
    def to(
        self,
        *args: DTypeLike | Tensor,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        non_blocking: _bool = False,
        copy: _bool = False,
        memory_format: MemoryFormat = ...,
    ) -> Tensor: ...
    @overload
    def type(self, dtype: None = None) -> str: ...
    @overload
    def type(self, dtype: DTypeLike) -> Tensor: ...
    def type_as(self, other: Tensor) -> Tensor: ...
    def float(self) -> Tensor: ...
    def double(self) -> Tensor: ...
    def long(self) -> Tensor: ...
    def int(self) -> Tensor: ...
    def bool(self) -> Tensor: ...
    def half(self) -> Tensor: ...
    def cpu(self) -> Tensor: ...
    def cuda(self, device: Any = None) -> Tensor: ...

    # what it is in memory
    @property
    def device(self) -> str: ...
    def is_floating_point(self) -> _bool: ...
    def nelement(self) -> _int: ...
    def element_size(self) -> _int: ...
    @overload
    def stride(self, dim: None = None) -> tuple[_int, ...]: ...
    @overload
    def stride(self, dim: _int) -> _int: ...
    def is_contiguous(self, memory_format: MemoryFormat = ...) -> _bool: ...

    # new tensors of the same dtype
    def new_tensor(
        self,
        data: Tensor | ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        requires_grad: _bool = False,
    ) -> Tensor: ...
    def new_zeros(
        self,
        *size: _Dim,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        requires_grad: _bool = False,
    ) -> Tensor: ...
    def new_ones(
        self,
        *size: _Dim,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        requires_grad: _bool = False,
    ) -> Tensor: ...
    def new_full(
        self,
        size: _Dim,
        fill_value: _float,
        *,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        requires_grad: _bool = False,
    ) -> Tensor: ...
    def new_empty(
        self,
        *size: _Dim,
        dtype: DTypeLike | None = None,
        device: str | None = None,
        requires_grad: _bool = False,
    ) -> Tensor: ...

    # reductions
    def sum(
        self,
        dim: _Dim | None = None,
        keepdim: _bool = False,
        *,
        dtype: DTypeLike | None = None,
        axis: _Dim | None = None,
    ) -> Tensor: ...
    def mean(
        self,
        dim: _Dim | None = None,
        keepdim: _bool = False,
        *,
        dtype: DTypeLike | None = None,
        axis: _Dim | None = None,
    ) -> Tensor: ...
    def prod(
        self,
        dim: _Dim | None = None,
        keepdim: _bool = False,
        *,
        dtype: DTypeLike | None = None,
        axis: _Dim | None = None,
    ) -> Tensor: ...
    def var(
        self,
        dim: _Dim | None = None,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        correction: _float | None = None,
        axis: _Dim | None = None,
    ) -> Tensor: ...
    def std(
        self,
        dim: _Dim | None = None,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        correction: _float | None = None,
        axis: _Dim | None = None,
    ) -> Tensor: ...
    @overload
    def max(self, dim: None = None, keepdim: _bool = False, *, axis: None = None) -> Tensor: ...
    @overload
    def max(self, dim: _int, keepdim: _bool = False, *, axis: None = None) -> ValuesIndices: ...
    @overload
    def max(self, dim: None = None, keepdim: _bool = False, *, axis: _int) -> ValuesIndices: ...
    @overload
    def min(self, dim: None = None, keepdim: _bool = False, *, axis: None = None) -> Tensor: ...
    @overload
    def min(self, dim: _int, keepdim: _bool = False, *, axis: None = None) -> ValuesIndices: ...
    @overload
    def min(self, dim: None = None, keepdim: _bool = False, *, axis: _int) -> ValuesIndices: ...
    def amax(
        self, dim: _Dim | None = None, keepdim: _bool = False, *, axis: _Dim | None = None
    ) -> Tensor: ...
    def amin(
        self, dim: _Dim | None = None, keepdim: _bool = False, *, axis: _Dim | None = None
    ) -> Tensor: ...
    def argmax(
        self, dim: _int | None = None, keepdim: _bool = False, *, axis: _int | None = None
    ) -> Tensor: ...
    def argmin(
        self, dim: _int | None = None, keepdim: _bool = False, *, axis: _int | None = None
    ) -> Tensor: ...
    def softmax(self, dim: _int) -> Tensor: ...
    def log_softmax(self, dim: _int) -> Tensor: ...
    def logsumexp(
        self, dim: _Dim | None = None, keepdim: _bool = False, *, axis: _Dim | None = None
    ) -> Tensor: ...
    def norm(
        self,
        p: _float | Literal["fro"] | None = "fro",
        dim: _Dim | None = None,
        keepdim: _bool = False,
        dtype: DTypeLike | None = None,
        *,
        axis: _Dim | None = None,
    ) -> Tensor: ...
    def any(self, dim: _Dim | None = None, keepdim: _bool = False, *, axis: _Dim | None = None) -> Tensor: ...
    def all(self, dim: _Dim | None = None, keepdim: _bool = False, *, axis: _Dim | None = None) -> Tensor: ...
    def count_nonzero(self, dim: _Dim | None = None, *, axis: _Dim | None = None) -> Tensor: ...

    # in order
    def cumsum(
        self, dim: _int | None = None, *, dtype: DTypeLike | None = None, axis: _int | None = None
    ) -> Tensor: ...
    def sort(self, dim: _int = -1, descending: _bool = False, stable: _bool = False) -> ValuesIndices: ...
    def argsort(self, dim: _int = -1, descending: _bool = False, stable: _bool = False) -> Tensor: ...
    def topk(self, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True) -> ValuesIndices: ...
