"""Statistics of batches and of the population, as Ioffe and Szegedy (2015) use them, as checks.

By Algorithm 2 (section 3.1) inference is a fixed linear map of each activation.  The statistics of the
population in it come from those of batches B of m values::

    E[x] = E_B[mu_B]                                Var[x] = m / (m - 1) E_B[var_B]
    y = s x + (beta - s E[x])                       s = gamma / sqrt(Var[x] + eps)

In training each batch stands in for the population, the worse the smaller it is: `batch_noise` says how much.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import bn
from tinynet._tensor import Tensor, from_numpy, no_grad
from tinynet.bn.recording import watched
from tinynet.creation import randint
from tinynet.experiments.claims import largest
from tinynet.experiments.classification import inference
from tinynet.experiments.mechanics import Array, relative_error, rows_of
from tinynet.nn import BatchNorm1d, BatchNorm2d, Module
from tinynet.ops.normalization import batch_statistics
from tinynet.random import Generator


@dataclass(frozen=True)
class Algorithm2Check:
    """Relative errors of inference by Algorithm 2, the largest of all layers.

    Attributes
    ----------
    mean, variance : float
        Of `bn.population_statistics` against E[mu_B] and m/(m-1) E[var_B], computed from the layers' inputs.
    linear_map : float
        Of each layer in inference mode against y = s x + (beta - s E[x]), s = gamma / sqrt(Var[x] + eps).
    folded : float
        Of the outputs of the network folded by `bn.fold` against those of the network.
    """

    mean: float
    variance: float
    linear_map: float
    folded: float


def check_algorithm_2(model: Module, batches: Sequence[Tensor], x: Tensor) -> Algorithm2Check:
    """Compare a trained network's inference with Algorithm 2, lines 8 to 11.

    Parameters
    ----------
    model : Module
        Float64, with batch normalisations that have gamma and beta.  Receives the population statistics.
    batches : sequence of Tensor
        Inputs, all of one size m.
    x : Tensor
        Inputs for the comparison of outputs.

    Returns
    -------
    Algorithm2Check
    """
    inputs = inputs_of_norms(model, batches)
    found = bn.population_statistics(model, batches)
    seen = inputs_of_norms(model, [x], training=False)
    errors = []  # of mean, variance, linear map for each layer
    with inference(model):
        outputs = model(x).numpy()
        for name, layer in _norms(model).items():
            rows = [rows_of(each) for each in inputs[name]]
            m = len(rows[0])
            mean = np.mean([each.mean(axis=0) for each in rows], axis=0)
            variance = m / (m - 1) * np.mean([each.var(axis=0) for each in rows], axis=0)
            s = layer.weight.detach().numpy() / np.sqrt(variance + layer.eps)
            line = s * rows_of(seen[name][0]) + (layer.bias.detach().numpy() - s * mean)
            y = rows_of(layer(from_numpy(seen[name][0])).numpy())
            errors.append(
                (
                    relative_error(found[name][0], mean),
                    relative_error(found[name][1], variance),
                    relative_error(y, line),
                )
            )
    with no_grad():
        folded = relative_error(bn.fold(model).eval()(x).numpy(), outputs)
    mean_error, variance_error, line_error = map(largest, zip(*errors, strict=True))
    return Algorithm2Check(mean_error, variance_error, line_error, folded)


def _norms(model: Module) -> dict[str, Any]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (BatchNorm1d, BatchNorm2d))
    }


def inputs_of_norms(
    model: Module, batches: Sequence[Tensor], *, training: bool = True
) -> dict[str, list[npt.NDArray[Any]]]:
    """Return what enters each batch normalisation, batch by batch.

    Parameters
    ----------
    model : Module
        The network; it is left as it is.
    batches : sequence of Tensor
        Its inputs.
    training : bool, default True
        Run in training mode, each batch normalised by itself, or in inference mode.

    Returns
    -------
    dict of str to list of numpy.ndarray
        Under the dotted name of each layer, an array for each batch.
    """
    layers = _norms(model)
    seen: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in layers}

    def keep(name: str, x: Tensor) -> None:
        seen[name].append(x.numpy().copy())

    with bn.untouched(model), watched("inputs_of_norms", layers, inputs=keep), no_grad():
        model.train(training)
        for x in batches:
            model(x)
    return seen


@dataclass(frozen=True)
class UnbiasedCheck:
    """The mean variance of all batches of one size over the variance of the population they are drawn from.

    Attributes
    ----------
    m : int
        The size.
    biased : float
        With divisor m: (m - 1) / m in theory.
    corrected : float
        Times m / (m - 1): 1 in theory.
    """

    m: int
    biased: float
    corrected: float


def check_unbiased(population: Array, m: int) -> UnbiasedCheck:
    """Average the variance over all batches of m values from a small population: no chance is left.

    Parameters
    ----------
    population : numpy.ndarray of shape (N,)
        The values; the N^m batches are drawn with replacement.
    m : int
        At least 2.

    Returns
    -------
    UnbiasedCheck
    """
    batches = np.array(list(itertools.product(population, repeat=m)))  # (N^m, m)
    biased = float(batches.var(axis=1).mean() / population.var())
    return UnbiasedCheck(m, biased, m / (m - 1) * biased)


# ---- small batches


@dataclass(frozen=True)
class Noise:
    """How far the statistics of batches of m values lie from those of the population.

    Attributes
    ----------
    sizes : tuple of int
        The sizes m.
    mean, variance : numpy.ndarray of shape (len(sizes),)
        Standard deviation of mu_B over batches, in units of sigma, and that of the biased var_B, in units of
        sigma^2; root mean squares over the units.
    mean_theory, variance_theory : numpy.ndarray
        1/sqrt(m), and (m-1)/m sqrt((kurtosis - (m-3)/(m-1)) / m): exact, as batches are drawn with
        replacement.
    """

    sizes: tuple[int, ...]
    mean: Array
    variance: Array
    mean_theory: Array
    variance_theory: Array

    def slope(self, of: str) -> float:
        """Return the slope of the least-squares line through log `of` ("mean", "variance") over log m."""
        return float(np.polyfit(np.log(self.sizes), np.log(getattr(self, of)), 1)[0])

    def deviation(self) -> float:
        """Return the largest relative error against theory, of both quantities."""
        ratios = np.concatenate([self.mean / self.mean_theory, self.variance / self.variance_theory])
        return float(np.abs(ratios - 1).max())


def batch_noise(
    population: npt.NDArray[Any], sizes: Sequence[int], batches: int, generator: Generator
) -> Noise:
    """Draw batches of several sizes from a population, and see how their statistics vary.

    Parameters
    ----------
    population : numpy.ndarray of shape (N, C)
        The values of C units on N examples; no unit is constant.
    sizes : sequence of int
        The sizes m of batches, at least 2.
    batches : int
        Batches of each size, drawn with replacement.
    generator : Generator
        Draws them.

    Returns
    -------
    Noise
    """
    deviations = population - population.mean(axis=0)
    variance = (deviations**2).mean(axis=0)  # (C,)
    kurtosis = (deviations**4).mean(axis=0) / variance**2
    measured, theory = [], []
    for m in sizes:
        chosen = randint(0, len(population), (batches, m), generator=generator).numpy()
        statistics = np.array([batch_statistics(population[rows])[:2] for rows in chosen])  # (batches, 2, C)
        spread = statistics.std(axis=0) / (np.sqrt(variance), variance)  # (2, C)
        of_variance = (m - 1) / m * np.sqrt((kurtosis - (m - 3) / (m - 1)) / m)
        measured.append(np.sqrt((spread**2).mean(axis=1)))
        theory.append([1 / np.sqrt(m), np.sqrt((of_variance**2).mean())])
    return Noise(tuple(sizes), *np.array(measured).T, *np.array(theory).T)
