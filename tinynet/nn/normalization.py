"""Normalisation: batch (Ioffe & Szegedy 2015, Algorithm 1), layer (Ba, Kiros & Hinton 2016), group (Wu & He
2018), and of local responses (Krizhevsky, Sutskever & Hinton 2012).

Batch normalisation, in training mode, per channel over the m values of the batch::

    mu = mean(x)    var = mean((x - mu)^2)    y = gamma (x - mu) / sqrt(var + eps) + beta
    running_mean = (1 - momentum) running_mean + momentum mu
    running_var  = (1 - momentum) running_var  + momentum var m / (m - 1)

In evaluation mode the running statistics take the place of mu and var.  Layer normalisation takes mu and var
over the last axes, example by example, in both modes; group normalisation over groups of channels and all
positions, likewise.  The equations' code is the ops'; this file holds the
state and the rules that say which statistics are used and when they move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.creation import full, ones, zeros
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F
from tinynet.nn import init
from tinynet.nn.functional.normalization import counted_batch_norm
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.ops.layer_norm import normalized_sizes


class _BatchNorm(Module):
    """What the batch normalisations of all ranks share.  Abstract: a final class names the ranks it accepts.

    `tinynet.bn` finds a network's batch normalisations by this class.
    """

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    scale_init = 1.0  # of layers that were pickled when there was no other start
    frozen = False  # running statistics in training mode, too: see tinynet.bn.freeze

    _layouts: dict[int, str]  # accepted rank -> how its shape is written in an error, with {C}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        scale_init: float = 1.0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        _check.refuse(name, device=(device, _check.CPU))
        self.num_features = _check.integer(name, "num_features", num_features, 1)
        self.eps = _check.real(name, "eps", eps, 0, above=True)
        self.momentum = None if momentum is None else _check.real(name, "momentum", momentum, 0, 1)
        self.affine = _check.boolean(name, "affine", affine)
        self.track_running_stats = _check.boolean(name, "track_running_stats", track_running_stats)
        with_bias = _check.boolean(name, "bias", bias) and self.affine
        self.scale_init = _check.real(name, "scale_init", scale_init, 0, above=True)
        wanted = _check.float_dtype(name, dtype)
        channels = self.num_features
        gamma = Parameter(full(channels, self.scale_init, dtype=wanted)) if self.affine else None
        beta = Parameter(zeros(channels, dtype=wanted)) if with_bias else None
        self.register_parameter("weight", gamma)
        self.register_parameter("bias", beta)
        tracked = self.track_running_stats
        self.register_buffer("running_mean", zeros(channels, dtype=wanted) if tracked else None)
        self.register_buffer("running_var", ones(channels, dtype=wanted) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=np.int64) if tracked else None)

    def reset_running_stats(self) -> None:
        """Set the running statistics to mean 0 and variance 1, and the number of batches to 0."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.fill_(0)

    def reset_parameters(self) -> None:
        """Reset the running statistics and set weight (gamma) to `scale_init` and bias (beta) to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.constant_(self.weight, self.scale_init)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input`, channels on axis 1; the output has its shape.

        Raises
        ------
        ShapeError
            If the rank or the number of channels is not this layer's, or a training batch has a single value
            per channel.
        DTypeError
            If `input` is no tensor, or not of this layer's dtype.
        """
        if not isinstance(input, Tensor):
            raise DTypeError(f"{type(self).__name__}: input must be a Tensor; got {type(input).__name__}")
        shape = input.shape
        if len(shape) not in self._layouts or shape[1] != self.num_features:
            expected = " or ".join(each.format(C=self.num_features) for each in self._layouts.values())
            raise ShapeError(f"{type(self).__name__}: input must have shape {expected}; got {shape}")
        mean, var, count, momentum = self.running_mean, self.running_var, self.num_batches_tracked, 0.0
        batch = self.training and not self.frozen
        if not batch:
            batch, count = mean is None, None  # without running statistics, evaluation uses the batch's, too
        elif not self.track_running_stats or count is None:
            mean = var = count = None
        elif self.momentum is None:
            momentum = 1.0 / (int(count.item()) + 1)  # a cumulative average
        else:
            momentum = self.momentum
        return counted_batch_norm(input, mean, var, self.weight, self.bias, batch, momentum, self.eps, count)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
            + (f", scale_init={self.scale_init}" if self.scale_init != 1 else "")
            + (", frozen=True" if self.frozen else "")
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation over (N, C), or over (N, C, L) with statistics over N and L.

    Parameters
    ----------
    num_features : int
        Number of channels C, at least 1.
    eps : float, default 1e-5
        Added to the variance inside the root; positive.
    momentum : float or None, default 0.1
        Weight of the newest batch in the running statistics, in [0, 1]; None averages all batches alike.
    affine : bool, default True
        Whether there are a weight (gamma, `scale_init` at the start) and a bias (beta, 0 at the start).
    track_running_stats : bool, default True
        Whether running statistics are kept.  Without them, evaluation mode normalises by the batch, too.
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.
    bias : bool, default True
        With `affine`, whether there is a beta.
    scale_init : float, default 1.0
        What gamma is at the start, in every channel, and after `reset_parameters`; positive.  Below 1 (0.1 is
        where its authors begin a search) it goes together with a smaller learning rate for gamma: see
        `tinynet.bn.parameter_groups`.  Not PyTorch's.

    Attributes
    ----------
    weight, bias : Parameter, shape (C,), or None
        gamma and beta.
    running_mean, running_var : Tensor, shape (C,), or None
        Running statistics; the variance is the unbiased one.
    num_batches_tracked : Tensor, shape (), int64, or None
        Number of training batches seen.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    NotImplementedError
        For another device.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, Algorithms 1 and 2.
    J. Davis, L. Frank: Revisiting Batch Normalization, 2021 (`scale_init`).

    Examples
    --------
    >>> import tinynet as tn
    >>> norm = tn.nn.BatchNorm1d(2, scale_init=0.1)
    >>> norm
    BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True, scale_init=0.1)
    >>> norm.weight.detach()
    tensor([0.1, 0.1])
    """

    _layouts = {2: "(N, {C})", 3: "(N, {C}, L)"}  # noqa: RUF012


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W), with statistics per channel over N, H and W.

    The effective batch of a channel has m = N H W values (section 3.2 of the paper): every position of a
    feature map is normalised alike, which keeps the convolution before it a convolution.

    Parameters
    ----------
    num_features : int
        Number of channels C, at least 1.
    eps, momentum, affine, track_running_stats, device, dtype, bias, scale_init
        As for `BatchNorm1d`.

    Attributes
    ----------
    weight, bias : Parameter, shape (C,), or None
        gamma and beta.
    running_mean, running_var : Tensor, shape (C,), or None
        Running statistics; the variance is the unbiased one.
    num_batches_tracked : Tensor, shape (), int64, or None
        Number of training batches seen.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    NotImplementedError
        For another device.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch Normalization, 2015, section 3.2.

    Examples
    --------
    >>> import tinynet as tn
    >>> images = tn.tensor([[[[1.0, 3.0]]], [[[1.0, 3.0]]]])  # (2, 1, 1, 2): mean 2, variance 1
    >>> tn.nn.BatchNorm2d(1, eps=1e-12)(images).detach().flatten()
    tensor([-1.,  1., -1.,  1.])
    """

    _layouts = {4: "(N, {C}, H, W)"}  # noqa: RUF012


