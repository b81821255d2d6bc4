"""The loss along the gradient: how far one step of gradient descent may go before the loss rises.

Bjorck et al. (2018), Figure 3, take the gradient g of a mini-batch, go different distances along it, and
compare the loss of the same mini-batch::

    relative loss(s) = L(w - s g) / L(w)

For a quadratic loss with the Hessian H it is a parabola, ``1 - (s |g|^2 - s^2 g^T H g / 2) / L(w)``, with its
minimum at ``|g|^2 / g^T H g``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._tensor import Tensor, enable_grad, no_grad, tensor
from tinynet.bn.recording import Loss, as_tensor, check_loss, check_model, loss_to_train, one_loss, untouched
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn.module import Module
from tinynet.random import default_generator

FloatArray = npt.NDArray[np.float64]
Values = Tensor | npt.NDArray[Any]


def relative_loss(model: Module, loss: Loss, x: Values, y: Values, steps: npt.ArrayLike) -> FloatArray:
    """Return the loss of a mini-batch after steps of several sizes along its gradient, over the loss before.

    One backward gives the gradient g of all parameters that are trained; one forward per step size s gives
    ``L(w - s g) / L(w)`` (Bjorck et al. 2018, Figure 3).  The parameters are computed in float64 and rounded.
    All forwards draw the same random numbers, so that dropout has one mask.

    Parameters
    ----------
    model : Module
        The network, in the mode (training or evaluation) that it is in; it is left as it is.
    loss : callable
        ``loss(model(x), y)`` gives a tensor of one number.
    x, y : Tensor or numpy.ndarray
        The mini-batch.
    steps : array_like of shape (S,), finite real numbers
        Sizes of the step; a negative one goes uphill.

    Returns
    -------
    numpy.ndarray of shape (S,), float64
        1 for a step of size 0; nan and infinity where the loss is that.

    Raises
    ------
    ShapeError
        If `steps` is not one row of numbers.
    ArgumentError
        If a step is not finite, or no parameter has a gradient.
    DTypeError
        If an argument is of another kind, or `loss` returns something else.

    Examples
    --------
    The loss is (3 w)^2, so at w = 1 the gradient is 18 w, and L(1 - 18 s) / L(1) = (1 - 18 s)^2.

    >>> import tinynet as tn
    >>> model = tn.nn.Linear(1, 1, bias=False)
    >>> model.weight.data = tn.ones(1, 1)
    >>> x, y = tn.full((4, 1), 3.0), tn.zeros(4, 1)
    >>> tn.bn.relative_loss(model, tn.nn.MSELoss(), x, y, [0, 1 / 36, 1 / 9]).round(6)
    array([1.  , 0.25, 1.  ])
    """
    owner = "relative_loss"
    inputs = checked(owner, model, loss, x, y)
    sizes = _steps(owner, steps)
    with untouched(model):
        line = DescentLine(owner, model, loss, *inputs)
        losses = np.array([line.loss_after(size) for size in sizes.tolist()], np.float64)
        with np.errstate(all="ignore"):  # a loss of 0, or not finite
            return np.asarray(losses / np.float64(line.start))


def checked(owner: str, model: Any, loss: Any, x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """The arguments that define a loss, checked; the batch as tensors."""
    check_model(owner, model)
    check_loss(owner, loss)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ArgumentError(f"{owner}: model must have parameters to train; got none")
    return as_tensor(owner, "x", x), as_tensor(owner, "y", y)


class DescentLine:
    """The losses of a network at the points w - s g, g being the gradient of the loss at w.

    It moves the parameters, and so is used inside `untouched`.  `start` is the loss at w.
    """

    def __init__(self, owner: str, model: Module, loss: Loss, x: Tensor, y: Tensor) -> None:
        def forward() -> Tensor:
            return one_loss(owner, loss(model(x), y))

        self._forward = forward
        self._state = default_generator.get_state()
        with enable_grad():
            value = loss_to_train(owner, self._forward())
        value.backward()
        self.start = float(value.item())
        self._points = [
            (
                parameter,
                parameter.detach().numpy().astype(np.float64),
                parameter.grad.numpy().astype(np.float64),
            )
            for parameter in model.parameters()
            if parameter.grad is not None
        ]

    @no_grad()
    def loss_after(self, size: float) -> float:
        """The loss at w - size g; the parameters stay there."""
        with np.errstate(all="ignore"):  # beyond float32, or a gradient that is not finite
            for parameter, values, gradient in self._points:
                moved = values - size * gradient if size else values  # w itself, though g be infinite
                parameter.copy_(tensor(moved.astype(parameter.dtype)))
        default_generator.set_state(self._state)
        return float(self._forward().item())


def _steps(owner: str, steps: npt.ArrayLike) -> FloatArray:
    try:
        sizes = np.asarray(steps)
    except ValueError:  # rows of several lengths
        sizes = np.empty((0, 0))
    if sizes.ndim != 1:
        raise ShapeError(f"{owner}: steps must have shape (S,); got {sizes.shape}")
    if sizes.size and sizes.dtype.kind not in "iuf":
        raise DTypeError(f"{owner}: steps must be real numbers; got {sizes.dtype}")
    sizes = sizes.astype(np.float64)
    if not np.isfinite(sizes).all():
        raise ArgumentError(f"{owner}: steps must be finite; got {sizes[~np.isfinite(sizes)][0]}")
    return sizes
