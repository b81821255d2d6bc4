"""Elementwise non-linearities and the softmax pair, as modules over `tinynet.nn.functional`."""

from __future__ import annotations

from tinynet import _check
from tinynet._tensor import Tensor
from tinynet.errors import ArgumentError
from tinynet.nn import functional as F
from tinynet.nn.module import Module


class Sigmoid(Module):
    """``y = 1 / (1 + exp(-x))``, elementwise; any shape, float32 or float64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Sigmoid()(tn.tensor([0.0]))
    tensor([0.5])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the sigmoid of `input`, of the same shape."""
        return F.sigmoid(input)


class Tanh(Module):
    """``y = tanh(x)``, elementwise; any shape, float32 or float64.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Tanh()(tn.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the hyperbolic tangent of `input`, of the same shape."""
        return F.tanh(input)


class ReLU(Module):
    """``y = max(x, 0)``, elementwise, with slope 0 at 0; NaN stays NaN.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ReLU()(tn.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = _check.boolean("ReLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the positive part of `input`, of the same shape."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """``y = x`` where ``x > 0``, else ``negative_slope * x`` (Maas, Hannun & Ng 2013).

    Parameters
    ----------
    negative_slope : float, default 0.01
        Any finite number.
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.LeakyReLU(0.5)(tn.tensor([-1.0, 2.0]))
    tensor([-0.5,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = _check.real("LeakyReLU", "negative_slope", negative_slope)
        self.inplace = _check.boolean("LeakyReLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """``y = x`` where ``x > 0``, else ``alpha (exp(x) - 1)`` (Clevert, Unterthiner & Hochreiter 2016).

    Parameters
    ----------
    alpha : float, default 1
        At least 0: the gradient is computed from the output.
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ELU()(tn.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = _check.real("ELU", "alpha", alpha, 0)
        self.inplace = _check.boolean("ELU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """``y = x Phi(x)``, Phi the standard normal distribution function (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    approximate : {'none', 'tanh'}, default 'none'
        'tanh': ``y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`` instead.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.GELU()(tn.tensor([0.0, 10.0]))
    tensor([ 0., 10.])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = _check.choice("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """``y = x / (1 + exp(-x))``, elementwise (Hendrycks & Gimpel 2016; also called swish).

    Parameters
    ----------
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.SiLU()(tn.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = _check.boolean("SiLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """``y = log(1 + exp(beta x)) / beta``, and x itself where ``beta x > threshold``.

    Parameters
    ----------
    beta : float, default 1
        Any finite number but 0.
    threshold : float, default 20

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Softplus()(tn.tensor([-100.0, 30.0]))
    tensor([ 0., 30.])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = _check.real("Softplus", "beta", beta)
        if self.beta == 0:
            raise ArgumentError(f"Softplus: beta must not be 0; got {beta!r}")
        self.threshold = _check.real("Softplus", "threshold", threshold)

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """``y = min(max(x, min_val), max_val)``, elementwise, with slope 0 at both ends; NaN stays NaN.

    Parameters
    ----------
    min_val, max_val : float, default -1 and 1
        Finite, ``min_val < max_val``.
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.
    min_value, max_value : None
        PyTorch's former names of the bounds; not supported.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Hardtanh()(tn.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: None = None,
        max_value: None = None,
    ) -> None:
        super().__init__()
        _check.refuse("Hardtanh", min_value=(min_value, (None,)), max_value=(max_value, (None,)))
        self.min_val = _check.real("Hardtanh", "min_val", min_val)
        self.max_val = _check.real("Hardtanh", "max_val", max_val)
        if self.min_val >= self.max_val:
            raise ArgumentError(
                f"Hardtanh: max_val must be above min_val, {self.min_val}; got {self.max_val}"
            )
        self.inplace = _check.boolean("Hardtanh", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Module):
    """``y = min(max(x, 0), 6)``, elementwise, with slope 0 at both ends; NaN stays NaN.

    Parameters
    ----------
    inplace : bool, default False
        Whether the result may take the input's memory.  Done out of place where that would spoil a value
        which a backward pass still needs.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.ReLU6()(tn.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = _check.boolean("ReLU6", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Return the result, of the shape of `input`."""
        return F.relu6(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LogSigmoid(Module):
    """``y = -log(1 + exp(-x))``, elementwise; finite for every finite input.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.LogSigmoid()(tn.tensor([-100.0]))
    tensor([-100.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the logarithm of the sigmoid of `input`, of the same shape."""
        return F.logsigmoid(input)


def _dim(owner: str, dim: int | None) -> int:
    """The `dim` of a softmax; PyTorch would choose one for None."""
    if dim is None:
        raise NotImplementedError(
            f"{owner}: dim must be an int; its implicit choice is not supported; got None"
        )
    return _check.integer(owner, "dim", dim)


class Softmax(Module):
    """``y_i = exp(x_i) / sum_j exp(x_j)`` along `dim`, computed from ``x - max(x)`` so that it cannot
    overflow.

    Parameters
    ----------
    dim : int
        The dimension whose entries sum to one.  PyTorch's own choice for None is not supported.

    Raises
    ------
    NotImplementedError
        For `dim` None.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.Softmax(1)(tn.tensor([[1e4, 1e4], [0.0, 1e4]]))
    tensor([[0.5, 0.5],
            [0. , 1. ]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = _dim("Softmax", dim)

    def forward(self, input: Tensor) -> Tensor:
        """Return the probabilities, of the shape of `input`."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """``y_i = x_i - log(sum_j exp(x_j))`` along `dim`, finite for any finite input.

    Parameters
    ----------
    dim : int
        The dimension whose exponentials sum to one.  PyTorch's own choice for None is not supported.

    Raises
    ------
    NotImplementedError
        For `dim` None.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.nn.LogSoftmax(0)(tn.tensor([0.0, -1e4]))
    tensor([     0., -10000.])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = _dim("LogSoftmax", dim)

    def forward(self, input: Tensor) -> Tensor:
        """Return the log-probabilities, of the shape of `input`."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
