"""Stochastic gradient descent with momentum, in one fused pass per parameter group.

Per parameter w with gradient g, in this order::

    g = -g                                        if maximize
    g = g + weight_decay w
    v = momentum v + (1 - dampening) g            v = g at the first step
    d = g + momentum v  if nesterov  else v       d = g without momentum
    w = w - lr d
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_, itemgetter
from typing import Any, NamedTuple

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, arrays_of, enable_grad, grads_of, tensor
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops.update import sgd
from tinynet.optim.optimizer import Optimizer, Params

Array = np.ndarray[Any, Any]


# The options of a group, in the order in which the kernel takes them.
_OPTIONS = itemgetter("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")

# PyTorch's choices between its implementations: option -> the values that change nothing here.
_REFUSED: dict[str, tuple[object, ...]] = {
    "foreach": (None, False),
    "differentiable": (False,),
    "fused": (None, False),
}


class _Batch(NamedTuple):
    """The parameters of one group and one dtype that have gradients: what one call of the kernel updates."""

    params: list[Tensor]
    weights: list[Array]
    buffers: list[Array]  # velocities; empty without momentum
    first: list[bool]  # whether a velocity is still to be set; all False from the second step on


class _Plan(NamedTuple):
    """The batches of one group, and what they were made from."""

    weights: list[Array]
    velocities: list[Array]
    batches: list[_Batch]


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    The velocity follows PyTorch: ``v = momentum v + g``, ``w = w - lr v``.  Sutskever et al. 2013 have the
    learning rate inside, ``v = momentum v - lr g``, ``w = w + v``.  At a constant rate both give the same
    steps; when the rate is lowered, PyTorch's form applies the new rate to the whole velocity at once, theirs
    only to gradients from then on.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        The parameters, also with names (``model.named_parameters()``), or parameter groups with options of
        their own.  Parameters without a gradient are left alone.
    lr : float, default 1e-3
        Learning rate, at least 0.
    momentum : float, default 0
        Factor on the velocity, at least 0.
    dampening : float, default 0
        The share of each gradient, except at the first step, that does not enter the velocity.
    weight_decay : float, default 0
        Factor of the L2 penalty, at least 0.
    nesterov : bool, default False
        Look-ahead momentum; needs ``momentum > 0`` and ``dampening == 0``.
    maximize : bool, default False
        Climb instead of descending.
    foreach, differentiable, fused
        PyTorch's choices between its implementations; not supported, beyond their defaults and False.

    Raises
    ------
    ArgumentError
        If an option is out of range or not finite, or `nesterov` lacks what it needs.
    DTypeError
        If an option is of the wrong type, or a parameter is no leaf tensor of a floating dtype.
    NotImplementedError
        If an option is not supported.

    Notes
    -----
    Options may be changed in `param_groups` between steps; `step` checks what has changed.  When the dtype of
    a parameter has changed (``model.double()``), the next step converts its velocity.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl, G. Hinton: On the importance of initialization and momentum in deep
    learning, 2013.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        self._check_group({**defaults, "foreach": foreach, "differentiable": differentiable, "fused": fused})
        self._plans: dict[int, _Plan] = {}  # by the group's position
        self._checked: dict[int, tuple[Any, ...]] = {}  # by the group's position: options last found good
        super().__init__(params, defaults)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        _check.refuse("SGD", **{name: (group[name], _REFUSED[name]) for name in _REFUSED if name in group})
        for name in ("lr", "momentum", "weight_decay"):
            _check.real("SGD", name, group[name], 0)
        _check.real("SGD", "dampening", group["dampening"])
        _check.boolean("SGD", "maximize", group["maximize"])
        nesterov = _check.boolean("SGD", "nesterov", group["nesterov"])
        if nesterov and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                "SGD: nesterov must come with momentum > 0 and dampening = 0; "
                f"got momentum={group['momentum']!r}, dampening={group['dampening']!r}"
            )

    def _check_state(self, param: Tensor, state: Mapping[str, Any]) -> str:
        if set(state) - {"momentum_buffer"}:
            return f"keys {sorted(map(str, state))} where only 'momentum_buffer' is known"
        buffer = state.get("momentum_buffer")
        if buffer is None:
            return ""
        if not isinstance(buffer, Tensor):
            return f"a momentum_buffer that is a {type(buffer).__name__}"
        if buffer.shape != param.shape or buffer.dtype != param.dtype:
            return (
                f"a momentum_buffer of shape {buffer.shape} and dtype {buffer.dtype} "
                f"where {param.shape} and {param.dtype} are expected"
            )
        return ""

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
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        # Before the first weight moves: a step that raises for an option has changed nothing.
        for position, group in enumerate(self.param_groups):
            options = _OPTIONS(group)
            if not _same(options, self._checked.get(position, ())):
                self._check_group(group)
                self._checked[position] = options
        for position, group in enumerate(self.param_groups):
            options = self._checked[position]
            params = group["params"]
            params = [param for param, grad in zip(params, grads_of(params), strict=True) if grad is not None]
            for batch in self._plan(position, params, options[1] != 0):
                sgd(
                    batch.weights,
                    [grad for grad in grads_of(batch.params) if grad is not None],
                    batch.buffers,
                    batch.first,
                    *options,
                )
                if True in batch.first:
                    batch.first[:] = [False] * len(batch.first)
        return loss

    def _plan(self, position: int, params: list[Tensor], with_momentum: bool) -> list[_Batch]:
        """Sort `params`, those of a group that have gradients, by dtype and with their velocities.

        The answer is kept and given again while the arrays of the parameters and of the velocities in
        `state` are the same objects.
        """
        weights = arrays_of(params)
        velocities = self._velocities(params) if with_momentum else []
        plan = self._plans.get(position)
        if (
            plan is not None
            and velocities is not None
            and _same(plan.weights, weights)
            and _same(plan.velocities, velocities)
        ):
            return plan.batches
        first = [False] * len(params)
        buffers: list[Array] = []
        if with_momentum:
            held = [self.state.setdefault(param, {}) for param in params]
            first = [state.get("momentum_buffer") is None for state in held]
            fitting = [
                _fitting(state.get("momentum_buffer"), weight)
                for state, weight in zip(held, weights, strict=True)
            ]
            for state, velocity in zip(held, fitting, strict=True):
                state["momentum_buffer"] = velocity
            buffers = arrays_of(fitting)
        batches = []
        for dtype in dict.fromkeys(weight.dtype for weight in weights):
            at = [index for index, weight in enumerate(weights) if weight.dtype == dtype]
            batches.append(
                _Batch(
                    [params[index] for index in at],
                    [weights[index] for index in at],
                    [buffers[index] for index in at] if with_momentum else [],
                    [first[index] for index in at],
                )
            )
        self._plans[position] = _Plan(weights, buffers, batches)
        return batches

    def _velocities(self, params: list[Tensor]) -> list[Array] | None:
        """The arrays of the velocities in `state`, or None if one is missing or no tensor."""
        state = self.state
        try:
            return arrays_of([state[param]["momentum_buffer"] for param in params])
        except (KeyError, TypeError):
            return None

    def _state_replaced(self) -> None:
        self._plans.clear()


def _same(left: Sequence[object], right: Sequence[object]) -> bool:
    """Whether two sequences hold the same objects."""
    return len(left) == len(right) and all(map(is_, left, right))


def _fitting(velocity: object, weight: Array) -> Tensor:
    """`velocity` with the dtype and the memory layout of `weight`, as the kernel needs it; None is zeros."""
    if velocity is None:
        return tensor(np.zeros_like(weight))
    if not isinstance(velocity, Tensor):
        raise DTypeError(f"SGD.step: momentum_buffer must be a Tensor; got {type(velocity).__name__}")
    if velocity.shape != weight.shape:
        raise ArgumentError(
            f"SGD.step: momentum_buffer must have its parameter's shape {weight.shape}; got {velocity.shape}"
        )
    values = velocity.detach().numpy()
    if values.dtype == weight.dtype and values.strides == weight.strides:
        return velocity
    converted = np.empty_like(weight)
    converted[...] = values
    return tensor(converted)
