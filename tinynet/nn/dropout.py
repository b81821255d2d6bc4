"""Dropout (Srivastava et al. 2014), in the inverted form: scaled while training, nothing to do afterwards."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.nn import functional as F
from tinynet.nn.module import Module


class _Dropout(Module):
    """What all dropouts share.  Abstract."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = _check.real(type(self).__name__, "p", p, 0, 1)
        self.inplace = _check.boolean(type(self).__name__, "inplace", inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training mode set each element to zero with probability `p` and multiply the others by 1/(1-p).

    The choice is a function of the default generator's seed, the number of earlier draws and the element's
    index, whatever the number of threads.  In evaluation mode the input is returned.

    Parameters
    ----------
    p : float, default 0.5
        Probability of zero, in [0, 1].
    inplace : bool, default False
        Whether the result may take the input's memory.

    Raises
    ------
    ArgumentError, DTypeError
        If `p` is not a number in [0, 1].

    Examples
    --------
    >>> import tinynet as tn
    >>> layer = tn.nn.Dropout(0.5)
    >>> sorted(set(layer(tn.ones(100)).tolist()))
    [0.0, 2.0]
    >>> layer.eval()(tn.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return an output of the shape of `input`."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """`Dropout` of whole channels of (N, C, L) or (C, L): all positions of a channel together.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel is dropped, in [0, 1].
    inplace : bool, default False
        Whether the result may take the input's memory.

    Raises
    ------
    ArgumentError, DTypeError
        If `p` is not a number in [0, 1].

    Examples
    --------
    >>> import tinynet as tn
    >>> y = tn.nn.Dropout1d(0.5)(tn.ones(20, 8, 3))
    >>> sorted(set(y.sum(2).flatten().tolist()))
    [0.0, 6.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return an output of the shape of `input`, (N, C, L) or (C, L)."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """`Dropout` of whole channels of images (N, C, H, W) or (C, H, W): all pixels of a channel together.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel is dropped, in [0, 1].
    inplace : bool, default False
        Whether the result may take the input's memory.

    Raises
    ------
    ArgumentError, DTypeError
        If `p` is not a number in [0, 1].

    References
    ----------
    J. Tompson et al.: Efficient Object Localization Using Convolutional Networks, 2015, section 3.2.

    Examples
    --------
    >>> import tinynet as tn
    >>> y = tn.nn.Dropout2d(0.5)(tn.ones(20, 8, 2, 2))
    >>> sorted(set(y.sum((2, 3)).flatten().tolist()))
    [0.0, 8.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return an output of the shape of `input`, (N, C, H, W) or (C, H, W)."""
        return F.dropout2d(input, self.p, self.training, self.inplace)