class InputNorm2d(BatchNorm2d):
    """Online normalisation of a network's input: a batch normalisation as its first layer, without a shift.

    It stands in front of the first convolution and takes images as they are, in [0, 1]; the statistics of the
    data set, which are subtracted and divided by elsewhere, need not be known.  In training the batch gives
    them, in evaluation the running statistics do, which are those of the data set after some 50 batches::

        y = scale_c (x - mean_c) / sqrt(var_c + eps)

    The scale is trained, beta is 0 for good: it is no parameter.  0.58 is about
    ``sqrt(1/2 - 1/(2 pi)) = 0.5838``, the standard deviation of the ReLU of a standard normal variable, and
    so about what every later convolution gets.

    Parameters
    ----------
    num_features : int, default 3
        Number of channels C, at least 1.
    eps : float, default 1e-5
        Added to the variance inside the root; positive.
    momentum : float or None, default 0.1
        Weight of the newest batch in the running statistics, in [0, 1]; None averages all batches alike.
    scale : float, default 0.58
        What the scale is at the start, in every channel; positive.
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter, shape (C,)
        The scale; for `tinynet.bn.parameter_groups` a normalisation's scale as the others are.
    bias : None
        There is none.
    running_mean, running_var : Tensor, shape (C,)
        Running statistics; the variance is the unbiased one.
    num_batches_tracked : Tensor, shape (), int64
        Number of training batches seen.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    NotImplementedError
        For another device.

    Notes
    -----
    Not in PyTorch, where it is ``BatchNorm2d(3)`` with the weight filled and the bias frozen.

    References
    ----------
    J. Davis, L. Frank: Revisiting Batch Normalization, 2021, and the code published with it.

    Examples
    --------
    >>> import tinynet as tn
    >>> norm = tn.nn.InputNorm2d()
    >>> norm
    InputNorm2d(3, eps=1e-05, momentum=0.1, scale=0.58)
    >>> y = norm(tn.rand(64, 3, 8, 8))
    >>> abs(y.std().item() - 0.58) < 1e-3
    True
    """

    def __init__(
        self,
        num_features: int = 3,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        scale: float = 0.58,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        start = _check.real("InputNorm2d", "scale", scale, 0, above=True)
        super().__init__(
            num_features, eps, momentum, device=device, dtype=dtype, bias=False, scale_init=start
        )

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, scale={self.scale_init}" + (
            ", frozen=True" if self.frozen else ""
        )


