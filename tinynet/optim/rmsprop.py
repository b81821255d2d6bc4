"""RMSprop, plain, centered and with momentum, in one fused pass per parameter group.

Per parameter w with gradient g, in this order (Tieleman & Hinton 2012; centered: Graves 2013, section 4.2)::

    g = -g                                 if maximize
    g = g + weight_decay w
    s = alpha s + (1 - alpha) g^2          square_avg, from 0
    a = alpha a + (1 - alpha) g            grad_avg, from 0, if centered; else 0
    v = momentum v + g / (sqrt(s - a^2) + eps)          momentum_buffer, from 0
    w = w - lr v
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, ClassVar

from tinynet import _check
from tinynet.ops.update import rmsprop
from tinynet.optim.fused import REFUSED, Array, Batch, Fused, count_steps, next_steps
from tinynet.optim.optimizer import Params

_OPTIONS = itemgetter("lr", "alpha", "eps", "weight_decay", "momentum", "maximize", "centered")


class RMSprop(Fused):
    """RMSprop: the gradient over the root of the average of its squares.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        The parameters, also with names (``model.named_parameters()``), or parameter groups with options of
        their own.  Parameters without a gradient are left alone.
    lr : float, default 1e-2
        Learning rate, at least 0.
    alpha : float, default 0.99
        What the averages keep at each step, at least 0.
    eps : float, default 1e-8
        Added to the root, at least 0.
    weight_decay : float, default 0
        Factor of the L2 penalty, at least 0.
    momentum : float, default 0
        Factor on the velocity, at least 0.
    centered : bool, default False
        Take the square of the average gradient off: divide by an estimate of the standard deviation.
    maximize : bool, default False
        Climb instead of descending.
    capturable, foreach, differentiable
        PyTorch's choices between its implementations; not supported, beyond their defaults and False.

    Raises
    ------
    ArgumentError
        If an option is out of range or not finite.
    DTypeError
        If an option is of the wrong type, or a parameter is no leaf tensor of a floating dtype.
    NotImplementedError
        If an option is not supported.

    Notes
    -----
    `state` holds per parameter "step" (a number, where PyTorch has a tensor), "square_avg", with `centered`
    "grad_avg" and with momentum "momentum_buffer".  Options may be changed in `param_groups` between steps;
    `step` checks what has changed.  Where rounding makes ``s - a^2`` negative, 0 is taken; PyTorch has NaN.

    References
    ----------
    T. Tieleman, G. Hinton: Lecture 6.5, RMSprop, Neural networks for machine learning, 2012.
    A. Graves: Generating sequences with recurrent neural networks, 2013.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tn.optim.RMSprop([w], lr=0.5, alpha=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()  # without memory: lr in the direction of each sign
    >>> print(w.detach().numpy().round(4))
    [ 0.5 -1.5]
    """

    _state_tensors: ClassVar[tuple[str, ...]] = ("square_avg", "grad_avg", "momentum_buffer")
    _state_needed: ClassVar[tuple[str, ...]] = ("step", "square_avg")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        refused = {"capturable": capturable, "foreach": foreach, "differentiable": differentiable}
        self._check_group({**defaults, **refused})
        super().__init__(params, defaults)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        _check.refuse("RMSprop", **{name: (group[name], REFUSED[name]) for name in REFUSED if name in group})
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            _check.real("RMSprop", name, group[name], 0)
        for name in ("centered", "maximize"):
            _check.boolean("RMSprop", name, group[name])

    def _options(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        options: tuple[Any, ...] = _OPTIONS(group)
        return options

    def _wanted(self, options: tuple[Any, ...]) -> tuple[str, ...]:
        square, average, buffer = self._state_tensors
        return (square, *((average,) if options[6] else ()), *((buffer,) if options[4] != 0 else ()))

    def _change(self, batch: Batch, grads: list[Array], options: tuple[Any, ...]) -> None:
        lr, alpha, eps, weight_decay, momentum, maximize, centered = options
        squares, *others = batch.buffers
        averages = others.pop(0) if centered else []
        buffers = others.pop(0) if others else []
        steps = next_steps(batch)
        rmsprop(
            batch.weights,
            grads,
            squares,
            averages,
            buffers,
            lr,
            alpha,
            eps,
            weight_decay,
            momentum,
            maximize,
        )
        count_steps(batch, steps)
