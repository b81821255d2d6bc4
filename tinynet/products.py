"""Products of vectors, matrices and batches of matrices."""

from __future__ import annotations

from tinynet._tensor import Tensor
from tinynet.shapes.arguments import tensor_argument


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of vectors, matrices, or batches of matrices, as ``input @ other``.

    Parameters
    ----------
    input : Tensor, shape (..., M, K) or (K,)
    other : Tensor, shape (..., K, N) or (K,)
        Leading axes broadcast with those of `input`.

    Returns
    -------
    Tensor, shape (..., M, N), without the axis of an operand that is a vector

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.matmul(tn.ones(5, 2, 3), tn.ones(3, 4)).shape
    (5, 2, 4)
    """
    return tensor_argument("matmul", input).matmul(tensor_argument("matmul", other, "other"))


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices.

    Parameters
    ----------
    input : Tensor, shape (M, K)
    mat2 : Tensor, shape (K, N)
        Not float64 beside float32.

    Returns
    -------
    Tensor, shape (M, N)

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.mm(tn.ones(2, 3), tn.ones(3, 1)).tolist()
    [[3.0], [3.0]]
    """
    return tensor_argument("mm", input).mm(tensor_argument("mm", mat2, "mat2"))


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of the matrices of two batches: ``y[i] = input[i] @ mat2[i]``.

    Parameters
    ----------
    input : Tensor, shape (B, M, K)
    mat2 : Tensor, shape (B, K, N)
        Not float64 beside float32.

    Returns
    -------
    Tensor, shape (B, M, N)

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.bmm(tn.ones(5, 2, 3), tn.ones(5, 3, 4)).shape
    (5, 2, 4)
    """
    return tensor_argument("bmm", input).bmm(tensor_argument("bmm", mat2, "mat2"))


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The scalar product of two vectors, ``sum_i input[i] tensor[i]``.

    Parameters
    ----------
    input : Tensor, shape (K,)
    tensor : Tensor, shape (K,)
        Not float64 beside float32.

    Returns
    -------
    Tensor, without axes

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.dot(tn.tensor([1.0, 2.0]), tn.tensor([3.0, 4.0])).item()
    11.0
    """
    return tensor_argument("dot", input).dot(tensor_argument("dot", tensor, "tensor"))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of a vector with each of another: ``y[i, j] = input[i] vec2[j]``.

    Parameters
    ----------
    input : Tensor, shape (M,)
    vec2 : Tensor, shape (N,)
        Not float64 beside float32.

    Returns
    -------
    Tensor, shape (M, N)

    Raises
    ------
    ShapeError, DTypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinynet as tn
    >>> tn.outer(tn.tensor([1.0, 2.0]), tn.tensor([3.0, 4.0])).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    return tensor_argument("outer", input).outer(tensor_argument("outer", vec2, "vec2"))
