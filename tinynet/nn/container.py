"""Modules that hold other modules in a list or a mapping.

All keep what they hold registered under a name: its position in a list, its key in a mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.module import Module

L = TypeVar("L", bound="_Modules")


class _Modules(Module):
    """Base of `Sequential` and `ModuleList`: modules in an order, with what a Python list can do."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def _name(self, index: int) -> str:
        return list(self._modules)[position(type(self).__name__, index, len(self))]

    def _numbered(self) -> bool:
        return all(name == str(i) for i, name in enumerate(self._modules))

    def _refill(self, named: Iterable[tuple[str, Module]]) -> None:
        """Hold these modules and no others."""
        kept = list(named)
        for name in list(self._modules):
            delattr(self, name)
        for name, module in kept:
            self.register_module(name, module)

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), _module(type(self).__name__, module))

    def __delitem__(self, index: int | slice) -> None:
        """Remove modules; those that stay are numbered anew if all names were numbers in order."""
        names = list(self._modules)
        numbered = self._numbered()
        doomed = set(names[index] if isinstance(index, slice) else [self._name(index)])
        kept = [(name, module) for name, module in self._modules.items() if name not in doomed]
        self._refill((str(i) if numbered else name, module) for i, (name, module) in enumerate(kept))

    def append(self: L, module: Module) -> L:
        """Add a module at the end under the name ``str(len(self))``; return this container.

        Raises
        ------
        ArgumentError
            If that name is taken, in a container whose names were given.
        """
        operation, name = f"{type(self).__name__}.append", str(len(self))
        if name in self._modules:
            raise ArgumentError(f"{operation}: name {name!r} must be free; got a container with it")
        self.register_module(name, _module(operation, module))
        return self

    def extend(self: L, modules: Iterable[Module]) -> L:
        """Append several modules; return this container."""
        for module in _all_modules(f"{type(self).__name__}.extend", modules):
            self.append(module)
        return self

    def __iadd__(self: L, other: Iterable[Module]) -> L:
        return self.extend(other)

    def _insert(self, index: int, module: Module) -> None:
        operation = f"{type(self).__name__}.insert"
        if not self._numbered():
            raise ArgumentError(f"{operation}: the names must be positions; got {', '.join(self._modules)}")
        modules = list(self._modules.values())
        at = _check.integer(operation, "index", index)
        if not -len(modules) <= at <= len(modules):
            raise IndexError(f"{operation}: index must lie in [{-len(modules)}, {len(modules)}]; got {at}")
        modules.insert(at, _module(operation, module))
        self._refill((str(i), each) for i, each in enumerate(modules))

    def pop(self, index: int = -1) -> Module:
        """Remove the module at `index`, the last by default, and return it.

        In a `Sequential` of named modules the others keep their names; else they are numbered anew.
        """
        module: Module = self._modules[self._name(index)]
        del self[index]
        return module


class Sequential(_Modules):
    """Modules applied one after the other: ``y = m_last(... m_1(m_0(x)))``.

    Parameters
    ----------
    *args : Module
        The modules in order, named "0", "1", ...; or one mapping of names to modules, such as an
        `OrderedDict`.

    Raises
    ------
    DTypeError
        If an argument is not a `Module`.

    Examples
    --------
    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(784, 100), tn.nn.Sigmoid(), tn.nn.Linear(100, 10))
    >>> len(model), model[0].out_features
    (3, 100)
    """

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.register_module(name, _module("Sequential", module))
        else:
            for index, each in enumerate(args):
                self.register_module(str(index), _module("Sequential", each))

    def forward(self, input: Tensor) -> Tensor:
        """Apply all modules in order; without any, return `input`."""
        for module in self._modules.values():
            input = module(input)
        return input

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        """The module at `index`; for a slice a new `Sequential` of the same modules under their names."""
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        module: Module = self._modules[self._name(index)]
        return module

    def insert(self, index: int, module: Module) -> Sequential:
        """Put a module before position `index`; return this container.

        Raises
        ------
        IndexError
            If `index` is none of the positions, nor the end.
        ArgumentError
            If the names were given: there is none for the new module then.
        """
        self._insert(index, module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        """A new `Sequential` of the modules of both, numbered."""
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)


