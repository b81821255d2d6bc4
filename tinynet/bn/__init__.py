"""The science of batch normalisation, on any network."""

from __future__ import annotations

from tinynet.bn.activations import ChannelStatistics, channel_statistics, large_value_share
from tinynet.bn.cancellation import Cancellation, gradient_cancellation
from tinynet.bn.class_gradients import ClassGradients, class_gradients
from tinynet.bn.divergence import DivergenceRecord, record_divergence
from tinynet.bn.drift import ScaleDrift, scale_drift
from tinynet.bn.folding import fold
from tinynet.bn.freezing import freeze, unfreeze
from tinynet.bn.gradients import GradientStatistics, gradient_statistics
from tinynet.bn.groups import parameter_groups
from tinynet.bn.landscape import relative_loss
from tinynet.bn.noise import GradientNoise, gradient_noise
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
    "Cancellation",
    "ChannelStatistics",
    "ClassGradients",
    "DivergenceRecord",
    "GradientNoise",
    "GradientStatistics",
    "LayerRecord",
    "PercentileHistory",
    "PercentileTracker",
    "RateTrial",
    "ScaleDrift",
    "StableRate",
    "channel_statistics",
    "class_gradients",
    "column_percentiles",
    "fold",
    "freeze",
    "gradient_cancellation",
    "gradient_noise",
    "gradient_statistics",
    "large_value_share",
    "largest_stable_rate",
    "parameter_groups",
    "population_statistics",
    "product_singular_values",
    "record_divergence",
    "record_layers",
    "relative_loss",
    "scale_drift",
    "singular_value_cdf",
    "singular_value_edge",
    "squared_singular_value_density",
    "unfreeze",
    "untouched",
]
