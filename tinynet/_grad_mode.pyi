from collections.abc import Callable
from typing import Any, TypeVar, overload

from typing_extensions import Self

_F = TypeVar("_F", bound=Callable[..., Any])

def is_grad_enabled() -> bool: ...

class _GradMode:
    former: list[bool]
    def __init__(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *exception: object) -> None: ...
    def __call__(self, function: _F) -> _F: ...

class _Switch(_GradMode):
    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: _F) -> _F: ...  # type: ignore[misc]

class no_grad(_Switch): ...
class enable_grad(_Switch): ...

class inference_mode(_GradMode):
    mode: bool
    @overload
    def __new__(cls, mode: bool = True) -> Self: ...
    @overload
    def __new__(cls, mode: _F) -> _F: ...  # type: ignore[misc]

class set_grad_enabled(_GradMode):
    mode: bool
    def __init__(self, mode: bool) -> None: ...
