"""Hooks of a module: `Hooked` keeps them, calls them around `forward` and during backward.

A backward hook sees the gradients of the module's outputs and inputs.  To be on their way, the tensors go
through a `_Gate` each time: a node that hands its inputs on and, in backward, shows what passes.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from tinynet import _check
from tinynet._hooks import RemovableHandle
from tinynet._tensor import Tensor
from tinynet.autograd import Function
from tinynet.errors import ArgumentError, DTypeError
from tinynet.nn.registry import Registry

Hooks = MutableMapping[int, tuple[Callable[..., Any], bool]]  # handle id -> (hook, with_kwargs), in order
Gradients = tuple[Tensor | None, ...]


class Hooked(Registry):
    """The part of `Module` that is called.  Abstract."""

    _hooked = False  # the one flag that `__call__` checks; True on an instance while it has hooks

    def __init__(self) -> None:
        super().__init__()
        own = self.__dict__
        own["_forward_pre_hooks"] = {}
        own["_forward_hooks"] = {}
        own["_backward_pre_hooks"] = {}
        own["_backward_hooks"] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output.  Every module that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__}: forward must be defined by the class")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooked:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    # -------- registration

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before every forward of this module.

        It may return None or the positional arguments to use instead (a tuple, or a single value).  With
        `with_kwargs`, it is called as ``hook(module, args, kwargs)`` and may return ``(args, kwargs)``.
        `prepend` puts it before the hooks that are already there.  The hook stays until the returned handle's
        `remove`.
        """
        return self._add_hook("_forward_pre_hooks", "register_forward_pre_hook", hook, prepend, with_kwargs)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every forward of this module.

        It may return None or the output to use instead.  With `with_kwargs`, it is called as
        ``hook(module, args, kwargs, output)``.  `prepend` puts it before the hooks that are already there.
        The hook stays until the returned handle's `remove`.  `always_call` is not supported.
        """
        _check.refuse("register_forward_hook", always_call=(always_call, (False,)))
        return self._add_hook("_forward_hooks", "register_forward_hook", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the gradients of this module's outputs are complete.

        `grad_output` is a tuple with the gradient of each output, None for one that has none.  The hook may
        return None or gradients to use instead (a tuple, or a Tensor for a single output).  The module's
        `forward` must return a Tensor or a tuple of them; its results must not be changed in place.
        """
        name = "register_full_backward_pre_hook"
        return self._add_hook("_backward_pre_hooks", name, hook, prepend, False)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of its inputs are complete.

        `grad_input` has an entry per positional argument, None for one that is no Tensor or wants no
        gradient, and is all None if none does; `grad_output` has one per output.  The hook may return None
        or gradients to use in place of `grad_input` (a tuple, or a Tensor for a single argument).  The
        module's `forward` must return a Tensor or a tuple of them; arguments and results must not be changed
        in place.
        """
        return self._add_hook("_backward_hooks", "register_full_backward_hook", hook, prepend, False)

    def _add_hook(
        self, registry: str, operation: str, hook: Callable[..., Any], prepend: bool, with_kwargs: bool
    ) -> RemovableHandle:
        if not callable(hook):
            raise DTypeError(f"{operation}: hook must be callable; got {type(hook).__name__}")
        _check.boolean(operation, "prepend", prepend)
        _check.boolean(operation, "with_kwargs", with_kwargs)
        return RemovableHandle(self.__dict__[registry], self._hooks_changed).add((hook, with_kwargs), prepend)

    def _hooks_changed(self) -> None:
        own = self.__dict__
        own["_hooked"] = any(own[name] for name in own if name.endswith("_hooks"))

    # -------- calls

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`forward` between the hooks, each of which may replace what it is given."""
        own = self.__dict__
        for hook, with_kwargs in list(own["_forward_pre_hooks"].values()):
            replaced = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if replaced is None:
                continue
            if not with_kwargs:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
            elif isinstance(replaced, tuple) and len(replaced) == 2:
                args, kwargs = replaced
            else:
                raise DTypeError(
                    "register_forward_pre_hook: a hook with_kwargs must return None or (args, kwargs); "
                    f"got {type(replaced).__name__}"
                )
        passage = None
        if own["_backward_hooks"] or own["_backward_pre_hooks"]:
            passage = _Passage(self, own["_backward_pre_hooks"], own["_backward_hooks"])
            args = passage.enter(args)
        output = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(own["_forward_hooks"].values()):
            replaced = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            if replaced is not None:
                output = replaced
        return output if passage is None else passage.leave(output)


class _Gate(Function):
    """Hands tensors on; in backward, the gradients go through ``show``."""

    @staticmethod
    def forward(ctx: Any, show: Callable[[Gradients], Gradients], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.show = show
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, *ctx.show(gradients))


class _Passage:
    """One call of a module with backward hooks: its gates and the gradients that they show."""

    def __init__(self, module: Hooked, before: Hooks, after: Hooks) -> None:
        self.module, self.before, self.after = module, before, after
        self.inputs: list[int] = []  # the positional arguments that want a gradient
        self.arguments = 0
        self.grad_output: Gradients = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those that want a gradient through a gate."""
        self.arguments = len(args)
        self.inputs = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not self.inputs:
            return args
        through = dict(
            zip(self.inputs, _Gate.apply(self.at_inputs, *(args[i] for i in self.inputs)), strict=True)
        )
        return tuple(through.get(i, a) for i, a in enumerate(args))

    def leave(self, output: Any) -> Any:
        """The output through a gate."""
        outputs = output if isinstance(output, tuple) else (output,)
        if not all(isinstance(each, Tensor) for each in outputs):
            raise DTypeError(
                f"{type(self.module).__name__}: with backward hooks forward must return a Tensor "
                f"or a tuple of Tensors; got {type(output).__name__}"
            )
        through = _Gate.apply(self.at_outputs, *outputs)
        return through if isinstance(output, tuple) else through[0]

    def at_outputs(self, gradients: Gradients) -> Gradients:
        """The gradients of the outputs have come."""
        for hook, _ in list(self.before.values()):
            gradients = _replaced("register_full_backward_pre_hook", hook(self.module, gradients), gradients)
        self.grad_output = gradients
        if not self.inputs:
            for hook, _ in list(self.after.values()):
                hook(self.module, (None,) * self.arguments, gradients)
        return gradients

    def at_inputs(self, gradients: Gradients) -> Gradients:
        """The gradients of those arguments that want one have come."""
        at = dict(zip(self.inputs, gradients, strict=True))
        every: Gradients = tuple(at.get(i) for i in range(self.arguments))
        for hook, _ in list(self.after.values()):
            shown = hook(self.module, every, self.grad_output)
            every = _replaced("register_full_backward_hook", shown, every)
        return tuple(every[i] for i in self.inputs)


def _replaced(operation: str, given: Any, former: Gradients) -> Gradients:
    """What a hook returned in place of `former`."""
    if given is None:
        return former
    new = given if isinstance(given, tuple) else (given,)
    if len(new) != len(former):
        raise ArgumentError(
            f"{operation}: a hook must return None or {len(former)} gradients; got {len(new)}"
        )
    for each in new:
        if each is not None and not isinstance(each, Tensor):
            raise DTypeError(
                f"{operation}: a hook must return Tensors, None for no gradient; got {type(each).__name__}"
            )
    return new
