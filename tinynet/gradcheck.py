"""Comparing gradients with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinynet._tensor import Tensor, from_numpy, no_grad
from tinynet.errors import ArgumentError, GraphError
from tinynet.random import Generator


def _outputs(
    function: Callable[..., Tensor | tuple[Tensor, ...]], inputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    y = function(*inputs)
    return y if isinstance(y, tuple) else (y,)


def gradcheck(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the gradients that `backward` gives with central differences.

    The outputs are combined with fixed random weights v into one number L = sum v y; dL/dx is then compared,
    element by element, with (L(x + eps) - L(x - eps)) / (2 eps).

    Parameters
    ----------
    function : callable
        Takes the inputs, returns a Tensor or a tuple of them.
    inputs : Tensor or sequence of Tensor
        Those that require a gradient must be float64 leaves; they are left as they were.
    eps : float, default 1e-6
        Step of the differences.
    atol, rtol : float, default 1e-5 and 1e-3
        The gradients agree where |difference| <= atol + rtol |numerical|.
    raise_exception : bool, default True
        Raise where they do not, instead of returning False.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentError
        If no input requires a gradient, or one that does is not a float64 leaf.
    GraphError
        If gradients disagree: names the input, the index and both values.

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.randn(3, 4, dtype=tn.float64, requires_grad=True)
    >>> tn.gradcheck(lambda x: (x * x).exp(), x)
    True
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [(i, t) for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise ArgumentError("gradcheck: at least one input must require a gradient")
    for i, t in checked:
        if t.dtype != np.float64 or not t.is_leaf:
            raise ArgumentError(f"gradcheck: input {i} must be a float64 leaf; got {t.dtype}")
    outputs = _outputs(function, tensors)
    source = Generator(0)
    weights = [source.numpy().standard_normal(y.shape) for y in outputs]
    before = [t.grad for _, t in checked]
    try:
        for _, t in checked:
            t.grad = None
        total = None
        for y, v in zip(outputs, weights, strict=True):
            if y.requires_grad:
                term = (y * from_numpy(np.asarray(v))).sum()
                total = term if total is None else total + term
        if total is None:
            raise GraphError("gradcheck: no output requires a gradient")
        total.backward()
        analytical = [np.zeros(t.shape) if t.grad is None else t.grad.numpy().copy() for _, t in checked]
    finally:
        for (_, t), g in zip(checked, before, strict=True):
            t.grad = g

    def loss() -> float:
        with no_grad():
            results = zip(_outputs(function, tensors), weights, outputs, strict=True)
            return sum(
                float((y.detach().numpy() * v).sum()) for y, v, recorded in results if recorded.requires_grad
            )

    for (i, t), gradient in zip(checked, analytical, strict=True):
        x = t.detach().numpy()
        for index in np.ndindex(t.shape):
            kept = x[index]
            try:
                x[index] = kept + eps
                above = loss()
                x[index] = kept - eps
                below = loss()
            finally:
                x[index] = kept
            numerical = (above - below) / (2 * eps)
            if not abs(gradient[index] - numerical) <= atol + rtol * abs(numerical):
                if not raise_exception:
                    return False
                raise GraphError(
                    f"gradcheck: gradient of input {i} at {index} is {gradient[index]:.9g}, "
                    f"by finite differences {numerical:.9g}"
                )
    return True
