"""Whether the terms of a weight's gradient pull one way or cancel.

The gradient of a convolution's weight is a sum over images b and positions x, y of terms::

    dL/dw[o, c, i, j] = sum_bxy t[b, x, y]      t[b, x, y] = dL/dO[b, o, x, y] * I[b, c, x', y']

where (x', y') is what tap (i, j) of the kernel sees at the position (x, y) of the output.  Bjorck et al.
(2018) compare the sum of the absolute values of the terms with the absolute value of their sum.  Without
batch normalisation the two are alike at initialisation: all images and positions pull one way, whatever the
input is.  With it most of the terms cancel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet._tensor import Tensor, enable_grad
from tinynet.bn.recording import (
    LayerRecord,
    Layers,
    Loss,
    as_tensor,
    check_loss,
    chosen_layers,
    loss_to_train,
    record_layers,
    untouched,
    watched,
)
from tinynet.errors import ArgumentError
from tinynet.nn.conv import Conv1d, Conv2d
from tinynet.nn.linear import Linear
from tinynet.nn.module import Module

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_NAME = "gradient_cancellation"
_KINDS: tuple[type[Module], ...] = (Conv2d, Conv1d, Linear)


@dataclass(frozen=True, eq=False)
class Cancellation:
    """How far the terms of the gradient of one layer's weight cancel.

    Each array has the shape (O, I / groups, kh, kw) and the dtype float64, with one element for each weight:
    kh is 1 for `Conv1d`, kh and kw are for `Linear`.

    Attributes
    ----------
    absolute : numpy.ndarray
        ``sum_bxy |t|``, as large as the gradient could be.
    per_image : numpy.ndarray
        ``sum_b |sum_xy t|``: the terms of an image may cancel, those of different images may not.
    total : numpy.ndarray
        ``|sum_bxy t|``, the absolute value of the gradient.
    """

    absolute: FloatArray
    per_image: FloatArray
    total: FloatArray

    def ratio(self, tap: tuple[int, int] | None = None) -> float:
        """Return the mean of `absolute` over that of `total`, of all pairs of channels at one tap.

        It is 1 if nothing cancels, and grows without bound.

        Parameters
        ----------
        tap : tuple of two int, optional
            Row and column in the kernel; by default its centre, ``(kh // 2, kw // 2)``.

        Returns
        -------
        float
            At least 1, up to rounding; infinite if `total` is 0, nan if both are.

        Raises
        ------
        ArgumentError, DTypeError
            If there is no such tap.
        """
        return self._ratio("Cancellation.ratio", self.absolute, tap)

    def image_ratio(self, tap: tuple[int, int] | None = None) -> float:
        """Return the mean of `per_image` over that of `total`, of all pairs of channels at one tap.

        Parameters and result are those of `ratio`, which it never exceeds: it is how far images cancel.
        """
        return self._ratio("Cancellation.image_ratio", self.per_image, tap)

    def _ratio(self, owner: str, sums: FloatArray, tap: Any) -> float:
        height, width = self.total.shape[2:]
        row, column = (height // 2, width // 2) if tap is None else _check.extents(owner, "tap", tap, 2, 0)
        if row >= height or column >= width:
            raise ArgumentError(f"{owner}: tap must lie in a kernel of {height} x {width}; got {tap!r}")
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return float(sums[:, :, row, column].mean() / self.total[:, :, row, column].mean())


def gradient_cancellation(
    model: Module,
    loss: Loss,
    x: Tensor | Array,
    y: Tensor | Array,
    layers: Layers | None = None,
) -> dict[str, Cancellation]:
    """Compare the gradient of weights with the sums of the absolute values of its terms.

    The network runs forward and backward once, in the mode in which it is, and is left as it was.  The sums
    are made in float64, by a matrix product for each image and tap.  What all chosen layers take and give is
    in memory at once: of a deep network choose some.

    Parameters
    ----------
    model : Module
        The network.
    loss : callable
        ``loss(model(x), y)`` gives a scalar tensor.
    x, y : Tensor or numpy.ndarray
        A batch.
    layers : str, type, or iterable of them, optional
        As in `record_layers`: names and classes of `Conv2d`, `Conv1d` or `Linear` layers.  By default all of
        these.

    Returns
    -------
    dict of str to Cancellation
        Under the dotted name of each layer, in the network's order.  `Linear` counts as a kernel of 1 x 1,
        with the axes between the first and the last as its positions.  nan where the network diverged.

    Raises
    ------
    ArgumentError
        If there is no layer of a name or class; or one is of another kind, is used more than once or not at
        all, or gets no gradient.
    DTypeError
        If an argument is of another kind, or `loss` returns something else.

    References
    ----------
    J. Bjorck, C. Gomes, B. Selman, K. Weinberger: Understanding Batch Normalization, 2018, the table of
    absolute values of gradients of convolutions.

    Examples
    --------
    Two images: for the first weight their terms cancel, and for the second they add up.

    >>> import numpy as np
    >>> import tinynet as tn
    >>> model = tn.nn.Linear(2, 1)
    >>> x = np.array([[1.0, 3.0], [-1.0, 1.0]], np.float32)
    >>> found = tn.bn.gradient_cancellation(model, lambda output, y: output.sum(), x, x)[""]
    >>> found.absolute.ravel().tolist(), found.total.ravel().tolist(), found.ratio()
    ([2.0, 4.0], [0.0, 4.0], 1.5)
    """
    check_loss(_NAME, loss)
    chosen = chosen_layers(_NAME, model, layers, _KINDS)
    for name, layer in chosen.items():
        if not isinstance(layer, _KINDS):
            raise ArgumentError(
                f"{_NAME}: layer {name!r} must be a Conv2d, Conv1d or Linear; got {type(layer).__name__}"
            )
    x, y = as_tensor(_NAME, "x", x), as_tensor(_NAME, "y", y)
    records = _recorded(model, loss, x, y, chosen)
    import threadpoolctl

    # BLAS's bits can depend on how many threads it has.
    with np.errstate(invalid="ignore", over="ignore"), threadpoolctl.threadpool_limits(1, user_api="blas"):
        return {name: _cancellation(_terms(chosen[name], record)) for name, record in records.items()}


def _recorded(
    model: Module, loss: Loss, x: Tensor, y: Tensor, chosen: Mapping[str, Module]
) -> dict[str, LayerRecord]:
    """What the layers take in one forward, and the gradients of what they give."""
    calls = dict.fromkeys(chosen, 0)

    def count(name: str, _output: Tensor) -> None:
        calls[name] += 1

    with (
        untouched(model),
        enable_grad(),
        watched(_NAME, chosen, outputs=count),
        record_layers(model, list(chosen), inputs=True, gradients=True) as records,
    ):
        loss_to_train(_NAME, loss(model(x), y)).backward()
    for name, number in calls.items():
        if number != 1:
            raise ArgumentError(f"{_NAME}: layer {name!r} must be called once in a forward; got {number}")
        if records[name].grad_output is None:
            raise ArgumentError(f"{_NAME}: loss must depend on what layer {name!r} gives; got no gradient")
    return records


@dataclass(frozen=True)
class _Terms:
    """A layer's call as a convolution of images that are already padded."""

    images: FloatArray  # (N, C, H, W)
    gradient: FloatArray  # of the output, (N, O, P, Q)
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def _terms(layer: Any, record: LayerRecord) -> _Terms:
    assert record.input is not None
    assert record.grad_output is not None
    both = [each.astype(np.float64) for each in (record.input, record.grad_output)]
    one = (1, 1)
    if isinstance(layer, Linear):
        images, gradient = map(_in_a_row, both)
        return _Terms(images, gradient, one, one, one, 1)
    axes = len(layer.kernel_size)
    images, gradient = (each[None] if each.ndim == axes + 1 else each for each in both)
    before, after = _padding(layer)
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    if axes == 1:  # images of one row
        images, gradient = images[:, :, None], gradient[:, :, None]
        before, after = (0, *before), (0, *after)
        kernel, stride, dilation = ((1, *each) for each in (kernel, stride, dilation))
    around = ((0, 0), (0, 0), *zip(before, after, strict=True))
    return _Terms(np.pad(images, around), gradient, kernel, stride, dilation, layer.groups)


def _in_a_row(values: FloatArray) -> FloatArray:
    """What a Linear takes or gives, (N, ..., C) or (C,), as images of one row: (N, C, 1, positions)."""
    rows = values[None] if values.ndim == 1 else values
    return np.moveaxis(rows.reshape(len(rows), 1, math.prod(rows.shape[1:-1]), rows.shape[-1]), -1, 1)


def _padding(layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after each axis."""
    if layer.padding == "same":
        whole = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return tuple(each // 2 for each in whole), tuple(each - each // 2 for each in whole)
    own = (0,) * len(layer.kernel_size) if layer.padding == "valid" else layer.padding
    return own, own


def _cancellation(terms: _Terms) -> Cancellation:
    """The three sums, tap by tap: over the positions by a matrix product per image."""
    count, features, *extents = terms.gradient.shape
    channels, groups = terms.images.shape[1], terms.groups
    shape = (features, channels // groups, *terms.kernel)
    absolute, per_image, total = np.empty(shape), np.empty(shape), np.empty(shape)
    positions = math.prod(extents)
    gradient = terms.gradient.reshape(count, groups, features // groups, positions)
    size = np.abs(gradient)
    for row, column in np.ndindex(*terms.kernel):
        first = (row * terms.dilation[0], column * terms.dilation[1])
        windows = (
            slice(start, start + step * extent, step)
            for start, step, extent in zip(first, terms.stride, extents, strict=True)
        )
        window = (slice(None), slice(None), *windows)
        seen = terms.images[window].reshape(count, groups, channels // groups, positions).swapaxes(2, 3)
        sums = (gradient @ seen).reshape(count, *shape[:2])  # of t over the positions
        sizes = (size @ np.abs(seen)).reshape(count, *shape[:2])  # of |t|
        absolute[:, :, row, column] = sizes.sum(axis=0)
        per_image[:, :, row, column] = np.abs(sums).sum(axis=0)
        total[:, :, row, column] = np.abs(sums.sum(axis=0))
    return Cancellation(absolute, per_image, total)
