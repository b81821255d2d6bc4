"""Every error of the ops: its class, and a message that names operation, argument, expected and received."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F
from tinynet.ops.normalization import batch_statistics
from tinynet.ops.update import sgd


def z(*shape: int, dtype: str = "f4") -> tn.Tensor:
    return tn.tensor(np.zeros(shape, dtype))


def labels(*values: float, dtype: str = "i8") -> tn.Tensor:
    return tn.tensor(np.asarray(values, dtype))


def a(*shape: int, dtype: str = "f4") -> np.ndarray:
    return np.zeros(shape, dtype)


ERRORS: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    # arithmetic
    ("add_shapes", lambda: z(3, 5) + z(4), ShapeError,
     r"add: shapes (3, 5) and (4,) cannot be broadcast together"),
    ("sub_shapes", lambda: z(3) - z(4), ShapeError, "sub: shapes (3,) and (4,) cannot be broadcast"),
    ("mul_shapes", lambda: z(2, 3) * z(2, 4), ShapeError,
     "mul: shapes (2, 3) and (2, 4) cannot be broadcast"),
    ("div_shapes", lambda: z(2, 3) / z(3, 2), ShapeError, "div: shapes"),
    ("pow_shapes", lambda: z(2) ** z(3), ShapeError, "pow: shapes (2,) and (3,)"),
    ("add_dtypes", lambda: z(3) + z(3, dtype="f8"), DTypeError,
     "add: operands must have one float dtype; got float32 and float64"),
    ("mul_dtypes", lambda: z(3, dtype="f8") * z(3), DTypeError, "mul: operands must have one float dtype"),
    ("exp_int", lambda: labels(1).exp(), DTypeError, "exp: input must be float32 or float64; got int64"),
    ("log_int", lambda: labels(1).log(), DTypeError, "log: input must be float32 or float64; got int64"),
    ("sqrt_int", lambda: labels(1).sqrt(), DTypeError, "sqrt: input must be float32 or float64; got int64"),
    # reductions
    ("sum_dim", lambda: z(2, 3).sum(2), ArgumentError, "sum: dim must lie in [-2, 1]; got 2"),
    ("sum_dim_kind", lambda: z(2, 3).sum(0.5), ArgumentError, "sum: dim must be an integer; got 0.5"),
    ("sum_twice", lambda: z(2, 3).sum((0, -2)), ArgumentError,
     "sum: dim must not name an axis twice; got (0, -2)"),
    ("mean_dim", lambda: z(2, 3).mean(-3), ArgumentError, "mean: dim must lie in [-2, 1]; got -3"),
    ("mean_int", lambda: labels(1, 2).mean(), DTypeError, "mean: x must be float32 or float64; got int64"),
    ("max_empty", lambda: z(3, 0).amax(1), ShapeError,
     "x must have at least one element along dim 1; got shape (3, 0)"),
    ("max_nothing", lambda: z(0).max(), ShapeError,
     "max: x must have at least one element along dim 0; got shape (0,)"),
    ("min_dim", lambda: z(3).min(1), ArgumentError, "min: dim must lie in [-1, 0]; got 1"),
    ("max_dims", lambda: z(3, 4).max((0, 1)), ArgumentError, "max: dim must be one integer; got (0, 1)"),
    # shapes
    ("reshape", lambda: z(2, 3).reshape(4, 2), ShapeError,
     "reshape: shape must have as many elements as x, 6 of shape (2, 3)"),
    ("reshape_open", lambda: z(2, 3).reshape(4, -1), ShapeError,
     "reshape: shape must have as many elements as x"),
    ("reshape_two", lambda: z(2, 3).reshape(-1, -1), ShapeError,
     "reshape: shape must hold sizes of at least 0 and at most one -1"),
    ("reshape_negative", lambda: z(2, 3).reshape(-2, 3), ShapeError,
     "reshape: shape must hold sizes of at least 0"),
    ("reshape_kind", lambda: z(2, 3).reshape(2.0, 3), ArgumentError,
     "reshape: shape must hold integers; got (2.0, 3)"),
    ("view", lambda: z(2, 3).T.view(6), ShapeError, "view: a tensor of shape (3, 2)"),
    ("flatten", lambda: z(2, 3).flatten(1, 0), ArgumentError,
     "flatten: start_dim must not come after end_dim; got 1 and 0"),
    ("permute", lambda: z(2, 3).permute(0, 0), ArgumentError,
     "permute: dims must name each of the 2 axes once; got (0, 0)"),
    ("permute_dim", lambda: z(2, 3).permute(0, 2), ArgumentError, "permute: dim must lie in [-2, 1]; got 2"),
    ("transpose", lambda: z(2, 3).transpose(0, 3), ArgumentError,
     "transpose: dim must lie in [-2, 1]; got 3"),
    ("T", lambda: z(2, 3, 4).T, ShapeError, "T: the tensor must have at most 2 axes; got shape (2, 3, 4)"),
    ("squeeze", lambda: z(2, 1).squeeze(5), ArgumentError, "squeeze: dim must lie in [-2, 1]; got 5"),
    ("unsqueeze", lambda: z(2).unsqueeze(3), ArgumentError, "unsqueeze: dim must lie in [-2, 1]; got 3"),
    ("broadcast_to", lambda: z(3, 5).broadcast_to(2), ShapeError,
     "broadcast_to: x of shape (3, 5) cannot be repeated to (2,)"),
    ("cat_none", lambda: tn.cat([]), ArgumentError, "cat: tensors must hold at least one tensor; got none"),
    ("cat_scalar", lambda: tn.cat([tn.tensor(1.0)]), ShapeError,
     "cat: tensors must have at least one axis; got a scalar"),
    ("cat_shapes", lambda: tn.cat([z(2, 3), z(3, 2)]), ShapeError,
     "cat: tensors must have equal shapes but for dim 0; got (2, 3)"),
    ("cat_ndim", lambda: tn.cat([z(2, 3), z(3)]), ShapeError,
     "cat: tensors must have equal shapes but for dim 0"),
    ("cat_dtypes", lambda: tn.cat([z(2), z(2, dtype="f8")]), DTypeError,
     "cat: tensors[1] must have the dtype of tensors[0], float32"),
    ("cat_dim", lambda: tn.cat([z(2)], 1), ArgumentError, "cat: dim must lie in [-1, 0]; got 1"),
    ("index", lambda: z(3, 5)[10], IndexError,
     "index 10 is out of bounds for axis 0 with size 3; x has shape (3, 5)"),
    ("index_kind", lambda: z(3)[1.0], IndexError, "x has shape (3,)"),
    # activations
    ("sigmoid_int", lambda: F.sigmoid(labels(1)), DTypeError,
     "sigmoid: input must be float32 or float64; got int64"),
    ("tanh_int", lambda: F.tanh(labels(1, dtype="i4")), DTypeError,
     "tanh: input must be float32 or float64; got int32"),
    ("relu_int", lambda: F.relu(labels(1)), DTypeError, "relu: input must be float32 or float64; got int64"),
    ("sigmoid_array", lambda: F.sigmoid(a(3)), DTypeError,
     "sigmoid: input must be a Tensor; got ndarray"),
    # linear
    ("linear_x", lambda: F.linear(z(2, 4), z(5, 3)), ShapeError,
     "linear: input must have shape (..., C) with C = 3 to match weight (5, 3); got (2, 4)"),
    ("linear_scalar", lambda: F.linear(tn.tensor(1.0), z(5, 3)), ShapeError,
     "linear: input must have shape (..., C) with C = 3"),
    ("linear_weight", lambda: F.linear(z(2, 3), z(3)), ShapeError,
     "linear: weight must have shape (K, C); got (3,)"),
    ("linear_bias", lambda: F.linear(z(2, 3), z(5, 3), z(4)), ShapeError,
     "linear: bias must have shape (K,) with K = 5 to match weight (5, 3); got (4,)"),
    ("linear_bias_2d", lambda: F.linear(z(2, 3), z(5, 3), z(5, 1)), ShapeError,
     "linear: bias must have shape (K,)"),
    ("linear_dtypes", lambda: F.linear(z(2, 3), z(5, 3, dtype="f8")), DTypeError,
     "linear: weight must have the dtype of input, float32; got float64"),
    ("linear_bias_dtype", lambda: F.linear(z(2, 3), z(5, 3), z(5, dtype="f8")), DTypeError,
     "linear: bias must have the dtype of input"),
    ("linear_int", lambda: F.linear(labels(1, 2), labels(1, 2).reshape(1, 2)), DTypeError,
     "linear: input must be float32 or float64; got int64"),
    ("matmul", lambda: z(2, 3) @ z(4, 5), ShapeError,
     "matmul: b must have shape (K, N) with K = 3 to match a (2, 3); got (4, 5)"),
    ("matmul_3d", lambda: z(2, 3, 4) @ z(3, 4, 5), ShapeError,
     "matmul: the batch axes of a (2, 3, 4) and b (3, 4, 5) cannot be broadcast together"),
    ("matmul_vector", lambda: z(2, 3) @ z(2), ShapeError,
     "matmul: b must have shape (K,) with K = 3 to match a (2, 3); got (2,)"),
    ("matmul_dtypes", lambda: z(2, 3) @ z(3, 2, dtype="f8"), DTypeError, "matmul: "),
    # softmax and cross-entropy
    ("log_softmax_dim", lambda: F.log_softmax(z(2, 3), 2), ArgumentError,
     "log_softmax: dim must lie in [-2, 1]; got 2"),
    ("log_softmax_none", lambda: F.log_softmax(z(2, 3), None), NotImplementedError,
     "log_softmax: dim must be an int; its implicit choice is not supported; got None"),
    ("softmax_none", lambda: F.softmax(z(2, 3)), NotImplementedError,
     "softmax: dim must be an int; its implicit choice is not supported; got None"),
    ("softmax_dim", lambda: F.softmax(z(2, 3), -3), ArgumentError,
     "softmax: dim must lie in [-2, 1]; got -3"),
    ("softmax_dtype", lambda: F.softmax(z(2, 3), 1, dtype="f8"), NotImplementedError,
     "softmax: dtype must be None, the rest is not supported; got 'f8'"),
    ("softmax_int", lambda: F.softmax(labels(1), 0), DTypeError,
     "softmax: input must be float32 or float64; got int64"),
    ("log_softmax_int", lambda: F.log_softmax(labels(1), 0), DTypeError,
     "log_softmax: input must be float32 or float64; got int64"),
    ("ce_input", lambda: F.cross_entropy(z(3), labels(0)), ShapeError,
     "cross_entropy: target must have shape () to match input (3,); got (1,)"),
    ("ce_no_class", lambda: F.cross_entropy(z(3, 0), labels(0, 0, 0)), ShapeError,
     "cross_entropy: input must have shape (K,), (N, K) or (N, K, d1, ...) with K >= 1; got (3, 0)"),
    ("ce_int", lambda: F.cross_entropy(labels(1, 2).reshape(1, 2), labels(0)), DTypeError,
     "cross_entropy: input must be float32 or float64; got int64"),
    ("ce_target", lambda: F.cross_entropy(z(3, 4), labels(0, 1)), ShapeError,
     "cross_entropy: target must have shape (N,) with N = 3 to match input (3, 4); got (2,)"),
    ("ce_target_2d", lambda: F.cross_entropy(z(2, 4), labels(0, 1).reshape(2, 1)), ShapeError,
     "cross_entropy: target must have shape (N,)"),
    ("ce_bool", lambda: F.cross_entropy(z(1, 4), labels(1, dtype="?")), DTypeError,
     "cross_entropy: target must hold class labels of an integer dtype; got bool"),
    ("ce_array", lambda: F.cross_entropy(z(1, 4), np.zeros(1, np.int64)), DTypeError,
     "cross_entropy: target must be a Tensor; got ndarray"),
    ("ce_probabilities", lambda: F.cross_entropy(z(2, 4), z(2, 3)), ShapeError,
     "cross_entropy: target must have the shape of input, (2, 4), when it holds probabilities; got (2, 3)"),
    ("ce_label", lambda: F.cross_entropy(z(2, 4), labels(0, 4)), ArgumentError,
     "cross_entropy: target must hold class labels in [0, 3] (or ignore_index, -100); got 4 at position 1"),
    ("ce_negative", lambda: F.cross_entropy(z(2, 4), labels(-1, 0)), ArgumentError, "got -1 at position 0"),
    ("ce_weight", lambda: F.cross_entropy(z(2, 4), labels(0, 1), z(3)), ShapeError,
     "cross_entropy: weight must have shape (K,) with K = 4 to match input (2, 4); got (3,)"),
    ("ce_weight_dtype", lambda: F.cross_entropy(z(2, 4), labels(0, 1), z(4, dtype="f8")), DTypeError,
     "cross_entropy: weight must have the dtype of input, float32; got float64"),
    ("ce_reduction", lambda: F.cross_entropy(z(2, 4), labels(0, 1), reduction="max"), ArgumentError,
     "cross_entropy: reduction must be 'mean', 'sum' or 'none'; got 'max'"),
    ("ce_smoothing", lambda: F.cross_entropy(z(2, 4), labels(0, 1), label_smoothing=1.5), ArgumentError,
     "cross_entropy: label_smoothing must lie in [0, 1]; got 1.5"),
    # batch normalisation
    ("bn_ndim", lambda: F.batch_norm(z(3), None, None, training=True), ShapeError,
     "batch_norm: input must have shape (N, C), (N, C, L) or (N, C, H, W); got (3,)"),
    ("bn_5d", lambda: F.batch_norm(z(2, 2, 2, 2, 2), None, None, training=True), ShapeError,
     "batch_norm: input must have shape"),
    ("bn_int", lambda: F.batch_norm(labels(1, 2).reshape(2, 1), None, None, training=True), DTypeError,
     "batch_norm: input must be float32 or float64; got int64"),
    ("bn_one", lambda: F.batch_norm(z(1, 3), None, None, training=True), ShapeError,
     "batch_norm: input must have more than one value per channel in training; got (1, 3)"),
    ("bn_one_remedy", lambda: F.batch_norm(z(1, 3, 1, 1), None, None, training=True), ShapeError,
     "drop_last=True"),
    ("bn_empty", lambda: F.batch_norm(z(0, 3), None, None, training=True), ShapeError,
     "batch_norm: input must have more than one value per channel in training; got (0, 3)"),
    ("bn_eval", lambda: F.batch_norm(z(2, 3), None, None), ArgumentError,
     "batch_norm: running_mean and running_var must be given when training=False; got None"),
    ("bn_half", lambda: F.batch_norm(z(2, 3), z(3), None, training=True), ArgumentError,
     "batch_norm: running_mean and running_var must be given together"),
    ("bn_other_half", lambda: F.batch_norm(z(2, 3), None, z(3), training=True), ArgumentError,
     "batch_norm: running_mean and running_var must be given together"),
    ("bn_mean", lambda: F.batch_norm(z(2, 3), z(4), z(3)), ShapeError,
     "batch_norm: running_mean must have shape (C,) with C = 3 to match input (2, 3); got (4,)"),
    ("bn_var", lambda: F.batch_norm(z(2, 3), z(3), z(3, 1)), ShapeError,
     "batch_norm: running_var must have shape (C,)"),
    ("bn_weight", lambda: F.batch_norm(z(2, 3), z(3), z(3), z(2)), ShapeError,
     "batch_norm: weight must have shape (C,) with C = 3 to match input (2, 3); got (2,)"),
    ("bn_bias", lambda: F.batch_norm(z(2, 3), z(3), z(3), None, z(2)), ShapeError,
     "batch_norm: bias must have shape (C,)"),
    ("bn_dtypes", lambda: F.batch_norm(z(2, 3), z(3, dtype="f8"), z(3)), DTypeError,
     "batch_norm: running_mean must have the dtype of input, float32; got float64"),
    ("bn_weight_dtype", lambda: F.batch_norm(z(2, 3), z(3), z(3), z(3, dtype="f8")), DTypeError,
     "batch_norm: weight must have the dtype of input"),
    ("bn_gradient", lambda: F.batch_norm(z(2, 3), z(3).requires_grad_(), z(3)), ArgumentError,
     "batch_norm: running_mean must not require a gradient"),
    ("bn_read_only", lambda: F.batch_norm(z(2, 3), z(1).broadcast_to(3), z(3), training=True), ArgumentError,
     "batch_norm: running_mean must be contiguous and writable"),
    ("bn_gaps", lambda: F.batch_norm(z(2, 3), z(3), z(6)[::2], training=True), ArgumentError,
     "batch_norm: running_var must be contiguous and writable"),
    ("bn_eps", lambda: F.batch_norm(z(2, 3), z(3), z(3), eps=0.0), ArgumentError,
     "batch_norm: eps must be above 0; got 0.0"),
    ("bn_eps_nan", lambda: F.batch_norm(z(2, 3), z(3), z(3), eps=float("nan")), ArgumentError,
     "batch_norm: eps must be above 0; got nan"),
    ("bn_momentum", lambda: F.batch_norm(z(2, 3), z(3), z(3), training=True, momentum=1.5), ArgumentError,
     "batch_norm: momentum must"),
    ("bn_momentum_none", lambda: F.batch_norm(z(2, 3), z(3), z(3), momentum=None), ArgumentError,
     "batch_norm: momentum must be a number in [0, 1]; got None"),
    ("statistics", lambda: batch_statistics(a(0, 3)), ShapeError,
     "batch_statistics: x must have shape (N, C[, ...]) with at least one value; got (0, 3)"),
    ("statistics_int", lambda: batch_statistics(a(2, 3, dtype="i8")), DTypeError,
     "batch_statistics: x must be float32 or float64"),
    # dropout
    ("dropout_p", lambda: F.dropout(z(3), 1.5), ArgumentError, "dropout: p must lie in [0, 1]; got 1.5"),
    ("dropout_negative", lambda: F.dropout(z(3), -0.1), ArgumentError,
     "dropout: p must lie in [0, 1]; got -0.1"),
    ("dropout_nan", lambda: F.dropout(z(3), float("nan")), ArgumentError,
     "dropout: p must lie in [0, 1]; got nan"),
    ("dropout_kind", lambda: F.dropout(z(3), "a"), ArgumentError, "dropout: p must"),
    ("dropout_int", lambda: F.dropout(labels(1), 0.5), DTypeError,
     "dropout: input must be float32 or float64; got int64"),
    ("dropout_array", lambda: F.dropout(a(3), 0.5), DTypeError,
     "dropout: input must be a Tensor; got ndarray"),
    # the optimiser's door
    ("sgd_shapes", lambda: sgd([a(3)], [a(4)], [], [False], 0.1, 0, 0, 0, False, False), ShapeError,
     "sgd: grads[0] must have the shape of params[0], (3,); got (4,)"),
    ("sgd_dtypes", lambda: sgd([a(3)], [a(3, dtype="f8")], [], [False], 0.1, 0, 0, 0, False, False),
     ArgumentError, "sgd: params and grads must have one dtype; got float32 and float64"),
    ("sgd_layout", lambda: sgd([a(3, 2)], [a(3, 2)], [a(2, 3).T], [False], 0.1, 0.9, 0, 0, False, False),
     ArgumentError, "sgd: the state of params[0] must be dense in memory, laid out like it"),
    ("sgd_state", lambda: sgd([a(3)], [a(3)], [a(4)], [False], 0.1, 0.9, 0, 0, False, False), ArgumentError,
     "sgd: the state of params[0] must have its shape (3,) and dtype float32; got (4,) and float32"),
    ("sgd_counts", lambda: sgd([a(3)], [a(3)] * 2, [], [False], 0.1, 0, 0, 0, False, False), ArgumentError,
     "sgd: params, grads and state must be equally many; got 1 and 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_error(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call()


@pytest.mark.parametrize("training", [True, False])
def test_a_refused_batch_norm_changes_nothing(training: bool) -> None:
    """Everything is checked before the running statistics move."""
    mean, var = tn.ones(3), tn.ones(3)
    for x, weight, eps in ((z(1, 4), None, 1e-5), (z(4, 3), z(2), 1e-5), (z(4, 3), None, 0.0)):
        with pytest.raises((ShapeError, ArgumentError)):
            F.batch_norm(x, mean, var, weight, None, training, 0.1, eps)
    assert mean.tolist() == var.tolist() == [1.0] * 3


def test_a_refused_dropout_draws_nothing() -> None:
    generator = tn.Generator(3)
    with pytest.raises(ArgumentError):
        F.dropout(z(3), 2.0, generator=generator)
    assert generator.get_state() == tn.Generator(3).get_state()


def test_extents_of_zero() -> None:
    """PyTorch's results for empty inputs."""
    assert F.linear(z(3, 2, 0), z(4, 0)).tolist() == [[[0.0] * 4] * 2] * 3
    assert F.linear(z(3, 2, 2), z(0, 2)).shape == (3, 2, 0)
    assert F.linear(z(0, 2), z(5, 2), z(5)).shape == (0, 5)
    assert (z(3, 0) @ z(0, 2)).tolist() == [[0.0, 0.0]] * 3
    assert F.linear(z(2, 0), z(3, 0), tn.ones(3)).tolist() == [[1.0] * 3] * 2
    assert F.softmax(z(3, 0), 1).shape == (3, 0)
    assert z(0, 3).sum(0).tolist() == [0.0] * 3
    assert np.isnan(z(0).mean().item())
    assert z(0, 3).amax(1).shape == (0,)
    x, w = z(0, 2).requires_grad_(), tn.ones(5, 2).requires_grad_()
    F.linear(x, w).sum().backward()
    assert x.grad.shape == (0, 2)
    assert w.grad.tolist() == [[0.0] * 2] * 5


def test_none_is_no_tensor() -> None:
    with pytest.raises(DTypeError, match="linear: weight must be a Tensor; got NoneType"):
        F.linear(tn.ones(2, 2), None)
    with pytest.raises(DTypeError, match=r"cat: tensors\[1\] must be a Tensor; got NoneType"):
        tn.cat([tn.ones(2), None])


def test_batch_norm_without_channels_or_rows() -> None:
    with pytest.raises(ShapeError, match=r"more than one value per channel in training; got \(0, 0\)"):
        F.batch_norm(tn.zeros(0, 0), None, None, training=True)
    assert F.batch_norm(tn.zeros(3, 0), None, None, training=True).shape == (3, 0)


def test_read_only_weights_are_refused() -> None:
    w = np.ones(3, np.float32)
    w.flags.writeable = False
    with pytest.raises(
        ArgumentError, match=r"sgd: params\[0\] and its buffer must be writable; got read-only"
    ):
        sgd([w], [np.ones(3, np.float32)], [], [False], 0.1, 0, 0, 0, False, False)
    assert w.tolist() == [1, 1, 1]
