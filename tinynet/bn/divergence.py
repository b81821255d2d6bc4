"""How a network diverges: what one step that is too large does to its channels, part by part.

Bjorck et al. (2018), Figure 4, look into a single step of gradient descent that makes an unnormalised network
diverge.  They go along it from 0 to 100% and show the mean and variance of channels in early, middle and late
layers: what grows a little in an early layer grows without bound in a late one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet.bn.activations import channels_watched
from tinynet.bn.landscape import DescentLine, Values, checked
from tinynet.bn.recording import Layers, Loss, chosen_layers, untouched
from tinynet.nn.module import Module

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DivergenceRecord:
    """One step of gradient descent, in P equal parts.

    Attributes
    ----------
    fractions : numpy.ndarray of shape (P + 1,), float64
        How much of the step is done: 0, 1 / P, ..., 1.
    losses : numpy.ndarray of shape (P + 1,), float64
        The loss of the mini-batch there.
    mean, var : dict of str to numpy.ndarray of shape (P + 1, C), float64
        Under the name of each layer the mean and (biased) variance of the C channels of its output.
    """

    fractions: FloatArray
    losses: FloatArray
    mean: dict[str, FloatArray]
    var: dict[str, FloatArray]


def record_divergence(
    model: Module,
    loss: Loss,
    x: Values,
    y: Values,
    lr: float,
    *,
    parts: int = 20,
    layers: Layers | None = None,
) -> DivergenceRecord:
    """Take one step of SGD in equal parts and record the loss and the channels of layers after each.

    The gradient g is computed once, at the start w; the parameters go along the line ``w - f lr g`` for the
    fractions f = 0, 1 / parts, ..., 1 (Bjorck et al. 2018, Figure 4).  They are computed in float64 and
    rounded.  All forwards draw the same random numbers.

    Parameters
    ----------
    model : Module
        The network, in the mode (training or evaluation) that it is in; it is left as it is.
    loss : callable
        ``loss(model(x), y)`` gives a tensor of one number.
    x, y : Tensor or numpy.ndarray
        The mini-batch.
    lr : float
        The learning rate of the step, positive.
    parts : int, default 20
        P, positive.
    layers : str, type, or iterable of them, optional
        Dotted names or classes, as for `record_layers`; by default every convolution and `Linear`.

    Returns
    -------
    DivergenceRecord
        nan and infinity, once the network has diverged, stay what they are.

    Raises
    ------
    ArgumentError
        If `lr` or `parts` is out of its range, no parameter has a gradient, there is no layer of a name or
        class, or the forward does not reach one of them.
    ShapeError
        If a layer's output is empty or has less than two axes.
    DTypeError
        If an argument is of another kind, or `loss` returns something else.

    Examples
    --------
    The loss is (3 w)^2, so at w = 1 a step at the rate 1 / 6 leads to 1 - 18 / 6 = -2.

    >>> import tinynet as tn
    >>> model = tn.nn.Linear(1, 1, bias=False)
    >>> model.weight.data = tn.ones(1, 1)
    >>> x, y = tn.full((4, 1), 3.0), tn.zeros(4, 1)
    >>> record = tn.bn.record_divergence(model, tn.nn.MSELoss(), x, y, 1 / 6, parts=3)
    >>> record.mean[""][:, 0], record.losses
    (array([ 3.,  0., -3., -6.]), array([ 9.,  0.,  9., 36.]))
    """
    owner = "record_divergence"
    inputs = checked(owner, model, loss, x, y)
    rate = _check.real(owner, "lr", lr, 0, above=True)
    parts = _check.integer(owner, "parts", parts, 1)
    chosen = chosen_layers(owner, model, layers)
    fractions = np.arange(parts + 1) / parts
    losses, seen = [], []
    with untouched(model):
        line = DescentLine(owner, model, loss, *inputs)
        with channels_watched(owner, chosen) as latest:
            for fraction in fractions.tolist():
                losses.append(line.loss_after(fraction * rate))
                seen.append(dict(latest))
    return DivergenceRecord(
        fractions,
        np.array(losses, np.float64),
        {name: np.stack([each[name].mean for each in seen]) for name in chosen},
        {name: np.stack([each[name].var for each in seen]) for name in chosen},
    )
