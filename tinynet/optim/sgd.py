"""Stochastic gradient descent with momentum, in one fused pass per parameter group.

Per parameter w with gradient g, in this order::

    g = -g                                        if maximize
    g = g + weight_decay w
    v = momentum v + (1 - dampening) g            v = g at the first step
    d = g + momentum v  if nesterov  else v       d = g without momentum
    w = w - lr d
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor, arrays_of, enable_grad, grads_of, tensor
from tinynet.errors import ArgumentError
from tinynet.ops.update import sgd
from tinynet.optim.optimizer import Optimizer

Array = np.ndarray[Any, Any]


class _Batch(NamedTuple):
    """The parameters of one group and one dtype that have gradients: what one call of the kernel updates."""

    params: list[Tensor]
    buffers: list[Array]  # velocities; empty without momentum
    first: list[bool]  # whether a velocity is still to be set; all False from the second step on


class _Plan(NamedTuple):
    """The batches of one group, and what they were made from."""

    params: list[Tensor]
    velocities: list[Tensor]
    batches: list[_Batch]


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    The velocity follows PyTorch: ``v = momentum v + g``, ``w = w - lr v``.  Sutskever et al. 2013 have the
    learning rate inside, ``v = momentum v - lr g``, ``w = w + v``.  At a constant rate both give the same
    steps; when the rate is lowered, PyTorch's form applies the new rate to the whole velocity at once, theirs
    only to gradients from then on.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        The parameters, or parameter groups with options of their own.  Parameters without a gradient are left
        alone.
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

    Raises
    ------
    ArgumentError
        If an option is out of range or not finite, or `nesterov` lacks what it needs.
    DTypeError
        If an option is of the wrong type, or a parameter is no leaf tensor of a floating dtype.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl, G. Hinton: On the importance of initialization and momentum in deep
    learning, 2013.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        self._check_group(defaults)
        self._plans: dict[int, _Plan] = {}  # by the group's position
        super().__init__(params, defaults)

    def _check_group(self, group: Mapping[str, Any]) -> None:
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
        for position, group in enumerate(self.param_groups):
            momentum = group["momentum"]
            params = group["params"]
            params = [param for param, grad in zip(params, grads_of(params), strict=True) if grad is not None]
            for batch in self._plan(position, params, momentum != 0):
                sgd(
                    arrays_of(batch.params),
                    [grad for grad in grads_of(batch.params) if grad is not None],
                    batch.buffers,
                    batch.first,
                    group["lr"],
                    momentum,
                    group["dampening"],
                    group["weight_decay"],
                    group["nesterov"],
                    group["maximize"],
                )
                if True in batch.first:
                    batch.first[:] = [False] * len(batch.first)
        return loss

    def _plan(self, position: int, params: list[Tensor], with_momentum: bool) -> list[_Batch]:
        """Sort `params`, those of a group that have gradients, by dtype and with their velocities.

        The answer is kept and given again while the parameters and the velocities in `state` are the same
        objects.
        """
        velocities = self._velocities(params) if with_momentum else []
        plan = self._plans.get(position)
        if (
            plan is not None
            and velocities is not None
            and _same(plan.params, params)
            and _same(plan.velocities, velocities)
        ):
            return plan.batches
        first = [False] * len(params)
        velocities = []
        if with_momentum:
            held = [self.state.setdefault(param, {}) for param in params]
            first = [state.get("momentum_buffer") is None for state in held]
            for param, state, new in zip(params, held, first, strict=True):
                if new:
                    state["momentum_buffer"] = tensor(np.zeros_like(param.detach().numpy()))
            velocities = [state["momentum_buffer"] for state in held]
        batches = []
        for dtype in dict.fromkeys(param.dtype for param in params):
            at = [index for index, param in enumerate(params) if param.dtype == dtype]
            buffers = arrays_of([velocities[index] for index in at]) if with_momentum else []
            batches.append(_Batch([params[index] for index in at], buffers, [first[index] for index in at]))
        self._plans[position] = _Plan(params, velocities, batches)
        return batches

    def _velocities(self, params: list[Tensor]) -> list[Tensor] | None:
        """The velocities in `state`, or None if one is missing."""
        state = self.state
        try:
            return [state[param]["momentum_buffer"] for param in params]
        except KeyError:
            return None

    def _state_replaced(self) -> None:
        self._plans.clear()


def _same(left: list[Tensor], right: list[Tensor]) -> bool:
    """Whether two lists hold the same objects."""
    return len(left) == len(right) and all(map(is_, left, right))