class LayerNorm(Module):
    """Layer normalisation over the last axes: ``y = gamma (x - mean) / sqrt(var + eps) + beta``.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of those axes.
    eps : float, default 1e-5
        Added to the (biased) variance inside the root; positive.
    elementwise_affine : bool, default True
        Whether there are a weight (gamma, 1 at the start) and a bias (beta, 0 at the start).
    bias : bool, default True
        With `elementwise_affine`, whether there is a beta.
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.

    Attributes
    ----------
    weight, bias : Parameter, shape `normalized_shape`, or None
        gamma and beta.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.
    NotImplementedError
        For another device.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton: Layer Normalization, 2016.

    Examples
    --------
    >>> import tinynet as tn
    >>> norm = tn.nn.LayerNorm(2, eps=1e-12)
    >>> norm(tn.tensor([[-1.0, 1.0], [3.0, 3.0]])).detach()
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check.refuse("LayerNorm", device=(device, _check.CPU))
        self.normalized_shape = normalized_sizes("LayerNorm", normalized_shape)
        self.eps = _check.real("LayerNorm", "eps", eps, 0, above=True)
        self.elementwise_affine = _check.boolean("LayerNorm", "elementwise_affine", elementwise_affine)
        with_bias = _check.boolean("LayerNorm", "bias", bias) and self.elementwise_affine
        wanted = _check.float_dtype("LayerNorm", dtype)
        gamma = Parameter(ones(self.normalized_shape, dtype=wanted)) if self.elementwise_affine else None
        beta = Parameter(zeros(self.normalized_shape, dtype=wanted)) if with_bias else None
        self.register_parameter("weight", gamma)
        self.register_parameter("bias", beta)

    def reset_parameters(self) -> None:
        """Set weight (gamma) to 1 and bias (beta) to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` of shape (..., *normalized_shape); the output has its shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Group normalisation of (N, C, ...): ``y = gamma_c (x - mean) / sqrt(var + eps) + beta_c``.

    Mean and (biased) variance are those of an example's group of C / G neighbouring channels, over all
    positions, in training and in evaluation mode: they do not depend on the batch.

    Parameters
    ----------
    num_groups : int
        Number of groups G, at least 1; divides `num_channels`.
    num_channels : int
        Number of channels C, at least 1.
    eps : float, default 1e-5
        Added to the variance inside the root; positive.
    affine : bool, default True
        Whether there are a weight (gamma, 1 at the start) and a bias (beta, 0 at the start).
    device : str, optional
        "cpu", the only one there is.
    dtype : dtype, optional
        float32 (default) or float64.
    bias : bool, default True
        With `affine`, whether there is a beta.

    Attributes
    ----------
    weight, bias : Parameter, shape (C,), or None
        gamma and beta.

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range, or `num_groups` does not divide `num_channels`.
    NotImplementedError
        For another device.

    References
    ----------
    Y. Wu, K. He: Group Normalization, 2018.

    Examples
    --------
    >>> import tinynet as tn
    >>> norm = tn.nn.GroupNorm(2, 4, eps=1e-12)
    >>> norm(tn.tensor([[0.0, 2.0, 5.0, 5.0]])).detach()
    tensor([[-1.,  1.,  0.,  0.]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check.refuse("GroupNorm", device=(device, _check.CPU))
        self.num_groups = _check.integer("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = _check.integer("GroupNorm", "num_channels", num_channels, 1)
        if self.num_channels % self.num_groups:
            raise ArgumentError(
                f"GroupNorm: num_channels must be a multiple of num_groups={num_groups}; got {num_channels}"
            )
        self.eps = _check.real("GroupNorm", "eps", eps, 0, above=True)
        self.affine = _check.boolean("GroupNorm", "affine", affine)
        with_bias = _check.boolean("GroupNorm", "bias", bias) and self.affine
        wanted = _check.float_dtype("GroupNorm", dtype)
        gamma = Parameter(ones(self.num_channels, dtype=wanted)) if self.affine else None
        beta = Parameter(zeros(self.num_channels, dtype=wanted)) if with_bias else None
        self.register_parameter("weight", gamma)
        self.register_parameter("bias", beta)

    def reset_parameters(self) -> None:
        """Set weight (gamma) to 1 and bias (beta) to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` (N, C, ...); the output has its shape.

        Raises
        ------
        ShapeError
            If axis 1 of `input` does not have C entries.
        DTypeError
            If `input` is no tensor, or not of this layer's dtype.
        """
        if not isinstance(input, Tensor):
            raise DTypeError(f"GroupNorm: input must be a Tensor; got {type(input).__name__}")
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm: input must have shape (N, {self.num_channels}, ...); got {input.shape}"
            )
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Each value divided by a power of the squares around it, along the channels.

    ``y_c = x_c / (k + alpha / size * sum of x_j^2)^beta`` over the `size` channels j from
    ``c - size // 2`` to ``c + (size - 1) // 2``, of which those that do not exist count as 0.

    Parameters
    ----------
    size : int
        Number of channels in the sum, at least 1.
    alpha : float, default 1e-4
    beta : float, default 0.75
    k : float, default 1.0

    Raises
    ------
    ArgumentError, DTypeError
        If an argument is not of its kind or range.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. E. Hinton: ImageNet Classification with Deep Convolutional Neural
    Networks, 2012, section 3.3.

    Examples
    --------
    >>> import tinynet as tn
    >>> norm = tn.nn.LocalResponseNorm(1, alpha=1.0, beta=1.0, k=1.0)  # x / (1 + x^2)
    >>> norm(tn.tensor([[1.0, 3.0]]))
    tensor([[0.5, 0.3]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = _check.integer("LocalResponseNorm", "size", size, 1)
        self.alpha = _check.real("LocalResponseNorm", "alpha", alpha)
        self.beta = _check.real("LocalResponseNorm", "beta", beta)
        self.k = _check.real("LocalResponseNorm", "k", k)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` (N, C), (N, C, L) or (N, C, H, W); the output has its shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
