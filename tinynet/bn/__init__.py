"""The science of batch normalisation, on any network."""

from __future__ import annotations

from tinynet.bn.class_gradients import ClassGradients, class_gradients
from tinynet.bn.folding import fold
from tinynet.bn.freezing import freeze, unfreeze
from tinynet.bn.percentiles import PercentileHistory, PercentileTracker, column_percentiles
from tinynet.bn.population import population_statistics
from tinynet.bn.products import (
    product_singular_values,
    singular_value_cdf,
    singular_value_edge,
    squared_singular_value_density,
)
from tinynet.bn.recording import LayerRecord, record_layers, untouched
from tinynet.bn.stability import RateTrial, StableRate, largest_stable_rate

__all__ = [
    "ClassGradients",
    "LayerRecord",
    "PercentileHistory",
    "PercentileTracker",
    "RateTrial",
    "StableRate",
    "class_gradients",
    "column_percentiles",
    "fold",
    "freeze",
    "largest_stable_rate",
    "population_statistics",
    "product_singular_values",
    "record_layers",
    "singular_value_cdf",
    "singular_value_edge",
    "squared_singular_value_density",
    "unfreeze",
    "untouched",
]
