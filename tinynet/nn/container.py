"""Modules that hold other modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import overload

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.module import Module


class Sequential(Module):
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

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def _name(self, index: int) -> str:
        index = _check.integer("Sequential", "index", index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"Sequential: index must lie in [{-len(self)}, {len(self) - 1}]; got {index}")
        names: list[str] = list(self._modules)
        return names[index]

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

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), _module("Sequential", module))

    def __delitem__(self, index: int | slice) -> None:
        """Remove modules; those that stay are numbered anew if all names were numbers in order."""
        names = list(self._modules)
        numbered = names == [str(i) for i in range(len(names))]
        doomed = names[index] if isinstance(index, slice) else [self._name(index)]
        kept = [(name, module) for name, module in self._modules.items() if name not in doomed]
        for name in names:
            delattr(self, name)
        for position, (name, module) in enumerate(kept):
            self.register_module(str(position) if numbered else name, module)

    def append(self, module: Module) -> Sequential:
        """Add a module at the end under the name ``str(len(self))``; return this container.

        Raises
        ------
        ArgumentError
            If that name is taken, in a container whose names were given.
        """
        name = str(len(self))
        if name in self._modules:
            raise ArgumentError(f"Sequential.append: name {name!r} must be free; got a container with it")
        self.register_module(name, _module("Sequential.append", module))
        return self

    def extend(self, modules: Iterable[Module]) -> Sequential:
        """Append several modules; return this container."""
        for module in list(modules):
            self.append(module)
        return self


def _module(operation: str, value: object) -> Module:
    if not isinstance(value, Module):
        raise DTypeError(f"{operation}: every argument must be a Module; got {type(value).__name__}")
    return value
