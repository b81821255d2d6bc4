"""Functions that put the elements of a tensor together, or in order, along axes, under PyTorch's names.

Each is the `Tensor` method of the same name.  `dim` is an axis, or several where the type says so; without it
a reduction goes over all elements.  Reduced axes stay with size 1 if `keepdim`.  float32 is summed in double.
"""

from __future__ import annotations

from tinynet.reductions.extrema import (
    amax,
    amin,
    argmax,
    argmin,
    max,
    min,
)
from tinynet.reductions.order import (
    argsort,
    cumsum,
    sort,
    topk,
)
from tinynet.reductions.sums import (
    logsumexp,
    mean,
    norm,
    prod,
    std,
    sum,
    var,
)
from tinynet.reductions.truth import (
    all,
    any,
    count_nonzero,
)

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "sort",
    "std",
    "sum",
    "topk",
    "var",
]
