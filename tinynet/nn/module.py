"""`Module`: walking, modes and state, over its bases `Registry` (tensors, submodules) and `Hooked` (hooks).

A class is either abstract (`Module`, and a family's base that says so) or final: a layer defines `forward`
and, where it has something to tell, `extra_repr`; it overrides nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tinynet import _check
from tinynet._format import MemoryFormat
from tinynet._tensor import Tensor, no_grad
from tinynet.errors import DTypeError
from tinynet.nn.hooks import Hooked
from tinynet.nn.parameter import Parameter
from tinynet.nn.state import LoadResult, convert_tensors, load_tensors, requested_dtype

M = TypeVar("M", bound="Module")


class Module(Hooked):
    """Base of all layers and networks.

    A subclass calls ``super().__init__()`` first, assigns its parameters and submodules as attributes,
    and defines ``forward``.  Calling the module calls ``forward`` and the hooks, if there are any.

    Attributes
    ----------
    training : bool
        True after construction and `train`, False after `eval`.  Batch normalisation and dropout read it.
    """

    training: bool

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["training"] = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output.  Every module that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__}: forward must be defined by the class")

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`: the constructor's arguments."""
        return ""

    if TYPE_CHECKING:  # a name that only a constructor knows (a key of Sequential's mapping) is of type Any

        def __getattr__(self, name: str) -> Any: ...

    # -------- registration (the names and kinds are checked in registry.py)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None reserves the name (as a layer without bias does).

        Raises
        ------
        ArgumentError
            If the name is empty, holds a dot, or is taken.
        DTypeError
            If the name is no string, or the value is not of its kind.
        """
        self._register("_parameters", "register_parameter", "param", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but is not trained, such as running statistics; None reserves the name.

        `persistent` says whether `state_dict` holds it.  Raises as `register_parameter`.
        """
        _check.boolean("register_buffer", "persistent", persistent)
        self._register("_buffers", "register_buffer", "tensor", name, tensor)
        if not persistent:
            self._not_in_state.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under `name`, which may be a string that is no identifier, such as ``"0"``.

        Raises as `register_parameter`.
        """
        self._register("_modules", "register_module", "module", name, module)

    add_module = register_module

    # -------- walking

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Yield ``(dotted name, module)``, this module first, depth first; a shared module once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate:
                if id(module) in seen:
                    continue
                seen.add(id(module))
            yield path, module
            for name, child in reversed(module._modules.items()):
                if child is not None:
                    stack.append((f"{path}.{name}" if path else name, child))

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, a shared one once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield ``(name, module)`` of the immediate submodules, a shared one once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the immediate submodules, a shared one once."""
        for _, module in self.named_children():
            yield module

    def _named_tensors(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        owners = self.named_modules(prefix, remove_duplicate) if recurse else iter([(prefix, self)])
        for path, module in owners:
            for name, tensor in module.__dict__[registry].items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield ``(dotted name, parameter)``; one that is shared comes once, under its first name."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)  # type: ignore[return-value]

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, a shared one once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(dotted name, buffer)``; one that is shared comes once, under its first name."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, a shared one once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def apply(self: M, fn: Callable[[Module], object]) -> M:
        """Call ``fn(module)`` on every submodule and last on this one; return this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -------- modes

    def train(self: M, mode: bool = True) -> M:
        """Set `training` to `mode` here and in all submodules; return this module."""
        _check.boolean("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """The same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Say for all parameters whether gradients are wanted; return this module."""
        _check.boolean("requires_grad_", "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros where `set_to_none` is False."""
        _check.boolean("zero_grad", "set_to_none", set_to_none)
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                with no_grad():
                    gradient.zero_()

    def to(
        self: M,
        *args: Any,
        device: str | None = None,
        dtype: Any = None,
        non_blocking: bool = False,
        memory_format: MemoryFormat | None = None,
    ) -> M:
        """Convert floating parameters and buffers to a dtype; return this module.

        They stay the same tensors, with new memory: an optimiser made before goes on training them.
        Gradients are converted, too.  Integer buffers stay as they are.

        Parameters
        ----------
        *args
            A dtype, the device, both, or a tensor that has the dtype: ``to(dtype)``, ``to("cpu", dtype)``.
        device : str, optional
            "cpu", the only one there is; it changes nothing.
        dtype : dtype, optional
            float32 or float64; None changes nothing.
        non_blocking : bool, default False
            Without effect on the CPU.
        memory_format : MemoryFormat, optional
            Changes nothing: images get their channels last by themselves, weights are packed by the kernels.

        Raises
        ------
        DTypeError
            If `dtype` is no floating dtype.
        ArgumentError
            If something is given twice, or a buffer is the result of a recorded operation.
        NotImplementedError
            For another device, or what is no memory format.
        """
        wanted = requested_dtype(args, device, dtype, non_blocking, memory_format)
        if wanted is not None:
            convert_tensors([*self.named_parameters(), *self.named_buffers()], wanted)
        return self

    def float(self: M) -> M:
        """Convert floating parameters and buffers to float32, as `to` does."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert floating parameters and buffers to float64, as `to` does."""
        return self.to(np.float64)

    def cpu(self: M) -> M:
        """Return this module: the CPU is the only device."""
        return self

    # -------- state

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers under all their names (a shared tensor under each)."""
        for path, module in self.named_modules(remove_duplicate=False):
            for registry in ("_parameters", "_buffers"):
                for name, tensor in module.__dict__[registry].items():
                    if tensor is not None and name not in module._not_in_state:
                        yield (f"{path}.{name}" if path else name), tensor

    def state_dict(
        self, *, destination: None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, each name after `prefix`.

        The tensors *share memory* with the module: `tinynet.save` them or clone them to keep the present
        values.  They are detached; with `keep_vars` they are the module's own.  A tensor that is shared
        stands under each of its names.  `destination` is not supported.
        """
        _check.refuse("state_dict", destination=(destination, (None,)))
        if not isinstance(prefix, str):
            raise DTypeError(f"state_dict: prefix must be a str; got {type(prefix).__name__}")
        kept = _check.boolean("state_dict", "keep_vars", keep_vars)
        return {prefix + name: tensor if kept else tensor.detach() for name, tensor in self._named_state()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadResult:
        """Copy the values of `state_dict` into this module's parameters and buffers.

        Everything is checked before the first value is copied: a call that raises has changed nothing.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or numpy.ndarray
            As `state_dict` gives it.  Shapes and dtypes must be the module's own.
        strict : bool, default True
            Whether the keys must be exactly the module's own.  With False, keys that are missing or
            unexpected are only returned; shapes and dtypes are checked all the same.
        assign : bool, default False
            True, which would put the given tensors in the place of the module's own, is not supported.

        Returns
        -------
        LoadResult
            Named tuple ``(missing_keys, unexpected_keys)``.

        Raises
        ------
        DataError
            If a shape or dtype differs or, with `strict`, a key is missing or unexpected.
        DTypeError
            If `state_dict` is no mapping, or a value of it is neither a tensor nor an array.
        """
        _check.boolean("load_state_dict", "strict", strict)
        _check.refuse("load_state_dict", assign=(assign, (False,)))
        return load_tensors(type(self).__name__, dict(self._named_state()), state_dict, strict)

    # -------- printing

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        children = self._modules.items()
        child_lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in children]
        if not child_lines and len(extra_lines) <= 1:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(extra_lines + child_lines) + "\n)"
