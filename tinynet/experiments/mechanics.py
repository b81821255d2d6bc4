"""The statements of Ioffe and Szegedy (2015) about their method, each as a check that returns numbers.

Here are the backward equations (section 3), the scale of the weights (section 3.3), convolutions (section
3.2) and normalisation outside the gradient step (section 2), in float64, where rounding hides nothing.
Algorithm 2 and the noise of small batches are in `tinynet.experiments.mechanics_statistics`;
`tinynet.experiments.mechanics_study` makes claims of the numbers.  One activation with the values x_i of a
batch, i = 1..m, has::

    mu = 1/m sum x_i                            var = 1/m sum (x_i - mu)^2
    xh_i = (x_i - mu) / sqrt(var + eps)         y_i = gamma xh_i + beta
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import autograd
from tinynet._tensor import from_numpy, no_grad, tensor
from tinynet.creation import randn, zeros
from tinynet.experiments.claims import largest
from tinynet.nn import BatchNorm1d, BatchNorm2d
from tinynet.nn import functional as F
from tinynet.optim import SGD
from tinynet.random import Generator

Array = npt.NDArray[np.float64]

EPS = 1e-5
"""The constant inside the root, which the paper leaves open: the default of the layers."""


def relative_error(value: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return max |value - reference| / max |reference|."""
    wanted = np.asarray(reference, np.float64)
    return float(np.abs(np.asarray(value, np.float64) - wanted).max() / np.abs(wanted).max())


