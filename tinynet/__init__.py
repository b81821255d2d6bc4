"""tinynet: train small networks on the CPUs you have, and read how it works.

Names, argument order and defaults follow PyTorch.  The layers of the package, from the bottom: `ops` (memory,
threads, one class per operation), the graph, `Tensor`, `nn`, then `optim`, `data`, `io`, `models`, and on top
`bn` and `experiments`.
"""

from __future__ import annotations

import numpy as _np

from tinynet import autograd, bn, data, errors, io, models, nn, optim
from tinynet._config import show_config
from tinynet._tensor import (
    Tensor,
    cat,
    enable_grad,
    from_dlpack,
    from_numpy,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    tensor,
)
from tinynet._version import __version__
from tinynet.creation import (
    arange,
    empty,
    full,
    full_like,
    ones,
    ones_like,
    rand,
    rand_like,
    randn,
    randn_like,
    randperm,
    zeros,
    zeros_like,
)
from tinynet.gradcheck import gradcheck
from tinynet.io import load, save
from tinynet.ops.memory import empty_cache, memory_stats, reset_peak
from tinynet.ops.threads import get_num_threads, set_num_threads
from tinynet.random import Generator, default_generator, manual_seed

float32 = _np.dtype(_np.float32)
float64 = _np.dtype(_np.float64)
int64 = _np.dtype(_np.int64)
int32 = _np.dtype(_np.int32)
uint8 = _np.dtype(_np.uint8)
bool = _np.dtype(_np.bool_)

__all__ = [
    "Generator",
    "Tensor",
    "__version__",
    "arange",
    "autograd",
    "bn",
    "bool",
    "cat",
    "data",
    "default_generator",
    "empty",
    "empty_cache",
    "enable_grad",
    "errors",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "get_num_threads",
    "gradcheck",
    "inference_mode",
    "int32",
    "int64",
    "io",
    "is_grad_enabled",
    "load",
    "manual_seed",
    "memory_stats",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "rand_like",
    "randn",
    "randn_like",
    "randperm",
    "reset_peak",
    "save",
    "set_grad_enabled",
    "set_num_threads",
    "show_config",
    "tensor",
    "uint8",
    "zeros",
    "zeros_like",
]
