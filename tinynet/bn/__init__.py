"""The science of batch normalisation, on any network."""

from __future__ import annotations

from tinynet.bn.folding import fold
from tinynet.bn.freezing import freeze, unfreeze
from tinynet.bn.percentiles import PercentileHistory, PercentileTracker, column_percentiles
from tinynet.bn.population import population_statistics
from tinynet.bn.recording import LayerRecord, record_layers, untouched
from tinynet.bn.stability import RateTrial, StableRate, largest_stable_rate

__all__ = [
    "LayerRecord",
    "PercentileHistory",
    "PercentileTracker",
    "RateTrial",
    "StableRate",
    "column_percentiles",
    "fold",
    "freeze",
    "largest_stable_rate",
    "population_statistics",
    "record_layers",
    "unfreeze",
    "untouched",
]
