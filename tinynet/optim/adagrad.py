"""Adagrad, in one fused pass per parameter group.

Per parameter w with gradient g at its step t = 1, 2, ..., in this order (Duchi, Hazan & Singer 2011, the
diagonal form of equation 1; `lr_decay` is Torch's addition)::

    g = -g                                          if maximize
    g = g + weight_decay w
    s = s + g^2                                     from initial_accumulator_value
    w = w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, ClassVar

from tinynet import _check
from tinynet._tensor import arrays_of
from tinynet.ops.update import adagrad
from tinynet.optim.fused import REFUSED, Array, Batch, Fused, count_steps, next_steps
from tinynet.optim.optimizer import Params

# The options of a group, in the order in which the kernel takes them.
_OPTIONS = itemgetter("lr", "lr_decay", "weight_decay", "eps", "maximize")


class Adagrad(Fused):
    """Adagrad: every weight has a rate of its own, which falls with the squares of its gradients so far.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        The parameters, also with names (``model.named_parameters()``), or parameter groups with options of
        their own.  Parameters without a gradient are left alone, their step count as well.
    lr : float, default 1e-2
        Learning rate, at least 0.
    lr_decay : float, default 0
        Divide the rate by ``1 + (t - 1) lr_decay`` at step t; at least 0.
    weight_decay : float, default 0
        Factor of the L2 penalty, at least 0.
    initial_accumulator_value : float, default 0
        Where the sum of squares begins, at least 0.
    eps : float, default 1e-10
        Added to the root, at least 0.
    maximize : bool, default False
        Climb instead of descending.
    foreach, differentiable, fused
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
    `state` holds per parameter "step" (a number, where PyTorch has a tensor) and "sum", from the beginning.
    Options may be changed in `param_groups` between steps; `step` checks what has changed.  When the dtype
    of a parameter has changed (``model.double()``), the next step converts its sum.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer: Adaptive subgradient methods for online learning and stochastic
    optimization, 2011.

    Examples
    --------
    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tn.optim.Adagrad([w], lr=0.5)
    >>> for _ in range(2):
    ...     w.grad = tn.tensor([3.0, -4.0])
    ...     optimizer.step()  # by 0.5 and then, after two equal gradients, by 0.5 / sqrt(2)
    >>> print(w.detach().numpy().round(4))
    [ 0.1464 -1.1464]
    """

    _state_tensors: ClassVar[tuple[str, ...]] = ("sum",)
    _state_needed: ClassVar[tuple[str, ...]] = ("step", "sum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        self._check_group({**defaults, "foreach": foreach, "differentiable": differentiable, "fused": fused})
        super().__init__(params, defaults)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own and begin their state: see `Optimizer.add_param_group`."""
        super().add_param_group(group)
        new = self.param_groups[-1]
        for param, weight in zip(new["params"], arrays_of(new["params"]), strict=True):
            initial = self._initial("sum", new)
            self.state[param].update(step=0, sum=self._fitting("sum", None, weight, initial))

    def _check_group(self, group: Mapping[str, Any]) -> None:
        _check.refuse("Adagrad", **{name: (group[name], REFUSED[name]) for name in REFUSED if name in group})
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            _check.real("Adagrad", name, group[name], 0)
        _check.boolean("Adagrad", "maximize", group["maximize"])

    def _options(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        options: tuple[Any, ...] = _OPTIONS(group)
        return options

    def _initial(self, name: str, group: Mapping[str, Any]) -> float:
        return float(group["initial_accumulator_value"])

    def _change(self, batch: Batch, grads: list[Array], options: tuple[Any, ...]) -> None:
        steps = next_steps(batch)
        adagrad(batch.weights, grads, batch.buffers[0], steps, *options)
        count_steps(batch, steps)
