"""What the tests of the study of Bjorck et al. share: runs that were never made, and settings of a moment."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from tinynet.bn.stability import RateTrial
from tinynet.experiments.understanding_claims import Outcome
from tinynet.experiments.understanding_results import Divergence, Initial, Noise, Products, Rates, Training
from tinynet.experiments.understanding_settings import (
    FACTORS,
    NORMS,
    SMOKE,
    TRAININGS,
    WEIGHTS,
    WHERE,
    Settings,
    block_outputs,
)

TINY = dataclasses.replace(
    SMOKE,
    depth=14,
    kernels=(3, 7, 11),
    histogram=8,
    maps=(2, 6, 10),
    step_sizes=(1e-3, 1e-2, 1e-1, 1.0),
    depths=(8, 14),
    epochs=2,
    noise_sizes=(8, 16, 32),
)

QUICK = dataclasses.replace(
    SMOKE,
    depth=8,
    batch_size=8,
    kernels=(2, 4, 6),
    histogram=5,
    maps=(2, 4, 6),
    step_sizes=(1e-3, 1e-2, 1e-1),
    rate_batch=4,
    rate_steps=2,
    rate_range=(0.1, 10.0),
    training_width=4,
    training_images=24,
    test_images=10,
    epochs=2,
    noise_images=40,
    noise_sizes=(4, 8),
    noise_draws=10,
    product_size=10,
)
"""For real runs, on the digits."""


def initial(settings: Settings, where: str, seed: int, **changes: Any) -> Initial:
    """What a network might be at its start; every number says where it comes from."""
    rng = np.random.default_rng(seed)
    layers = np.array(list(block_outputs(settings.depth)))
    with_bn = where == "all"
    steps = np.array(settings.step_sizes)
    falls = np.stack([1 / (1 + steps * (1 + look)) for look in range(len(settings.looks))])
    found = Initial(
        loss=4.0 + seed if with_bn else 100.0 + seed,
        ratio=np.array([40.0, 30.0, 12.0]) + seed if with_bn else np.array([2.0, 2.5, 3.0]) + seed,
        image_ratio=np.array([9.0, 8.0, 7.0]) if with_bn else np.array([1.0, 1.1, 1.2]),
        gradient=(rng.standard_normal(400) * (0.01 if with_bn else 10.0)).astype(np.float32),
        spread=0.01 if with_bn else 10.0,
        kurtosis=3.0 if with_bn else 9.0,
        class_gradient=rng.standard_normal((settings.batch_size, 10)) * 1e-3,
        predicted_share=0.5 if with_bn else 1.0,
        layers=layers,
        means=0.5 * np.ones(len(layers)) if with_bn else 0.1 * 1.1**layers,
        deviations=np.linspace(1, 2, len(layers)) if with_bn else 0.2 * 1.2 ** layers.astype(float),
        relative=falls if with_bn else np.where(steps > 5e-3, 1e4 / falls, falls),
        seconds=1.0,
    )
    return dataclasses.replace(found, **changes)


def divergence(settings: Settings, seed: int) -> Divergence:
    fractions = np.arange(5) / 4
    grown = [10.0 ** (4 * place * fractions) for place in range(len(settings.maps))]
    rng = np.random.default_rng(seed)
    channels = [np.abs(rng.standard_normal(width)) + 0.1 for width in (4, 6, 8)]
    return Divergence(
        fractions,
        2.3 * 10 ** (8 * fractions),
        [np.outer(g, c) * (-1) ** np.arange(len(c)) for g, c in zip(grown, channels, strict=True)],
        [np.outer(g**2, c**2) for g, c in zip(grown, channels, strict=True)],
    )


def rates(largest: float | None, end: float = 2.0) -> Rates:
    """A search that ended at `largest`, with one trial below and one above it."""
    if largest is None:
        return Rates(1e3, None, (RateTrial(1e-6, False, (2.3, math.inf)),))
    trials = (
        RateTrial(largest / 4, True, (2.3, 2.3, 2.3, 2.3)),
        RateTrial(largest, True, (2.5, 2.4, 2.3, end)),
        RateTrial(2 * largest, False, (2.5, 1e9)),
    )
    return Rates(1e3, largest, trials)


def training(*test_accuracy: float, diverged: int | None = None) -> Training:
    """A training whose accuracy on its own images is 0.1 higher."""
    losses = [2.0, 1.0] if diverged is None else [2.0, math.inf]
    return Training(
        np.array(losses), [share + 0.1 for share in test_accuracy], list(test_accuracy), diverged, 1.0
    )


def noise(settings: Settings, factor: float = 1.01) -> Noise:
    sizes = np.array(settings.noise_sizes)
    images = settings.noise_images
    theory = {"with": 5.0 / sizes, "without": 5.0 / sizes * (images - sizes) / (images - 1)}
    return Noise(sizes, {way: factor * values for way, values in theory.items()}, theory, 4.0)


def products(settings: Settings, seed: int, size: int = 20) -> Products:
    rng = np.random.default_rng(seed)
    values = {}
    for factors in FACTORS:
        draws = []
        for _ in range(settings.product_draws):
            product = np.eye(size)
            for _ in range(factors):
                product = product @ rng.standard_normal((size, size)) / math.sqrt(size)
            draws.append(np.linalg.svd(product, compute_uv=False))
        values[factors] = np.stack(draws)
    return Products(values)


def outcome(settings: Settings = TINY, seeds: tuple[int, ...] = (0, 1), **changes: Any) -> Outcome:
    """All runs of a study, or others in their place."""
    searches = itertools.product(settings.depths, WHERE, seeds)
    size = {"none": 1e-3, "last": 1e-2, "all": 1.0}
    found = Outcome(
        "made-up",
        10,
        list(seeds),
        {(w, where, s): initial(settings, where, s) for w in WEIGHTS for where in NORMS for s in seeds},
        {seed: divergence(settings, seed) for seed in seeds},
        {(depth, where, seed): rates(size[where] * 4**seed) for depth, where, seed in searches},
        {(*each, seeds[0]): training(0.3, 0.5, 0.4) for each in TRAININGS},
        {seed: noise(settings, 1.01 + 0.01 * seed) for seed in seeds},
        {seed: products(settings, seed) for seed in seeds},
    )
    return dataclasses.replace(found, **changes)
