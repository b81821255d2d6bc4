"""`Registry`: what a module owns, under which names and in which order.

Three plain dictionaries, ``_parameters``, ``_buffers`` and ``_modules``.  `__setattr__`, `__delattr__` and
`_register` are their only writers; the same methods put each value into the instance's own ``__dict__`` as
well, so that ``self.weight`` in a forward is an ordinary attribute read (0.03 us, against 0.4 us through a
Python `__getattr__`).
"""

from __future__ import annotations

from typing import Any

from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.parameter import Parameter


class Registry:
    """Base of `Module`, and of nothing else: registered parameters, buffers and submodules."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]  # Module or None
    _not_in_state: set[str]  # names of buffers registered with persistent=False

    def __init__(self) -> None:
        own = self.__dict__
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_modules"] = {}
        own["_not_in_state"] = set()

    def _register(self, registry: str, operation: str, argument: str, name: str, value: object) -> None:
        if registry not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: super().__init__() must run before {operation}")
        if not isinstance(name, str):
            raise DTypeError(f"{operation}: name must be a str; got {type(name).__name__}")
        if name == "" or "." in name:
            raise ArgumentError(f"{operation}: name must be non-empty and without dots; got {name!r}")
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise ArgumentError(f"{operation}: name must be new to {type(self).__name__}; got {name!r}")
        kind, kind_name = _KINDS[registry]
        if value is not None and not isinstance(value, kind):
            raise DTypeError(
                f"{operation}: {argument} must be a {kind_name} or None; got {type(value).__name__}"
            )
        self._check_no_cycle(value)
        self._not_in_state.discard(name)
        self.__dict__[registry][name] = value
        self.__dict__[name] = value

    def get_submodule(self, target: str) -> Any:
        """The module of the dotted name `target`, as in `named_modules`; "" is this module itself.

        Raises
        ------
        AttributeError
            If there is none.
        """
        if not isinstance(target, str):
            raise DTypeError(f"get_submodule: target must be a str; got {type(target).__name__}")
        module: Registry = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(
                    f"get_submodule: {type(module).__name__} has no submodule {name!r} ({target!r})"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of the dotted name `target`; AttributeError if there is none."""
        found: Parameter = self._get_tensor("get_parameter", "_parameters", target)
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of the dotted name `target`; AttributeError if there is none."""
        found: Tensor = self._get_tensor("get_buffer", "_buffers", target)
        return found

    def _get_tensor(self, operation: str, registry: str, target: str) -> Any:
        if not isinstance(target, str):
            raise DTypeError(f"{operation}: target must be a str; got {type(target).__name__}")
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = module.__dict__[registry].get(name)
        if found is None:
            raise AttributeError(
                f"{operation}: {type(module).__name__} has no {registry[1:-1]} {name!r} ({target!r})"
            )
        return found

    def _check_no_cycle(self, value: object) -> None:
        if isinstance(value, Registry) and _contains(value, self):
            raise ArgumentError(
                f"{type(self).__name__}: a submodule must not contain its parent; "
                f"got a {type(value).__name__} that does"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign an attribute; a `Parameter` or `Module` registers itself, a registered name keeps its kind.

        A name that holds a parameter or a submodule accepts another one or None; a buffer's name accepts a
        `Tensor` or None.  Everything else is an ordinary attribute.
        """
        own = self.__dict__
        if "_parameters" not in own:
            if isinstance(value, (Parameter, Registry)):
                raise AttributeError(
                    f"{type(self).__name__}: super().__init__() must run before {name!r} is assigned; "
                    f"got a {type(value).__name__} for it"
                )
            object.__setattr__(self, name, value)
            return
        registry = None
        if isinstance(value, Parameter):
            registry = "_parameters"
        elif isinstance(value, Registry):
            registry = "_modules"
        else:
            for each, (kind, kind_name) in _KINDS.items():
                if name in own[each]:
                    if value is not None and not isinstance(value, kind):
                        raise DTypeError(
                            f"{type(self).__name__}: {each[1:-1]} {name!r} must be a {kind_name} "
                            f"or None; got {type(value).__name__}"
                        )
                    registry = each
        if registry is None:
            object.__setattr__(self, name, value)
            return
        self._check_no_cycle(value)
        for each in _KINDS:
            if each != registry:
                own[each].pop(name, None)
        if registry != "_buffers":
            self._not_in_state.discard(name)
        own[registry][name] = value
        own[name] = value

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        for registry in _KINDS:
            self.__dict__[registry].pop(name, None)
        self._not_in_state.discard(name)


def _contains(module: Registry, sought: Registry) -> bool:
    """Whether `sought` is `module` or lies below it."""
    seen: set[int] = set()
    stack = [module]
    while stack:
        each = stack.pop()
        if each is sought:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            stack.extend(child for child in each._modules.values() if child is not None)
    return False


# What each dictionary holds, and the name of that for an error.
_KINDS: dict[str, tuple[type, str]] = {
    "_parameters": (Parameter, "Parameter"),
    "_buffers": (Tensor, "Tensor"),
    "_modules": (Registry, "Module"),
}
