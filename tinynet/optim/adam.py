"""Adam, AMSGrad and AdamW, in one fused pass per parameter group.

Per parameter w with gradient g at its step t = 1, 2, ..., in this order (Kingma & Ba 2015, Algorithm 1)::

    g = -g                                 if maximize
    w = w - lr weight_decay w              if decoupled_weight_decay (Loshchilov & Hutter 2019, Algorithm 2)
    g = g + weight_decay w                 otherwise
    a = beta1 a + (1 - beta1) g            exp_avg, from 0
    s = beta2 s + (1 - beta2) g^2          exp_avg_sq, from 0
    m = max(m, s)  if amsgrad  else s      max_exp_avg_sq, from 0 (Reddi, Kale & Kumar 2018, Algorithm 2)
    w = w - lr / (1 - beta1^t) a / (sqrt(m) / sqrt(1 - beta2^t) + eps)
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, ClassVar

from tinynet import _check
from tinynet.errors import ArgumentError, DTypeError
from tinynet.ops.update import adam
from tinynet.optim.fused import REFUSED, Array, Batch, Fused, count_steps, next_steps
from tinynet.optim.optimizer import Params

_OPTIONS = itemgetter("lr", "betas", "eps", "weight_decay", "maximize", "decoupled_weight_decay", "amsgrad")


class Adam(Fused):
    """Adam: steps of about `lr` per weight, the mean gradient over the root of the mean square.

    Both means are exponential averages that begin at 0; dividing by ``1 - beta^t`` takes out what that does
    to them.  `eps` is added after this correction, outside the root, as in PyTorch and in the paper's
    algorithm.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        The parameters, also with names (``model.named_parameters()``), or parameter groups with options of
        their own.  Parameters without a gradient are left alone, their step count as well.
    lr : float, default 1e-3
        Learning rate, at least 0.
    betas : (float, float), default (0.9, 0.999)
        What the averages of the gradient and of its square keep at each step, in [0, 1).
    eps : float, default 1e-8
        Added to the root, at least 0.
    weight_decay : float, default 0
        Factor of the L2 penalty, at least 0.  It enters the averages, unless `decoupled_weight_decay`.
    amsgrad : bool, default False
        Divide by the root of the largest mean square so far.
    maximize : bool, default False
        Climb instead of descending.
    decoupled_weight_decay : bool, default False
        Let weights decay by themselves, by ``lr * weight_decay`` per step: `AdamW`.
    foreach, capturable, differentiable, fused
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
    `state` holds per parameter "step" (a number, where PyTorch has a tensor), "exp_avg", "exp_avg_sq" and,
    with `amsgrad`, "max_exp_avg_sq".  The largest mean square is taken before the correction by
    ``1 - beta2^t``, as in PyTorch.  Options may be changed in `param_groups` between steps; `step` checks
    what has changed.  When the dtype of a parameter has changed (``model.double()``), the next step converts
    its state.

    References
    ----------
    D. P. Kingma, J. Ba: Adam: a method for stochastic optimization, 2015.
    S. J. Reddi, S. Kale, S. Kumar: On the convergence of Adam and beyond, 2018.
    I. Loshchilov, F. Hutter: Decoupled weight decay regularization, 2019.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tn.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()  # the first step is lr in the direction of each sign
    >>> print(w.detach().numpy().round(4))
    [ 0.5 -1.5]
    """

    _state_tensors: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    _state_needed: ClassVar[tuple[str, ...]] = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas) if isinstance(betas, list) else betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        refused = {
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
        }
        self._check_group({**defaults, **refused})
        super().__init__(params, defaults)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        name = type(self).__name__
        _check.refuse(name, **{each: (group[each], REFUSED[each]) for each in REFUSED if each in group})
        for option in ("lr", "eps", "weight_decay"):
            _check.real(name, option, group[option], 0)
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise DTypeError(f"{name}: betas must be two numbers in [0, 1); got {betas!r}")
        for beta in betas:
            if not 0 <= _check.real(name, "betas", beta) < 1:
                raise ArgumentError(f"{name}: betas must be two numbers in [0, 1); got {betas!r}")
        for option in ("amsgrad", "maximize", "decoupled_weight_decay"):
            _check.boolean(name, option, group[option])

    def _options(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        options: tuple[Any, ...] = _OPTIONS(group)
        if isinstance(
            options[1], list
        ):  # which may have been changed in place: a new object, so checked again
            options = (options[0], tuple(options[1]), *options[2:])
        return options

    def _wanted(self, options: tuple[Any, ...]) -> tuple[str, ...]:
        return self._state_tensors if options[-1] else self._state_needed[1:]

    def _change(self, batch: Batch, grads: list[Array], options: tuple[Any, ...]) -> None:
        lr, (beta1, beta2), eps, weight_decay, maximize, decoupled, _ = options
        averages, squares, *largest = batch.buffers
        steps = next_steps(batch)
        adam(
            batch.weights,
            grads,
            averages,
            squares,
            largest[0] if largest else [],
            steps,
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
            maximize,
            decoupled,
        )
        count_steps(batch, steps)


class AdamW(Adam):
    """Adam with decoupled weight decay: ``w = w - lr weight_decay w`` beside the step, not in the gradient.

    The parameters, errors and state are those of `Adam`, with `weight_decay` 0.01 by default.  A state dict
    of `Adam` that is loaded becomes decoupled.

    References
    ----------
    I. Loshchilov, F. Hutter: Decoupled weight decay regularization, 2019.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([2.0], requires_grad=True)
    >>> optimizer = tn.optim.AdamW([w], lr=0.5, weight_decay=0.1)
    >>> w.grad = tn.zeros(1)
    >>> optimizer.step()  # without a gradient only the decay is left: 2 - 0.5 * 0.1 * 2
    >>> print(w.detach().numpy())
    [1.9]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def _state_replaced(self) -> None:
        super()._state_replaced()
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
