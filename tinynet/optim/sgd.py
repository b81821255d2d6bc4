"""Stochastic gradient descent with momentum, in one fused pass per parameter group.

Per parameter w with gradient g, in this order::

    g = -g                                        if maximize
    g = g + weight_decay w
    v = momentum v + (1 - dampening) g            v = g at the first step
    d = g + momentum v  if nesterov  else v       d = g without momentum
    w = w - lr d
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, ClassVar

from tinynet import _check
from tinynet.errors import ArgumentError
from tinynet.ops.update import sgd
from tinynet.optim.fused import REFUSED, Array, Batch, Fused
from tinynet.optim.optimizer import Params

# The options of a group, in the order in which the kernel takes them.
_OPTIONS = itemgetter("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")


class SGD(Fused):
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

    _state_tensors: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

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
        super().__init__(params, defaults)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        _check.refuse("SGD", **{name: (group[name], REFUSED[name]) for name in REFUSED if name in group})
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

    def _options(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        options: tuple[Any, ...] = _OPTIONS(group)
        return options

    def _wanted(self, options: tuple[Any, ...]) -> tuple[str, ...]:
        return self._state_tensors if options[1] != 0 else ()

    def _change(self, batch: Batch, grads: list[Array], options: tuple[Any, ...]) -> None:
        velocities = batch.buffers[0] if batch.buffers else []
        sgd(batch.weights, grads, velocities, batch.first, *options)
