"""Elementwise non-linearities and the softmax pair."""

from __future__ import annotations

from tinynet import _check
from tinynet._graph import Op
from tinynet._tensor import Tensor, apply
from tinynet.ops.activation import (
    ELU,
    GELU,
    GELUTanh,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from tinynet.ops.softmax import LogSoftmax
from tinynet.ops.softmax_output import Softmax


def _run(op: Op, input: Tensor, inplace: bool) -> Tensor:
    """The op on `input`; with `inplace` over the input, unless an operation has saved that."""
    if not inplace or not isinstance(input, Tensor) or input._is_saved:
        return apply(op, input)
    return input._map_(op)


def sigmoid(input: Tensor) -> Tensor:
    """y = 1 / (1 + exp(-input)), elementwise; float32 or float64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.sigmoid(tn.tensor([0.0]))
    tensor([0.5])
    """
    return apply(Sigmoid(), input)


def tanh(input: Tensor) -> Tensor:
    """y = tanh(input), elementwise; float32 or float64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.tanh(tn.tensor([0.0]))
    tensor([0.])
    """
    return apply(Tanh(), input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(input, 0), elementwise; the slope at 0 is 0 and NaN stays NaN.

    Parameters
    ----------
    input : Tensor, float32 or float64
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.relu(tn.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return _run(ReLU(), input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = input where input > 0, else negative_slope * input (Maas, Hannun & Ng 2013); so is the slope at 0.

    Parameters
    ----------
    input : Tensor, float32 or float64
    negative_slope : float, default 0.01
        Any finite number.
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    DTypeError, ArgumentError
        If `input` is not of a float dtype, or `negative_slope` not a finite number.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.leaky_relu(tn.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5,  2. ])
    """
    return _run(LeakyReLU(negative_slope), input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = input where input > 0, else alpha (exp(input) - 1) (Clevert, Unterthiner & Hochreiter 2016).

    Parameters
    ----------
    input : Tensor, float32 or float64
    alpha : float, default 1
        At least 0: the gradient is computed from the output.
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    DTypeError, ArgumentError
        If `input` is not of a float dtype, or `alpha` not a finite number of at least 0.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.elu(tn.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """
    return _run(ELU(alpha), input, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = input * Phi(input), Phi the standard normal distribution function (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    input : Tensor, float32 or float64
    approximate : {'none', 'tanh'}, default 'none'
        'tanh': y = input (1 + tanh(sqrt(2 / pi) (input + 0.044715 input^3))) / 2 instead.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    DTypeError, ArgumentError
        If `input` is not of a float dtype, or `approximate` is none of the two.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.gelu(tn.tensor([0.0, 10.0]))
    tensor([ 0., 10.])
    """
    exact = _check.choice("gelu", "approximate", approximate, ("none", "tanh")) == "none"
    return apply(GELU() if exact else GELUTanh(), input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = input / (1 + exp(-input)), elementwise (Hendrycks & Gimpel 2016; also called swish).

    Parameters
    ----------
    input : Tensor, float32 or float64
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.

    Returns
    -------
    Tensor, of the input's shape

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.silu(tn.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """
    return _run(SiLU(), input, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = log(1 + exp(beta * input)) / beta, and input itself where beta * input > threshold.

    Parameters
    ----------
    input : Tensor, float32 or float64
    beta : float, default 1
        Any finite number but 0.
    threshold : float, default 20

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    DTypeError, ArgumentError
        If `input` is not of a float dtype, or a parameter not of its range.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.softplus(tn.tensor([-100.0, 30.0]))
    tensor([ 0., 30.])
    """
    return apply(Softplus(beta, threshold), input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """y = min(max(input, min_val), max_val), elementwise; the slope at both ends is 0 and NaN stays NaN.

    Parameters
    ----------
    input : Tensor, float32 or float64
    min_val, max_val : float, default -1 and 1
        Finite, ``min_val <= max_val``.
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.

    Returns
    -------
    Tensor, of the input's shape

    Raises
    ------
    DTypeError, ArgumentError
        If `input` is not of a float dtype, or a bound not a finite number, or they are in the wrong order.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.hardtanh(tn.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    return _run(Hardtanh(min_val, max_val), input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(input, 0), 6), elementwise; the slope at 0 and at 6 is 0 and NaN stays NaN.

    Parameters
    ----------
    input : Tensor, float32 or float64
    inplace : bool, default False
        Write the result over the input, unless an operation has saved that for its gradient.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.relu6(tn.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    return _run(ReLU6(), input, inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """y = -log(1 + exp(-input)), elementwise; finite for every finite input; float32 or float64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.logsigmoid(tn.tensor([-100.0]))
    tensor([-100.])
    """
    return apply(LogSigmoid(), input)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: None = None) -> Tensor:
    """y = input - log(sum of exp(input) along dim); finite also for logits of +-1e4.

    Parameters
    ----------
    input : Tensor, float32 or float64
    dim : int
        PyTorch's own choice for None is not supported.
    dtype : None
        Not supported.

    Raises
    ------
    NotImplementedError
        For `dim` None or a `dtype`.
    ArgumentError
        If `dim` is no axis of the input.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.log_softmax(tn.tensor([0.0, -1e4]), 0)
    tensor([     0., -10000.])
    """
    return apply(LogSoftmax(_dim("log_softmax", dim, dtype)), input)


def softmax(input: Tensor, dim: int | None = None, *, dtype: None = None) -> Tensor:
    """y = exp(input) / (sum of exp(input) along dim); finite also for logits of +-1e4.

    Parameters
    ----------
    input : Tensor, float32 or float64
    dim : int
        PyTorch's own choice for None is not supported.
    dtype : None
        Not supported.

    Raises
    ------
    NotImplementedError
        For `dim` None or a `dtype`.
    ArgumentError
        If `dim` is no axis of the input.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.functional.softmax(tn.tensor([[1e4, 1e4], [0.0, 1e4]]), 1)
    tensor([[0.5, 0.5],
            [0. , 1. ]])
    """
    return apply(Softmax(_dim("softmax", dim, dtype)), input)


def _dim(op: str, dim: int | None, dtype: None) -> int:
    if dtype is not None:
        _check.refuse(op, dtype=(dtype, (None,)))
    if dim is None:
        raise NotImplementedError(f"{op}: dim must be an int; its implicit choice is not supported; got None")
    return dim