class ModuleList(_Modules):
    """Modules in a list.  It holds and registers them; it is not called itself.

    Parameters
    ----------
    modules : iterable of Module, optional
        Named "0", "1", ...

    Raises
    ------
    DTypeError
        If an element is not a `Module`.

    Examples
    --------
    >>> import tinynet as tn
    >>> layers = tn.nn.ModuleList(tn.nn.Linear(2, 2, bias=False) for _ in range(3))
    >>> layers.append(tn.nn.ReLU())
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=False)
      (3): ReLU()
    )
    >>> list(layers.state_dict())
    ['0.weight', '1.weight', '2.weight']
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module | ModuleList:
        """The module at `index`; for a slice a new `ModuleList` of the same modules, numbered from 0."""
        if isinstance(index, slice):
            return ModuleList(list(self._modules.values())[index])
        module: Module = self._modules[self._name(index)]
        return module

    def insert(self, index: int, module: Module) -> None:
        """Put a module before position `index`; IndexError if that is none of the positions, nor the end."""
        self._insert(index, module)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        """A new `ModuleList` of these modules and those of `other`."""
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        """As of any module, but equal neighbours take one line."""
        runs: list[list[Any]] = []  # [first, last, repr]
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [
            f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in runs
        ]
        return _listing(type(self).__name__, lines)


class ModuleDict(Module):
    """Modules by name, in the order in which they were put in.  It is not called itself.

    Parameters
    ----------
    modules : mapping of str to Module, or iterable of pairs, optional

    Raises
    ------
    DTypeError
        If a value is not a `Module`, or a key is no string.
    ArgumentError
        If a key is empty, holds a dot, or is an attribute of the class ("keys", "training").

    Examples
    --------
    >>> import tinynet as tn
    >>> heads = tn.nn.ModuleDict({"a": tn.nn.Linear(4, 2), "b": tn.nn.Linear(4, 3)})
    >>> list(heads), heads["b"].out_features, "c" in heads
    (['a', 'b'], 3, False)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        module: Module = self._modules[key]
        return module

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, _module("ModuleDict", module))

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        for key in list(self._modules):
            delattr(self, key)

    def pop(self, key: str) -> Module:
        """Remove the module named `key` and return it; KeyError if there is none."""
        module: Module = self._modules[key]
        delattr(self, key)
        return module

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of name and module."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Put in, or replace, the modules of a mapping or of pairs (name, module), in their order."""
        pairs = [
            (key, _module("ModuleDict", module)) for key, module in pairs_of("ModuleDict.update", modules)
        ]
        for key, module in pairs:
            self[key] = module


def _module(operation: str, value: object) -> Module:
    if not isinstance(value, Module):
        raise DTypeError(f"{operation}: every argument must be a Module; got {type(value).__name__}")
    return value


def _all_modules(operation: str, modules: Iterable[Module]) -> list[Module]:
    """The modules as a list, checked before any is put in."""
    if not isinstance(modules, Iterable):
        raise DTypeError(f"{operation}: modules must be an iterable of Module; got {type(modules).__name__}")
    return [_module(operation, each) for each in modules]


def pairs_of(operation: str, given: Any) -> list[tuple[str, Any]]:
    """The items of a mapping (or of a container that has `items`), or pairs as they are."""
    items = given.items() if hasattr(given, "items") else given
    try:
        return [(key, value) for key, value in items]
    except (TypeError, ValueError):
        raise DTypeError(
            f"{operation}: must be given a mapping or pairs (name, value); got {type(given).__name__}"
        ) from None


def position(owner: str, index: int, length: int) -> int:
    """`index` counted from the front."""
    index = _check.integer(owner, "index", index)
    if not -length <= index < length:
        raise IndexError(f"{owner}: index must lie in [{-length}, {length - 1}]; got {index}")
    return index % length


def _listing(name: str, lines: list[str]) -> str:
    indented = "".join("\n  " + line.replace("\n", "\n  ") for line in lines)
    return f"{name}({indented}\n)" if lines else f"{name}()"