def rows_of(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (N, C) or (N, C, H, W) as rows (m', C): one per value of a channel, m' = N or N H W."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def normal(generator: Generator, *shape: int) -> Array:
    """Draw from N(0, 1), in float64."""
    return randn(*shape, dtype=np.float64, generator=generator).numpy()


# ---- section 3: the backward equations


@dataclass(frozen=True)
class Gradients:
    """The gradients of a loss l with respect to the inputs of Algorithm 1.

    Attributes
    ----------
    gx : numpy.ndarray of shape (m, C)
        dl/dx_i.
    ggamma, gbeta : numpy.ndarray of shape (C,)
        dl/dgamma and dl/dbeta.
    """

    gx: Array
    ggamma: Array
    gbeta: Array

    def relative_error(self, reference: Gradients) -> float:
        """Return the largest of the three relative errors."""
        return largest(
            relative_error(getattr(self, each.name), getattr(reference, each.name))
            for each in fields(Gradients)
        )


@dataclass(frozen=True)
class ChainRule(Gradients):
    """The same, with what the chain rule passes on the way.

    Attributes
    ----------
    gvar, gmu : numpy.ndarray of shape (C,)
        dl/dvar and dl/dmu.
    vanishing : numpy.ndarray of shape (C,)
        The part of dl/dmu that goes through var: zero, since the deviations from the mean sum to zero.
    """

    gvar: Array
    gmu: Array
    vanishing: Array


def forward(x: Array, gamma: Array, beta: Array, eps: float = EPS) -> Array:
    """Algorithm 1: y of rows x (m, C), with gamma and beta (C,)."""
    mu, var = x.mean(axis=0), x.var(axis=0)
    y: Array = gamma * (x - mu) / np.sqrt(var + eps) + beta
    return y


def backward_by_chain_rule(x: Array, g: Array, gamma: Array, eps: float = EPS) -> ChainRule:
    """The equations of section 3 as they are printed, for rows x (m, C) and g = dl/dy (m, C)."""
    m = len(x)
    mu, var = x.mean(axis=0), x.var(axis=0)
    xh = (x - mu) / np.sqrt(var + eps)
    gxh = g * gamma
    gvar = (gxh * (x - mu)).sum(axis=0) * -0.5 * (var + eps) ** -1.5
    vanishing = gvar * (-2 * (x - mu)).sum(axis=0) / m
    gmu = (gxh * (-1 / np.sqrt(var + eps))).sum(axis=0) + vanishing
    gx = gxh / np.sqrt(var + eps) + gvar * 2 * (x - mu) / m + gmu / m
    return ChainRule(gx, (g * xh).sum(axis=0), g.sum(axis=0), gvar, gmu, vanishing)


def backward_simplified(x: Array, g: Array, gamma: Array, eps: float = EPS) -> Array:
    """dl/dx_i = gamma / (m sqrt(var + eps)) (m g_i - sum g_j - xh_i sum g_j xh_j): the chain, collapsed."""
    m, root = len(x), np.sqrt(x.var(axis=0) + eps)
    xh = (x - x.mean(axis=0)) / root
    gx: Array = gamma / (m * root) * (m * g - g.sum(axis=0) - xh * (g * xh).sum(axis=0))
    return gx


def backward_by_differences(x: Array, g: Array, gamma: Array, beta: Array, step: float = 1e-5) -> Gradients:
    """Central differences of l = sum g y in every x, gamma and beta."""
    x, gamma, beta = x.copy(), gamma.copy(), beta.copy()
    slopes = []
    for value in (x, gamma, beta):
        slope = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            kept, ends = value[index], []
            for shifted in (kept + step, kept - step):
                value[index] = shifted
                ends.append((g * forward(x, gamma, beta)).sum())
            value[index] = kept
            slope[index] = (ends[0] - ends[1]) / (2 * step)
        slopes.append(slope)
    return Gradients(*slopes)


@dataclass(frozen=True)
class BackwardCheck:
    """Relative errors against the printed equations; of x, gamma and beta the largest.

    Attributes
    ----------
    differences : float
        Of central differences.
    batch_norm_1d, batch_norm_2d : float
        Of the layers' own backward pass.
    simplified : float
        Of the collapsed formula, for x.
    vanishing : float
        The part of dl/dmu that is zero, over dl/dmu.
    """

    differences: float
    batch_norm_1d: float
    batch_norm_2d: float
    simplified: float
    vanishing: float


def check_backward(generator: Generator) -> BackwardCheck:
    """Compare the printed equations with differences, the layers, and the collapsed formula.

    Parameters
    ----------
    generator : Generator
        Draws the values, gradients, gamma and beta: rows (12, 3), and images (4, 3, 2, 5), which are 40 rows.

    Returns
    -------
    BackwardCheck
    """
    gamma, beta = 1 + 0.5 * normal(generator, 3), normal(generator, 3)
    x, g = 2 + 3 * normal(generator, 12, 3), normal(generator, 12, 3)
    images, g_images = 2 + 3 * normal(generator, 4, 3, 2, 5), normal(generator, 4, 3, 2, 5)
    printed = backward_by_chain_rule(x, g, gamma)
    printed_images = backward_by_chain_rule(rows_of(images), rows_of(g_images), gamma)
    layer, layer_2d = BatchNorm1d(3, dtype=np.float64), BatchNorm2d(3, dtype=np.float64)
    return BackwardCheck(
        backward_by_differences(x, g, gamma, beta).relative_error(printed),
        _by_layer(layer, x, g, gamma, beta).relative_error(printed),
        _by_layer(layer_2d, images, g_images, gamma, beta).relative_error(printed_images),
        relative_error(backward_simplified(x, g, gamma), printed.gx),
        float(np.abs(printed.vanishing).max() / np.abs(printed.gmu).max()),
    )


def _by_layer(layer: BatchNorm1d | BatchNorm2d, x: Array, g: Array, gamma: Array, beta: Array) -> Gradients:
    """The gradients of a layer in training mode, those of x as rows."""
    assert layer.weight is not None  # a layer with gamma and beta
    assert layer.bias is not None
    with no_grad():
        layer.weight.copy_(from_numpy(gamma))
        layer.bias.copy_(from_numpy(beta))
    values = tensor(x, requires_grad=True)
    gx, ggamma, gbeta = autograd.grad(layer(values), (values, layer.weight, layer.bias), (tensor(g),))
    return Gradients(rows_of(gx.numpy()), ggamma.numpy(), gbeta.numpy())


# ---- section 3.3: the scale of the weights


@dataclass(frozen=True)
class ScaleCheck:
    """BN((aW)u) beside BN(Wu).

    Attributes
    ----------
    a : float
        The factor.
    output, jacobian : float
        Relative errors of BN((aW)u) and of its Jacobian with respect to u, of the whole batch.
    gradient : float
        Relative error of a times the gradient with respect to aW, against the one with respect to W.
    ratio : float
        The norm of the one gradient over that of the other: 1/a in theory.
    """

    a: float
    output: float
    jacobian: float
    gradient: float
    ratio: float


def check_scale(generator: Generator, scales: Sequence[float]) -> list[ScaleCheck]:
    """Scale the weights of a layer in front of a batch normalisation, and see what stays.

    The equations are exact for eps = 0.  With eps the layer divides by the root of ``Var[Wu] + eps / a^2``:
    for ``eps = 1e-5`` and Var[Wu] about 1 they hold to about 1e-5 where a is above 1, and to ``1e-5 / a^2``
    where it is below.

    Parameters
    ----------
    generator : Generator
        Draws u (32, 8), W (6, 8) with rows of length 1, so that Var[Wu] is about 1, and the gradient that
        comes from above.
    scales : sequence of float
        The factors a, not 0.

    Returns
    -------
    list of ScaleCheck
        One per factor.
    """
    u, w, g = normal(generator, 32, 8), normal(generator, 6, 8), normal(generator, 32, 6)
    w /= np.linalg.norm(w, axis=1, keepdims=True)

    def everything(a: float) -> tuple[Array, Array, Array]:
        inputs, weight = tensor(u, requires_grad=True), tensor(a * w, requires_grad=True)
        y = F.batch_norm(F.linear(inputs, weight), None, None, training=True, eps=EPS)
        (gradient,) = autograd.grad(y, weight, tensor(g), retain_graph=True)
        flat = y.reshape(-1)
        rows = [autograd.grad(flat[i], inputs, retain_graph=True)[0].numpy() for i in range(y.numel())]
        return y.detach().numpy(), np.stack(rows), gradient.numpy()  # (32, 6), (192, 32, 8), (6, 8)

    y, jacobian, gradient = everything(1.0)
    found = []
    for a in scales:
        y_a, jacobian_a, gradient_a = everything(a)
        found.append(
            ScaleCheck(
                a,
                relative_error(y_a, y),
                relative_error(jacobian_a, jacobian),
                relative_error(a * gradient_a, gradient),
                float(np.linalg.norm(gradient_a) / np.linalg.norm(gradient)),
            )
        )
    return found


# ---- section 3.2: convolutional layers


@dataclass(frozen=True)
class ConvolutionCheck:
    """BatchNorm2d on (m, C, p, q) beside BatchNorm1d on the rows (m p q, C).

    Attributes
    ----------
    values : int
        m p q, the effective size of the batch.
    counted : float
        The m' that the layer used: from its unbiased running variance, m'/(m'-1) times the biased one.
    statistics, output, gradients : float
        Relative errors between the two layers: running mean and variance; y; dl/dx, dl/dgamma, dl/dbeta.
    pairs : int
        Pairs of gamma and beta in the layer.
    maps, activations : int
        Feature maps C, and activations C p q.
    """

    values: int
    counted: float
    statistics: float
    output: float
    gradients: float
    pairs: int
    maps: int
    activations: int


def check_convolution(generator: Generator) -> ConvolutionCheck:
    """Normalise images by channel, and their pixels as rows.

    Parameters
    ----------
    generator : Generator
        Draws the images (6, 4, 5, 3), gradients, gamma and beta.

    Returns
    -------
    ConvolutionCheck
    """
    m, c, p, q = 6, 4, 5, 3
    x, g = 1 + 2 * normal(generator, m, c, p, q), normal(generator, m, c, p, q)
    gamma, beta = 1 + 0.5 * normal(generator, c), normal(generator, c)
    # With momentum 1 the running statistics are those of the last batch.
    layers = (
        BatchNorm2d(c, momentum=1.0, dtype=np.float64),
        BatchNorm1d(c, momentum=1.0, dtype=np.float64),
    )
    images, rows = layers
    gradients = _by_layer(images, x, g, gamma, beta)
    wanted = _by_layer(rows, rows_of(x), rows_of(g), gamma, beta)
    means, variances = (
        [_buffer(layer, name) for layer in layers] for name in ("running_mean", "running_var")
    )
    ratio = variances[0] / rows_of(x).var(axis=0)
    with no_grad():
        outputs = [layer(from_numpy(of)).numpy() for layer, of in zip(layers, (x, rows_of(x)), strict=True)]
    return ConvolutionCheck(
        m * p * q,
        float((ratio / (ratio - 1)).mean()),
        largest((relative_error(*means), relative_error(*variances))),
        relative_error(rows_of(outputs[0]), outputs[1]),
        gradients.relative_error(wanted),
        sum(each.numel() for each in images.parameters()) // 2,
        c,
        c * p * q,
    )


def _buffer(layer: BatchNorm1d | BatchNorm2d, name: str) -> Array:
    buffer = layer.get_buffer(name)
    assert buffer is not None  # the layer keeps running statistics
    return np.array(buffer.numpy())


# ---- section 2: normalisation outside the gradient step


@dataclass(frozen=True)
class BiasRun:
    """Gradient descent on the bias b of xh = x - E[x], x = u + b.

    Attributes
    ----------
    bias : numpy.ndarray of shape (T + 1, C)
        b before the first step and after each.
    loss : numpy.ndarray of shape (T + 1,)
        The loss at these b.
    output : float
        The largest relative error of xh after any number of steps against the first.
    gradient : float
        The largest |dl/db| of all steps.
    """

    bias: Array
    loss: Array
    output: float
    gradient: float


def train_bias(generator: Generator, steps: int, *, through_mean: bool, lr: float = 0.1) -> BiasRun:
    """Train a bias that the normalisation takes out again, with E[x] a constant to the gradient or not.

    The loss is the mean over the examples of |xh - t|^2, with targets t whose mean is not zero.  If the
    gradient takes E[x] for a constant, b moves by the same amount in every step, and neither xh nor the loss
    knows of it; if it goes through E[x], dl/db = 0.

    Parameters
    ----------
    generator : Generator
        Draws u (64, 5) from N(0, 1) and t from N(1, 1).
    steps : int
        Steps of gradient descent with the whole batch.
    through_mean : bool
        Whether the gradient goes through E[x].
    lr : float, default 0.1
        Learning rate.

    Returns
    -------
    BiasRun
    """
    u, t = from_numpy(normal(generator, 64, 5)), from_numpy(1 + normal(generator, 64, 5))
    b = zeros(5, dtype=np.float64, requires_grad=True)
    optimizer = SGD([b], lr=lr)
    biases, losses, outputs, gradients = [], [], [], []
    for _ in range(steps + 1):
        x = u + b
        mean = x.mean(0)
        xh = x - (mean if through_mean else mean.detach())
        loss = ((xh - t) ** 2).sum(1).mean()
        biases.append(b.detach().numpy().copy())
        losses.append(loss.item())
        outputs.append(xh.detach().numpy())
        optimizer.zero_grad()
        loss.backward()
        assert b.grad is not None
        gradients.append(np.abs(b.grad.numpy()).max())
        optimizer.step()
    error = largest(relative_error(output, outputs[0]) for output in outputs)
    return BiasRun(np.array(biases), np.array(losses), error, largest(gradients))
