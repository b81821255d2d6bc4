"""Which algorithm convolutions in float32 use: one choice for the process."""

from tinynet import _check

cdef tuple NAMES = ("auto", "winograd", "direct", "im2row")
cdef Algorithm chosen = AUTO


cdef Algorithm conv_algorithm() noexcept nogil:
    """The algorithm asked for."""
    return chosen


def get_conv_algorithm():
    """The algorithm that `set_conv_algorithm` has set, ``"auto"`` at first.

    Returns
    -------
    str

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.get_conv_algorithm()
    'auto'
    """
    return NAMES[chosen]


def set_conv_algorithm(algorithm):
    """Choose how convolutions in float32 are computed, from now on and in all threads.

    They differ in speed and in rounding, not in what they compute: Winograd's has about four times the relative
    error of a sum over the taps (1e-6 in the l2 norm), and spreads a NaN or an infinity of the input over the 4x4 outputs of
    each tile that sees it.  A gradient uses the algorithm that is set when it is computed.  Convolutions whose
    channels are groups of their own have an algorithm of their own, whatever is set; so has float64.

    Parameters
    ----------
    algorithm : {"auto", "winograd", "direct", "im2row"}
        ``"winograd"`` is Winograd's F(4x4, 3x3), for 3x3 kernels of stride and dilation 1, however few channels there are.
        ``"im2row"`` sums over the taps, as a matrix product: what the windows see is gathered into the rows of a matrix,
        except where that gains nothing (1x1 kernels of stride 1 read the images where they lie; gradients of images with few
        channels add up a product).  ``"direct"`` is the same so far: larger kernels have no algorithm without gathering.
        ``"auto"`` takes Winograd's where it was faster in the benchmarks: for 3x3 kernels of stride and dilation 1, with at
        least 16 channels on either side of each group and at least 4 tiles of 4x4 outputs in the batch (the gradients: 8),
        most of whose outputs exist (a map of 3x3 takes it, of 2x2 not), and whose weights take at most 256 MiB in the form that
        it reads, 144 bytes for each of C K / groups kernels (1365 channels on both sides).  All else is computed as by
        ``"im2row"``, and so is what ``"winograd"`` cannot take.

    Raises
    ------
    ArgumentError
        If `algorithm` is none of these names.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.set_conv_algorithm("im2row")
    >>> tn.get_conv_algorithm()
    'im2row'
    >>> tn.set_conv_algorithm("auto")
    """
    global chosen
    chosen = <Algorithm><int>NAMES.index(_check.choice("set_conv_algorithm", "algorithm", algorithm, NAMES))
