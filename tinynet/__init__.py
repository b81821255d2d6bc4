"""tinynet: train small networks on the CPUs you have, and read how it works.

Names, argument order and defaults follow PyTorch.  The layers of the package, from the bottom: `ops` (memory,
threads, one class per operation), the graph, `Tensor`, `nn`, then `optim`, `data`, `io`, `models`, and on top
`bn` and `experiments`.
"""

from __future__ import annotations

import numpy as _np

from tinynet import autograd, bn, cuda, data, errors, io, models, nn, optim
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
)
from tinynet._version import __version__
from tinynet.creation import (
    arange,
    as_tensor,
    asarray,
    bernoulli,
    device,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    tensor,
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
    "as_tensor",
    "asarray",
    "autograd",
    "bernoulli",
    "bn",
    "bool",
    "cat",
    "cuda",
    "data",
    "default_generator",
    "device",
    "empty",
    "empty_cache",
    "empty_like",
    "enable_grad",
    "errors",
    "eye",
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
    "linspace",
    "load",
    "manual_seed",
    "memory_stats",
    "models",
    "multinomial",
    "nn",
    "no_grad",
    "normal",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
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
