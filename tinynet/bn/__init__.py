"""The science of batch normalisation, on any network."""

from __future__ import annotations

from tinynet.bn.folding import fold
from tinynet.bn.freezing import freeze, unfreeze
from tinynet.bn.population import population_statistics

__all__ = ["fold", "freeze", "population_statistics", "unfreeze"]
