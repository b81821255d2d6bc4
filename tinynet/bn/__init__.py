"""The science of batch normalisation, on any network."""

from __future__ import annotations

from tinynet.bn.folding import fold
from tinynet.bn.freezing import freeze, unfreeze
from tinynet.bn.population import population_statistics
from tinynet.bn.stability import RateTrial, StableRate, largest_stable_rate

__all__ = [
    "RateTrial",
    "StableRate",
    "fold",
    "freeze",
    "largest_stable_rate",
    "population_statistics",
    "unfreeze",
]
