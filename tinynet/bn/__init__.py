"""The science of batch normalisation, on any network."""

from __future__ import annotations

from tinynet.bn.population import population_statistics

__all__ = ["population_statistics"]
