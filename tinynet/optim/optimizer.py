"""`Optimizer`: parameter groups, their options, and the state kept per parameter.

Abstract: a final class makes one `_step`; it may check its options (`_check_group`) and say what its state
looks like (`_check_state`).  A program's own class, as written for PyTorch, overrides `step` and needs no
more; hooks of `step` are then its own affair.
"""

from __future__ import annotations

import copy
import numbers
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tinynet import _check
from tinynet._hooks import RemovableHandle
from tinynet._tensor import Tensor, enable_grad, no_grad, tensor
from tinynet.errors import ArgumentError, DataError, DTypeError
from tinynet.nn.hooks import Hooks

Group = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Mapping[str, Any]]


class Optimizer:
    """Base of the optimisers.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        The tensors to change, also with names, or parameter groups: dictionaries with the key "params" and
        any options that differ from the defaults.
    defaults : dict
        The options of groups that do not give their own.

    Attributes
    ----------
    param_groups : list of dict
        Each holds "params", a list, every option, "param_names" if the parameters came with names, and what
        else the user has put there.  Options may be changed between steps.
    state : defaultdict
        Per parameter, a dictionary of what the optimiser remembers; an empty one where there is nothing yet.

    Raises
    ------
    ArgumentError
        If there are no parameters, one appears twice, or an option is out of range.
    DTypeError
        If something in `params` is not a leaf tensor of a floating dtype, or an option is of the wrong type.
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
            raise DTypeError(
                f"{name}: params must be Tensors or dicts in an iterable; got {type(params).__name__}"
            )
        if isinstance(params, (set, frozenset)):
            raise DTypeError(f"{name}: params must have an order that is the same in every run; got a set")
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._start()
        given: list[Any] = list(params)
        if not given:
            raise ArgumentError(f"{name}: params must hold at least one parameter; got none")
        if isinstance(given[0], Mapping):
            for group in given:
                self.add_param_group(group)
        else:
            self.add_param_group({"params": given})

    # -------- what a subclass gives

    def _check_group(self, group: Mapping[str, Any]) -> None:
        """Raise unless the options of `group` are of their kind and range; here nothing is known of them."""

    def _check_state(self, param: Tensor, state: Mapping[str, Any]) -> str:
        """What is wrong with `state`, read from a state dict, for `param`; '' if nothing is."""
        return ""

    def _step(self) -> None:
        """Change every parameter that has a gradient, once."""
        raise NotImplementedError(f"{type(self).__name__}: step must be defined by the class")

    def _state_replaced(self) -> None:
        """Called when state and groups were exchanged: a subclass drops what it had derived from them."""

    # -------- the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient, once.

        Parameters
        ----------
        closure : callable, optional
            Called first, with gradients enabled: computes the loss anew and calls ``backward``.

        Returns
        -------
        object
            What `closure` returned, or None.
        """
        if self._before:
            closure = self._call_before(closure)
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._step()
        for hook, _ in list(self._after.values()):
            hook(self, _arguments(self, closure), {})
        return loss

    def _call_before(self, closure: Callable[[], Any] | None) -> Callable[[], Any] | None:
        """Call the hooks of `register_step_pre_hook`; the closure that they leave."""
        args, kwargs = _arguments(self, closure), dict[str, Any]()
        for hook, _ in list(self._before.values()):
            replaced = hook(self, args, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise DTypeError(
                    "register_step_pre_hook: a hook must return None or (args, kwargs); "
                    f"got {type(replaced).__name__}"
                )
            args, kwargs = replaced
        return kwargs["closure"] if "closure" in kwargs else args[1] if len(args) > 1 else None

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before every step.

        Parameters
        ----------
        hook : callable
            `args` is ``(optimizer,)`` or ``(optimizer, closure)``, `kwargs` is empty.  What it returns, if
            not None, must be a pair that replaces both.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` takes the hook off.  Copies and pickles of the optimiser have no hooks.
        """
        return _register("register_step_pre_hook", self._before, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after every step; as `register_step_pre_hook`."""
        return _register("register_step_post_hook", self._after, hook)

    # -------- groups

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own, for example those of a layer that is trained from now on.

        Parameters
        ----------
        group : dict
            "params" (a tensor, or an iterable of tensors or of pairs of a name and a tensor) and any options;
            those not given come from the defaults.  Other keys are kept and mean nothing here.

        Raises
        ------
        ArgumentError, DTypeError
            As the constructor; nothing is added then.
        """
        name = f"{type(self).__name__}.add_param_group"
        if not isinstance(group, Mapping):
            raise DTypeError(f"{name}: group must be a dict; got {type(group).__name__}")
        if "params" not in group:
            raise ArgumentError(f"{name}: group must have the key 'params'; got {sorted(map(str, group))}")
        given = group["params"]
        if isinstance(given, (set, frozenset)):
            raise DTypeError(f"{name}: params must have an order that is the same in every run; got a set")
        if isinstance(given, Tensor):
            given = [given]
        elif not isinstance(given, Iterable):
            raise DTypeError(
                f"{name}: params must be a Tensor or an iterable of Tensors; got {type(given).__name__}"
            )
        params = list(given)
        names = [each[0] for each in params if isinstance(each, tuple) and len(each) == 2]
        if names:
            if len(names) < len(params) or not all(isinstance(each, str) for each in names):
                raise DTypeError(f"{name}: params must be Tensors or (str, Tensor), all alike; got a mixture")
            params = [each[1] for each in params]
        taken = {id(p) for each in self.param_groups for p in each["params"]}
        for index, param in enumerate(params):
            if not isinstance(param, Tensor):
                raise DTypeError(f"{name}: params[{index}] must be a Tensor; got {type(param).__name__}")
            if param.dtype.kind != "f":
                raise DTypeError(
                    f"{name}: params[{index}] must have dtype float32 or float64; got {param.dtype}"
                )
            if not param.is_leaf:
                raise ArgumentError(
                    f"{name}: params[{index}] must be a leaf tensor; got the result of an operation"
                )
            if id(param) in taken:
                raise ArgumentError(f"{name}: every parameter must appear once; got params[{index}] again")
            taken.add(id(param))
        new = {**self.defaults, **group, "params": params}
        if names:
            new["param_names"] = names
        others = [each for each in self.param_groups if each["params"]]
        if params and others and ("param_names" in new) != ("param_names" in others[0]):
            raise ArgumentError(
                f"{name}: groups must have names for all parameters or for none; got both kinds"
            )
        self._check_group(new)
        self.param_groups.append(new)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros where `set_to_none` is False."""
        _check.boolean("zero_grad", "set_to_none", set_to_none)
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    with no_grad():
                        param.grad.zero_()

    # -------- state

    def _index(self) -> dict[int, Tensor]:
        """The parameters of all groups, numbered from 0 in order."""
        return dict(enumerate(param for group in self.param_groups for param in group["params"]))

    def state_dict(self) -> dict[str, Any]:
        """Options and state, with parameters named by their number in order of the groups.

        Returns
        -------
        dict
            "state": number -> state of that parameter (its tensors are shared, not copied; parameters without
            state are left out).  "param_groups": the groups, with numbers for parameters.
        """
        position = {id(param): index for index, param in self._index().items()}
        groups = [
            {**group, "params": [position[id(param)] for param in group["params"]]}
            for group in self.param_groups
        ]
        state = {position[id(param)]: dict(each) for param, each in self.state.items() if each}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take options and state from what `state_dict` gave; tensors are copied.

        A group's other keys are replaced by those of `state_dict`, names of parameters only if it has some.
        Everything is checked first: a call that raises has changed nothing.

        Raises
        ------
        DataError
            If groups, their sizes, their options or the state do not fit this optimiser.
        ArgumentError, DTypeError
            If an option is out of range or of the wrong type.
        """
        name = f"{type(self).__name__}.load_state_dict"
        if not (isinstance(state_dict, Mapping) and {"state", "param_groups"} <= set(state_dict)):
            raise DataError(
                f"{name}: state_dict must have 'state' and 'param_groups'; got {_brief(state_dict)}"
            )
        groups, state = state_dict["param_groups"], state_dict["state"]
        if not isinstance(groups, (list, tuple)) or not isinstance(state, Mapping):
            raise DataError(
                f"{name}: 'param_groups' must be a list and 'state' a dict; "
                f"got {type(groups).__name__} and {type(state).__name__}"
            )
        if len(groups) != len(self.param_groups):
            raise DataError(
                f"{name}: param_groups must be {len(self.param_groups)} groups; got {len(groups)}"
            )
        needed = {"params", *self.defaults}
        start = 0
        for index, (own, new) in enumerate(zip(self.param_groups, groups, strict=True)):
            if not isinstance(new, Mapping) or not needed <= set(new):
                raise DataError(
                    f"{name}: group {index} must have the keys {sorted(needed)}; got {_brief(new)}"
                )
            stop = start + len(own["params"])
            numbered = isinstance(new["params"], (list, tuple)) and all(
                isinstance(each, numbers.Integral) for each in new["params"]
            )
            if not numbered or list(new["params"]) != list(range(start, stop)):
                got = _brief(new["params"])
                raise DataError(
                    f"{name}: group {index} must hold parameters {start} to {stop - 1}; got {got}"
                )
            start = stop
            self._check_group(new)
        params = self._index()
        for index, each in state.items():
            if index not in params:
                raise DataError(f"{name}: state must be of parameters 0 to {len(params) - 1}; got {index!r}")
            problem = self._check_state(params[index], each) if isinstance(each, Mapping) else "no dict"
            if problem:
                raise DataError(f"{name}: the state of parameter {index} must fit it; got {problem}")
        loaded = {
            params[index]: {
                key: _copy(value, params[index]) if isinstance(value, Tensor) else copy.deepcopy(value)
                for key, value in each.items()
            }
            for index, each in state.items()
        }
        for own, new in zip(self.param_groups, groups, strict=True):
            kept: Group = {key: own[key] for key in ("params", "param_names") if key in own}
            own.clear()
            own.update({**kept, **copy.deepcopy({key: new[key] for key in new if key != "params"})})
        self.state.clear()
        self.state.update(loaded)
        self._state_replaced()

    # -------- copies

    def _start(self) -> None:
        """Begin without hooks, and with nothing derived from groups and state."""
        self._before: Hooks = {}
        self._after: Hooks = {}
        self._state_replaced()

    def __getstate__(self) -> dict[str, Any]:
        """For copy and pickle: defaults, groups, state.  What a model shares stays shared within one copy."""
        return {name: self.__dict__[name] for name in ("defaults", "param_groups", "state")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _copy(value: Tensor, param: Tensor) -> Tensor:
    """A copy of `value`, laid out in memory like `param` if it has its shape, as fused passes need it."""
    array = value.detach().numpy()
    if value.shape == param.shape:
        array = np.empty_like(param.detach().numpy(), array.dtype)
        array[...] = value.detach().numpy()
    return tensor(array)


def _brief(value: object) -> str:
    """A short form of `value` for an error message."""
    if isinstance(value, Mapping):
        return f"keys {sorted(map(str, value))}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _arguments(optimizer: Optimizer, closure: Callable[[], Any] | None) -> tuple[Any, ...]:
    """What `step` was called with, as hooks see it."""
    return (optimizer,) if closure is None else (optimizer, closure)


def _register(operation: str, hooks: Hooks, hook: Callable[..., Any]) -> RemovableHandle:
    if not callable(hook):
        raise DTypeError(f"{operation}: hook must be callable; got {type(hook).__name__}")
    handle = RemovableHandle(hooks, lambda: None)
    handle.add((hook, True), False)
    return handle
