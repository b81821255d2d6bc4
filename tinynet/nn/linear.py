"""Fully connected layer, and the layers that only reshape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.creation import zeros
from tinynet.errors import DTypeError
from tinynet.nn import functional as F
from tinynet.nn import init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter


class Linear(Module):
    """``y = x W^T + b``.

    Parameters
    ----------
    in_features : int
        Size D of the last axis of the input, at least 1.
    out_features : int
        Size K of the last axis of the output, at least 1.
    bias : bool, default True
        Whether there is a bias b.
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter, shape (K, D)
        Drawn from U(-1/sqrt(D), 1/sqrt(D)).
    bias : Parameter, shape (K,), or None
        Drawn from U(-1/sqrt(D), 1/sqrt(D)), after the weight.

    Raises
    ------
    ArgumentError, DTypeError
        If a size is not a positive int, or `dtype` is not a floating dtype.
    NotImplementedError
        For another device.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.Linear(3, 2)
    >>> layer(tn.zeros(5, 4, 3)).shape
    (5, 4, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check.refuse("Linear", device=(device, _check.CPU))
        self.in_features = _check.integer("Linear", "in_features", in_features, 1)
        self.out_features = _check.integer("Linear", "out_features", out_features, 1)
        wanted = _check.float_dtype("Linear", dtype)
        self.weight = Parameter(zeros(self.out_features, self.in_features, dtype=wanted))
        with_bias = _check.boolean("Linear", "bias", bias)
        b = Parameter(zeros(self.out_features, dtype=wanted)) if with_bias else None
        self.register_parameter("bias", b)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as at construction, from the default generator."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # gain sqrt(2/(1+5)): bound 1/sqrt(in_features)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Map `input` of shape (..., in_features) to (..., out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Flatten(Module):
    """Join the axes `start_dim` to `end_dim` into one, in C order.

    Parameters
    ----------
    start_dim : int, default 1
        First axis to join.
    end_dim : int, default -1
        Last axis to join, included.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Flatten()(tn.zeros(60, 28, 28)).shape
    (60, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = _check.integer("Flatten", "start_dim", start_dim)
        self.end_dim = _check.integer("Flatten", "end_dim", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        """Return a view of `input`, or a copy where its strides do not allow one."""
        if not isinstance(input, Tensor):
            raise DTypeError(f"Flatten: input must be a Tensor; got {type(input).__name__}")
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input.  The constructor takes any arguments and ignores them: it can replace any layer.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Identity(3, bias=False)(tn.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` itself."""
        return input


class Unflatten(Module):
    """Divide the axis `dim` into several.

    Parameters
    ----------
    dim : int
        The axis to divide.
    unflattened_size : sequence of int
        Their product is the size of `dim`; one may be -1, which stands for what is left.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Unflatten(1, (3, 4, 4))(tn.zeros(5, 48)).shape
    (5, 3, 4, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = _check.integer("Unflatten", "dim", dim)
        if not isinstance(unflattened_size, Sequence):
            raise DTypeError(
                f"Unflatten: unflattened_size must be a sequence of ints; got {unflattened_size!r}"
            )
        sizes = [_check.integer("Unflatten", "unflattened_size", size, -1) for size in unflattened_size]
        self.unflattened_size = tuple(sizes)

    def forward(self, input: Tensor) -> Tensor:
        """Return a view of `input`, or a copy where its strides do not allow one."""
        if not isinstance(input, Tensor):
            raise DTypeError(f"Unflatten: input must be a Tensor; got {type(input).__name__}")
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
