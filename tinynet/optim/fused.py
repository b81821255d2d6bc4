"""`Fused`: the base of the optimisers whose step is one call of `tinynet.ops.update` per group and dtype.

A step reads each parameter's array, gradient and state.  What they are sorted into (`Batch`) is kept and used
again while the arrays of the parameters and of the state are the same objects, which is looked up every time:
groups, state and dtypes may be changed between steps.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from operator import is_, itemgetter
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from tinynet._tensor import Tensor, arrays_of, grads_of, tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim.optimizer import Optimizer

Array: TypeAlias = np.ndarray[Any, Any]
State: TypeAlias = dict[str, Any]

# PyTorch's choices between its implementations: option -> the values that change nothing here.
REFUSED: dict[str, tuple[object, ...]] = {
    "foreach": (None, False),
    "capturable": (False,),
    "differentiable": (False,),
    "fused": (None, False),
}


class Batch(NamedTuple):
    """The parameters of one group and one dtype that have gradients: what one call of the kernel updates."""

    at: list[int]  # their places among the parameters of the group that have gradients
    weights: list[Array]
    states: list[State]  # what `state` holds of each; empty if the rule keeps nothing
    buffers: list[list[Array]]  # one list per name that the rule wants
    first: list[bool]  # whether the first of the buffers is new; all False from the second step on


class _Plan(NamedTuple):
    """The batches of one group, and what they were made from."""

    wanted: tuple[str, ...]
    weights: list[Array]
    states: list[State]
    buffers: list[list[Array]]
    batches: list[Batch]


class Fused(Optimizer):
    """Base of the optimisers that update all parameters of a group in one pass.

    A final class names what it keeps per parameter and defines the methods of the first part.
    """

    _state_tensors: ClassVar[tuple[str, ...]] = ()  # the tensors that a parameter's state may hold
    _state_needed: ClassVar[tuple[str, ...]] = ()  # what a state that is not empty holds at least

    # -------- what a subclass gives

    def _options(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The options of `group` that a step reads: the same objects as long as nothing has changed."""
        raise NotImplementedError(f"{type(self).__name__}: _options must be defined by the class")

    def _wanted(self, options: tuple[Any, ...]) -> tuple[str, ...]:
        """The names of the state tensors that a step with these options uses."""
        return self._state_tensors

    def _initial(self, name: str, group: Mapping[str, Any]) -> float:
        """What a new state tensor is filled with."""
        return 0.0

    def _change(self, batch: Batch, grads: list[Array], options: tuple[Any, ...]) -> None:
        """Update the weights and the state of a batch."""
        raise NotImplementedError(f"{type(self).__name__}: _change must be defined by the class")

    # -------- the step

    def _step(self) -> None:
        # Before the first weight moves: a step that raises for an option has changed nothing.
        for position, group in enumerate(self.param_groups):
            options = self._options(group)
            if not _same(options, self._checked.get(position, ())):
                self._check_group(group)
                self._checked[position] = options
        for position, group in enumerate(self.param_groups):
            options = self._checked[position]
            params, found = group["params"], grads_of(group["params"])
            grads = [grad for grad in found if grad is not None]
            if len(grads) < len(params):
                params = [param for param, grad in zip(params, found, strict=True) if grad is not None]
            for batch in self._plan(position, params, self._wanted(options)):
                given = grads if len(batch.at) == len(grads) else [grads[index] for index in batch.at]
                self._change(batch, given, options)
                if True in batch.first:
                    batch.first[:] = [False] * len(batch.first)

    def _plan(self, position: int, params: list[Tensor], wanted: tuple[str, ...]) -> list[Batch]:
        """Sort `params`, those of a group that have gradients, by dtype and with their state."""
        weights = arrays_of(params)
        states = list(map(self.state.__getitem__, params)) if wanted else []
        plan = self._plans.get(position)
        if (
            plan is not None
            and plan.wanted == wanted
            and _same(plan.weights, weights)
            and _same(plan.states, states)
            and _unchanged(plan)
        ):
            return plan.batches
        group = self.param_groups[position]
        buffers: list[list[Array]] = []
        first = [state.get(wanted[0]) is None for state in states] if wanted else [False] * len(params)
        for name in wanted:
            initial = self._initial(name, group)
            fitting = [
                self._fitting(name, state.get(name), weight, initial)
                for state, weight in zip(states, weights, strict=True)
            ]
            for state, each in zip(states, fitting, strict=True):
                state[name] = each
            buffers.append(arrays_of(fitting))
        batches = []
        for dtype in dict.fromkeys(weight.dtype for weight in weights):
            at = [index for index, weight in enumerate(weights) if weight.dtype == dtype]
            batches.append(
                Batch(
                    at,
                    [weights[index] for index in at],
                    [states[index] for index in at] if wanted else [],
                    [[each[index] for index in at] for each in buffers],
                    [first[index] for index in at],
                )
            )
        self._plans[position] = _Plan(wanted, weights, states, buffers, batches)
        return batches

    def _fitting(self, name: str, value: object, weight: Array, initial: float) -> Tensor:
        """A state tensor in the dtype and memory layout of `weight`, as the kernel needs it; None is new."""
        owner = f"{type(self).__name__}.step"
        if value is None:
            return tensor(np.full_like(weight, initial))
        if not isinstance(value, Tensor):
            raise DTypeError(f"{owner}: {name} must be a Tensor; got {type(value).__name__}")
        if value.shape != weight.shape:
            raise ArgumentError(
                f"{owner}: {name} must have its parameter's shape {weight.shape}; got {value.shape}"
            )
        values, converted = value.detach().numpy(), np.empty_like(weight)
        if values.dtype == converted.dtype and values.strides == converted.strides:
            return value
        converted[...] = values
        return tensor(converted)

    def _state_replaced(self) -> None:
        self._plans: dict[int, _Plan] = {}  # by the group's position
        self._checked: dict[int, tuple[Any, ...]] = {}  # by the group's position: options last found good

    # -------- checks of a state that is loaded

    def _check_state(self, param: Tensor, state: Mapping[str, Any]) -> str:
        known = [*(("step",) if "step" in self._state_needed else ()), *self._state_tensors]
        if set(state) - set(known):
            names = ", ".join(map(repr, known)) + (" is" if len(known) == 1 else " are")
            return f"keys {sorted(map(str, state))} where only {names} known"
        for name in self._state_needed if state else ():
            if state.get(name) is None:
                return f"a state without {name!r}"
        for name in self._state_tensors:
            value = state.get(name)
            if value is None:
                continue
            if not isinstance(value, Tensor):
                return f"a {name} that is a {type(value).__name__}"
            if value.shape != param.shape or value.dtype != param.dtype:
                return (
                    f"a {name} of shape {value.shape} and dtype {value.dtype} "
                    f"where {param.shape} and {param.dtype} are expected"
                )
        step = state.get("step", 0)
        if isinstance(step, bool) or not isinstance(step, numbers.Real) or not 0 <= float(step) < math.inf:
            return f"a step of {step!r} where a number >= 0 is expected"
        return ""


def next_steps(batch: Batch) -> list[float]:
    """The number that this step has for each parameter: 1 at its first."""
    return [state.get("step", 0) + 1 for state in batch.states]


def count_steps(batch: Batch, steps: list[float]) -> None:
    """Note in the state that the steps are done."""
    for state, step in zip(batch.states, steps, strict=True):
        state["step"] = step


def _same(left: Sequence[object], right: Sequence[object]) -> bool:
    """Whether two sequences hold the same objects."""
    return len(left) == len(right) and all(map(is_, left, right))


def _unchanged(plan: _Plan) -> bool:
    """Whether the state still holds the arrays of the plan."""
    try:
        for name, arrays in zip(plan.wanted, plan.buffers, strict=True):
            if not _same(arrays, arrays_of(map(itemgetter(name), plan.states))):
                return False
    except (KeyError, TypeError):  # one is missing, or no tensor
        return False
    return True
