"""How large the activations of a network are: channel by channel, and behind its batch normalisations.

Bjorck et al. (2018) compare the means and variances of channels over the depth of a network: without batch
normalisation they grow from layer to layer (Figures 4 and 5).  Davis and Frank (2021) observe that
even a normalisation leaves values that are too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import _check
from tinynet._tensor import Tensor, no_grad
from tinynet.bn.recording import (
    Layers,
    as_tensor,
    batch_input,
    by_batch,
    check_batches,
    chosen_layers,
    untouched,
    watched,
)
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn.module import Module
from tinynet.nn.normalization import _BatchNorm
from tinynet.ops.normalization import batch_statistics

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Mean and variance of each channel of an output (N, C, ...), over all axes but the second.

    Attributes
    ----------
    mean : numpy.ndarray of shape (C,), float64
        The mean of each channel's m values.
    var : numpy.ndarray of shape (C,), float64
        The mean of their squared deviations (divisor m).
    """

    mean: FloatArray
    var: FloatArray


def channel_statistics(
    model: Module, x: Tensor | npt.NDArray[Any], layers: Layers | None = None
) -> dict[str, ChannelStatistics]:
    """Return mean and variance of every channel that the chosen layers give for one batch.

    The means and variances of Bjorck et al. (2018), Figures 4 and 5.  They are computed in float64, so that
    activations near the largest float32 have a variance, too.

    Parameters
    ----------
    model : Module
        The network, in the mode (training or evaluation) that it is in; it is left as it is.
    x : Tensor or numpy.ndarray of shape (N, ...)
        Its input.
    layers : str, type, or iterable of them, optional
        Dotted names or classes, as for `record_layers`; by default every convolution and `Linear`.

    Returns
    -------
    dict of str to ChannelStatistics
        Under the name of each layer, in the network's order; of its latest call, if there are several.
        nan and infinity of a network that diverged stay what they are.

    Raises
    ------
    ArgumentError
        If there is no layer of a name or class, or the forward does not reach one of them.
    ShapeError
        If a layer's output is empty or has less than two axes.
    DTypeError
        If an argument is of another kind.

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.Linear(1, 2, bias=False)
    >>> layer.weight.data = tn.tensor([[1.0], [10.0]])
    >>> tn.bn.channel_statistics(layer, tn.tensor([[1.0], [3.0]]))[""]
    ChannelStatistics(mean=array([ 2., 20.]), var=array([  1., 100.]))
    """
    owner = "channel_statistics"
    chosen = chosen_layers(owner, model, layers)
    x = as_tensor(owner, "x", x)
    with untouched(model), no_grad(), channels_watched(owner, chosen) as found:
        model(x)
    return {name: found[name] for name in chosen}


@contextmanager
def channels_watched(owner: str, layers: Mapping[str, Module]) -> Iterator[dict[str, ChannelStatistics]]:
    """Yield a dictionary that has, after every forward of a layer, the statistics of its output."""
    found: dict[str, ChannelStatistics] = {}

    def reduce(name: str, y: Tensor) -> None:
        if y.ndim < 2 or y.numel() == 0:
            raise ShapeError(
                f"{owner}: layer {name!r} must return shape (N, C, ...), not empty; got {y.shape}"
            )
        found[name] = _statistics(y.detach().numpy())

    with watched(owner, layers, outputs=reduce):
        yield found
    check_reached(owner, layers, found)


def check_reached(owner: str, layers: Iterable[str], seen: Mapping[str, object]) -> None:
    """Insist that every layer was called."""
    for name in layers:
        if name not in seen:
            raise ArgumentError(f"{owner}: every layer must be reached by a forward; {name!r} got none")


def _statistics(values: npt.NDArray[Any]) -> ChannelStatistics:
    """Mean and biased variance of each channel of `values` (N, C, ...), in float64.

    A float32 array would get the statistics of batch normalisation in float32, whose variance overflows.
    """
    mean, var, _ = batch_statistics(_rows(values))
    return ChannelStatistics(mean, var)


def _rows(values: npt.NDArray[Any]) -> FloatArray:
    """`values` (N, C, ...) as rows (m, C), in float64."""
    return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1]).astype(np.float64)


def large_value_share(model: Module, batches: Iterable[Any], threshold: float = 3.0) -> dict[str, float]:
    """Return how many values behind each batch normalisation are large: the share with |xh| > threshold.

    xh is the value between normalisation and scale, ``(x - mu) / sqrt(var + eps)``, before gamma and beta
    (Ioffe & Szegedy 2015, Algorithm 1).  Davis and Frank (2021) observe that a normalisation leaves values
    that are too large, and start gamma below 1.  Of m values with mean 0 and variance 1 at most
    m / threshold^2 can be large; of the normal distribution a share of 0.0027 lies beyond 3.

    Parameters
    ----------
    model : Module
        A network with batch normalisations, in the mode that it is in: in training mode mu and var are each
        batch's, in evaluation mode the running statistics.  It is left as it is.
    batches : iterable
        Its inputs, at least one: a Tensor or array each, or a tuple that begins with one.
    threshold : float, default 3.0
        At least 0.

    Returns
    -------
    dict of str to float
        Under the name of each batch normalisation, in the network's order, the share in [0, 1] of all its
        values in all batches; nan where a value is nan.

    Raises
    ------
    ArgumentError
        If there is no batch normalisation, no batch, or one that the forward does not reach; or `threshold`
        is negative or not finite.
    DTypeError
        If an argument is of another kind.

    Examples
    --------
    One value of 16 stands out: it is sqrt(15) standard deviations from the mean.

    >>> import numpy as np
    >>> import tinynet as tn
    >>> x = np.zeros((16, 1), np.float32)
    >>> x[3] = 1
    >>> tn.bn.large_value_share(tn.nn.BatchNorm1d(1), [x])
    {'': 0.0625}
    """
    owner = "large_value_share"
    chosen = chosen_layers(owner, model, None, (_BatchNorm,))
    check_batches(owner, batches)
    threshold = _check.real(owner, "threshold", threshold, 0)
    counts: dict[str, list[float]] = {}  # of a layer: large values, values

    def count(name: str, x: Tensor) -> None:
        layer = chosen[name]
        if x.ndim < 2 or x.shape[1] != layer.num_features or x.numel() == 0:
            return  # the layer's own forward raises, with its message
        size = np.abs(_normalised(layer, x.detach().numpy()))
        large = np.nan if np.isnan(size).any() else np.count_nonzero(size > threshold)
        known = counts.setdefault(name, [0, 0])
        known[0] += float(large)
        known[1] += size.size

    seen = 0
    with untouched(model), no_grad(), watched(owner, chosen, inputs=count):
        for batch in batches:
            model(batch_input(owner, batch))
            seen += 1
    if seen == 0:
        raise ArgumentError(f"{owner}: batches must hold at least one batch; got none")
    check_reached(owner, chosen, counts)
    return {name: counts[name][0] / counts[name][1] for name in chosen}


def _normalised(layer: Any, x: npt.NDArray[Any]) -> FloatArray:
    """The values (m, C) between the normalisation of a layer and its scale, in float64."""
    if by_batch(layer):
        mean, var, _ = batch_statistics(x)
    else:
        mean, var = layer.running_mean.numpy(), layer.running_var.numpy().astype(np.float64)
    with np.errstate(all="ignore"):  # not finite
        return np.asarray((_rows(x) - mean) / np.sqrt(var + layer.eps))
