"""The public API in use, for the type checker: ``mypy --strict tests/typing_use.py`` must find nothing.

Each result is assigned to a variable of the type that it must have.  test_typing.py also runs the functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import tinynet as tn
from tinynet import bn, data, errors, experiments, io, models, nn, optim
from tinynet._graph import Node, Op
from tinynet._tensor import apply
from tinynet.nn import functional as F
from tinynet.nn import init
from tinynet.ops import blas, kernels, memory, threads
from tinynet.ops.activation import ReLU
from tinynet.ops.dropout import philox_u32
from tinynet.ops.normalization import batch_statistics
from tinynet.ops.update import adagrad, adam, rmsprop, sgd
from tinynet.optim import lr_scheduler

t: tn.Tensor
n: int
f: float
b: bool
a: NDArray[Any]
pair: tuple[tn.Tensor, tn.Tensor]


def making() -> None:
    global t, n, a
    for t in (
        tn.tensor([1.0, 2.0]),
        tn.tensor(np.ones(2), dtype=tn.float64, requires_grad=True),
        tn.tensor(tn.ones(2), dtype="float32"),
        tn.from_numpy(np.ones(2)),
        tn.from_dlpack(np.ones(2)),
        tn.zeros(2, 3),
        tn.zeros((2, 3), dtype=tn.int64),
        tn.softmax(tn.zeros(2, dtype=tn.float), 0) + tn.log_softmax(tn.zeros(2), 0),
        tn.zeros(2, dtype=tn.double) + tn.zeros(2, dtype=tn.long) + tn.zeros(2, dtype=tn.int),
        tn.ones(2, requires_grad=True),
        tn.empty(2, dtype=tn.uint8),
        tn.full((2,), 1.5),
        tn.full(2, True, dtype=tn.bool),
        tn.as_tensor(np.ones(2), dtype=tn.float32),
        tn.asarray([1.0, 2.0], dtype="float64", copy=True, requires_grad=True),
        tn.tensor([1.0], device=tn.device("cpu"), pin_memory=False),
        tn.zeros(2, out=None, layout=None),
        tn.empty_like(tn.ones(2), device="cpu", memory_format=None),
        tn.eye(2, 3, dtype=tn.int64),
        tn.linspace(0, 1, 5),
        tn.randint(10, (2, 3)),
        tn.randint(2, 10, (2, 3), generator=tn.Generator(1)),
        tn.randint_like(tn.ones(2), 2, 5),
        tn.normal(0.0, tn.ones(2)),
        tn.normal(0.0, 1.0, (2, 3)),
        tn.bernoulli(tn.ones(2)),
        tn.multinomial(tn.ones(3), 2, replacement=True),
        tn.arange(3),
        tn.arange(0.0, 1.0, 0.5, dtype=np.float32),
        tn.rand(2, generator=tn.Generator(1)),
        tn.randn(2, 3, dtype=np.float64),
        tn.randperm(4),
        tn.zeros_like(tn.ones(2)),
        tn.ones_like(tn.ones(2), dtype=tn.int32),
        tn.full_like(tn.ones(2), 3),
        tn.rand_like(tn.ones(2)),
        tn.randn_like(tn.ones(2)),
        tn.cat([tn.ones(2), tn.ones(3)], dim=0),
        tn.Tensor(np.ones(2)),
        tn.Tensor(tn.ones(2), True),
        nn.Parameter(tn.ones(2)),
    ):
        n = t.numel()


def properties() -> None:
    global t, n, f, b, a
    x = tn.ones(2, 3, requires_grad=True)
    shape: tuple[int, ...] = x.shape
    shape = x.size()
    n = x.size(0)
    n = x.dim() + x.ndim + len(x) + len(shape) + x._version
    dtype: np.dtype[Any] = x.dtype
    tn.bincount(tn.tensor([1]), None, minlength=3)
    t = tn.nonzero(tn.ones(2)) + tn.unique(tn.ones(2), sorted=True)
    several: list[tn.Tensor | tuple[tn.Tensor, ...]] = []
    several += [tn.nonzero(tn.ones(2), as_tuple=True), tn.unique(tn.ones(2), return_counts=True)]
    b = tn.is_tensor(x)
    b = x.requires_grad and x.is_leaf and dtype == tn.float32
    x.requires_grad = True
    node: Node | None = (x * 2.0).grad_fn
    assert node is not None
    name: str = node.name
    nodes: tuple[Node, ...] = node.next_functions
    assert name == "mul"
    assert nodes
    x.sum().backward()
    (x * 1.0).backward(tn.ones(2, 3), retain_graph=True)
    g: tn.Tensor | None = x.grad
    assert g is not None
    x.grad = g.clone()
    x.grad = None
    t = x.T
    t = x.data
    t = x.detach()
    f = x.sum().item()
    f = float(x.sum())
    n = int(x.sum())
    b = bool(x.sum())
    a = x.detach().numpy()
    a = np.asarray(x.detach())
    rows: list[tn.Tensor] = list(x)
    anything: Any = x.tolist()
    assert rows
    assert anything
    t = x.requires_grad_().clone().contiguous().cpu()
    t = x.to("float64").to(np.float32).to(tn.int64).float().double().long()


def arithmetic() -> None:
    global t
    x, y = tn.ones(2, 2), tn.full((2, 2), 2.0)
    array = np.ones((2, 2), np.float32)
    t = x + y - 1 * x / 2.0 + 1.0 - (3 - x) * y / x
    t = 2 / x + True * x + np.float64(2.0) * x
    t = -x + (+x) + abs(x)
    t = x**2 + 2.0**x + x**y
    t = x @ y @ array
    t = x + array
    t = x.matmul(y).pow(2.0).abs().exp().log().sqrt().sigmoid().tanh().relu()
    t = (x < y) + (x <= 1) + (x > array) + (x >= y)
    t = x == y
    t = x != 1.0
    t = x[0] + x[-1, :] + x[None, ..., 0][0] + x[[0, 1]][0] + x[tn.tensor([0])][0] + x[x[:, 0] > 0][0]
    x[0] = 1.0
    x[:, 1] = tn.ones(2)
    x += 1
    x -= y
    x *= 2.0
    x /= y
    t = x.add_(y, alpha=2).sub_(1).mul_(y).div_(2.0).relu_().zero_().fill_(1).copy_(array)
    t = x.uniform_(-1.0, 1.0, tn.Generator(0)).normal_(std=2.0)


def elementwise() -> None:
    global t, b
    x, y, n = tn.ones(2), tn.full((2,), 2.0), tn.tensor([1, 2])
    mask = x > y
    t = x // 2 + 2 // x + x % 2 + 2 % x + x // y
    t = (mask & True) | (mask ^ mask) | ~mask
    t = (1 & n) + (1 | n) + (1 ^ n)
    t = tn.add(x, y, alpha=2) + tn.sub(x, 1, alpha=0.5) + tn.mul(x, y) + tn.div(x, 2, rounding_mode="floor")
    t = tn.floor_divide(x, y) + tn.remainder(x, y) + tn.pow(x, 2) + tn.lerp(x, y, 0.5)
    t = tn.addcmul(x, x, y, value=2)
    t = x.add(y, alpha=2).sub(1).mul(y).div(2.0, rounding_mode=None).floor_divide(y).remainder(y)
    t = x.lerp(y, 0.5).addcmul(x, y, value=0.5)
    t = tn.neg(x) + tn.abs(x) + tn.exp(x) + tn.expm1(x) + tn.log(x) + tn.log1p(x) + tn.square(x) + tn.sqrt(x)
    t = tn.rsqrt(x) + tn.reciprocal(x) + tn.sin(x) + tn.cos(x) + tn.erf(x) + tn.sigmoid(x) + tn.tanh(x)
    t = tn.relu(x) + tn.sign(x) + tn.floor(x) + tn.ceil(x) + tn.round(x) + tn.trunc(x)
    t = x.neg().abs().exp().expm1().log().log1p().square().sqrt().rsqrt().reciprocal().sin().cos().erf()
    t = x.sign().floor().ceil().round().trunc()
    t = tn.maximum(x, y) + tn.minimum(x, 1.0) + tn.clamp(x, 0, 1) + tn.clip(x, min=y)
    t = tn.where(mask, x, 0.0) + tn.where(mask, 1.0, y) + tn.masked_fill(x, mask, 0.0)
    t = x.maximum(y).minimum(1.0).where(mask, y).clamp(0, 1).clip(max=y).masked_fill(mask, 0.0)
    t = tn.eq(x, y) | tn.ne(x, 1) | tn.lt(x, y) | tn.le(x, y) | tn.gt(x, y) | tn.ge(x, y)
    t = x.eq(y) | x.ne(1) | x.lt(y) | x.le(y) | x.gt(y) | x.ge(y)
    t = tn.isnan(x) | tn.isinf(x) | tn.isfinite(x) | tn.isclose(x, y, rtol=1e-3, atol=0.0, equal_nan=True)
    t = x.isnan() | x.isinf() | x.isfinite() | x.isclose(y)
    b = tn.allclose(x, y) or x.allclose(y, 1e-3, 1e-3) or tn.equal(x, y) or x.equal(y)
    t = tn.logical_and(x, y) | tn.logical_or(x, y) | tn.logical_xor(x, y) | tn.logical_not(x)
    t = x.logical_and(y) | x.logical_or(y) | x.logical_xor(y) | x.logical_not()
    t = tn.bitwise_and(n, 1) + tn.bitwise_or(n, n) + tn.bitwise_xor(n, n) + tn.bitwise_not(n)
    t = n.bitwise_and(1) + n.bitwise_or(n) + n.bitwise_xor(n) + n.bitwise_not()


def elementwise_in_place() -> None:
    global t
    x, y = tn.ones(2), tn.full((2,), 2.0)
    x //= 2
    x %= y
    x **= 2
    t = x.div_(y, rounding_mode="trunc").floor_divide_(2).remainder_(y).pow_(2).sub_(y, alpha=2)
    t = x.neg_().abs_().exp_().expm1_().log_().log1p_().square_().sqrt_().rsqrt_().reciprocal_()
    t = x.sin_().cos_().erf_().sign_().floor_().ceil_().round_().trunc_().sigmoid_().tanh_().relu_()
    t = x.clamp_(0, 1).clip_(max=y).masked_fill_(x > y, 0.0).lerp_(y, 0.5)


def reductions_and_shapes() -> None:
    global t, pair
    x = tn.ones(2, 3, 4)
    t = (
        x.sum()
        + x.mean((0, 1), keepdim=True).sum(axis=-1)
        + x.var(correction=0)
        + x.amax([0, 1]).amin(axis=0)
    )
    t = x.max() + x.min()
    pair = x.max(0)
    pair = x.min(dim=1, keepdim=True)
    pair = x.max(axis=-1)
    t = x.argmax() + x.argmin(1, keepdim=True)
    t = x.reshape(6, -1).reshape((2, 3, 4)).view(4, 6).view([24]).ravel().flatten()
    t = t.unsqueeze(0).squeeze().squeeze(0)
    t = (
        x.permute(2, 0, 1)
        .permute((0, 1, 2))
        .transpose(0, -1)
        .flatten(1, -1)
        .broadcast_to(5, 3, 8)
        .broadcast_to((5, 3, 8))
    )
    t = (
        x.reshape_as(x)
        .view_as(x)
        .unflatten(2, (2, 2))
        .squeeze((0, 1))
        .mT.swapaxes(0, 1)
        .movedim((0, 1), (1, 0))
    )
    t = (
        x.sum(0)
        .t()
        .T.expand(2, -1, -1)
        .expand_as(x.movedim(0, -1).permute(2, 0, 1))
        .repeat(1, 2, 1)
        .flip(0)
        .flip((0, 1))
    )
    t = x.tril().triu(1) + tn.tril(x, 1) + tn.triu(x) + x[0].diag(1).sum() + tn.diag(x[0]).sum()
    parts = (
        *x.split(1),
        *x.split([1, 1]),
        *x.chunk(2, 1),
        *x.unbind(-1),
        *tn.split(x, 1),
        *tn.chunk(x, 2),
        *tn.unbind(x),
    )
    t = tn.cat(parts[:2]) + tn.stack([x, x], dim=1).sum(1)
    t = tn.reshape(x, (6, 4)) + tn.flatten(tn.unflatten(x, 1, (3, 1)), 0, 2).squeeze()
    t = tn.squeeze(tn.unsqueeze(tn.broadcast_to(x, (2, 3, 4)), 0), 0) + tn.flip(x, 0)
    t = tn.permute(x, (2, 0, 1)) + tn.swapaxes(tn.transpose(tn.movedim(x, -1, 0), 1, 2), 1, 2)
    t = F.pad(x, (1, 1), "constant", 2.0)
    images = tn.ones(2, 3, 4, 5)
    for layer in (
        nn.ZeroPad2d(1),
        nn.ConstantPad2d((1, 0, 2, 0), 0.5),
        nn.ReflectionPad2d(1),
        nn.ReplicationPad2d((1, 1, 0, 0)),
        nn.Unfold(2, padding=(1, 0)),
        nn.Sequential(nn.Unfold((2, 2), stride=2), nn.Fold((4, 5), 2, stride=2)),
        nn.Unflatten(1, (3, 1)),
    ):
        t = layer(images)
    t = F.fold(F.unfold(images, 3, 1, 1, (1, 2)), (4, 5), 3, padding=1, stride=(1, 2))
    t = images.contiguous(memory_format=tn.channels_last).clone(memory_format=tn.preserve_format)
    t = images.to(memory_format=tn.contiguous_format)
    flag: bool = images.is_contiguous(memory_format=tn.channels_last)
    nn.Linear(2, 2).to(memory_format=tn.channels_last)
    assert not flag


def indices() -> None:
    global t
    x, i, k = tn.ones(2, 3), tn.tensor([1, 0]), tn.tensor([[1], [0]])
    t = x[i, [0, 1]] + x[0, 1] + x[..., None, ::-1].sum() + x[x > 0].sum() + x[range(2)].sum()
    x[i] = 2.0
    x[0, 1:] = tn.zeros(2)
    x[np.array([0])] = [1.0, 2.0, 3.0]
    t = x.index_select(0, i) + tn.index_select(x, dim=0, index=i)
    t = x.gather(1, k) + tn.gather(x, 1, k) + x.take_along_dim(k, 1) + tn.take_along_dim(x, k, dim=1)
    t = x.masked_select(x > 0) + tn.masked_select(x, x > 0)


def more_reductions() -> None:
    global t, n, f, b, pair
    x = tn.ones(2, 3)
    t = x.sum(0, dtype=tn.float64) + x.mean(0, dtype="float64") + x.prod(0, True, dtype=tn.float64)
    t = (
        x.var(0, False, True)
        + x.std((0, 1), correction=0)
        + x.logsumexp(1, True)
        + x.softmax(1)
        + x.log_softmax(1)
        + x.norm(2, 0)
        + x.norm("fro", axis=0)
    )
    t = x.cumsum(1, dtype=tn.float32) + x.argsort(1, True, True) + x.count_nonzero((0, 1))
    t = x.any() == x.all(0)
    pair = x.sort(0, descending=True, stable=True)
    pair = x.topk(1, dim=0, largest=False, sorted=True)
    t = x.max(0).values + x.min(0).indices
    t = tn.sum(x, 0) + tn.mean(x, (0, 1)) + tn.prod(x, 0) + tn.var(x, 0, False) + tn.std(x, 0, correction=0)
    t = tn.max(x) + tn.max(x, 0).values + tn.min(x) + tn.min(x, 0)[1] + tn.amax(x, (0, 1)) + tn.amin(x, 0)
    t = tn.argmax(x, 0) + tn.argmin(x, 0) + tn.count_nonzero(x, 0) + tn.argsort(x, 0)
    t = tn.logsumexp(x, 1) + tn.norm(x, 1.0, 1) + tn.cumsum(x, 1).sum(1) + tn.sort(x, 1).values.sum(1)
    t = tn.topk(x, 1).values
    t = tn.any(x, 0) == tn.all(x, 0)


def products() -> None:
    global t
    a, v = tn.ones(2, 2), tn.ones(2)
    t = a.mm(a) + a.unsqueeze(0).bmm(a.unsqueeze(0)) + v.dot(v) + v.outer(v)
    t = tn.mm(a, a) + tn.bmm(a.unsqueeze(0), a.unsqueeze(0)) + tn.dot(v, v) + tn.outer(v, v) + tn.matmul(a, v)


def conversions() -> None:
    global t, n, b
    x = tn.ones(2, 3)
    t = (
        x.to(tn.float64)
        .to("cpu", "float32")
        .to(x)
        .to(dtype=tn.int64, device="cpu", non_blocking=True, copy=True)
    )
    t = x.type("float64").type_as(x).int() + x.bool().int()
    name: str = x.type() + x.device
    assert name
    for refused in (x.half, x.cuda):
        with contextlib.suppress(NotImplementedError):
            t = refused()
    b = x.is_floating_point() and x.is_contiguous()
    steps: tuple[int, ...] = x.stride()
    n = x.stride(0) + x.nelement() + x.element_size() + len(steps)
    t = (
        x.new_zeros(2, 3)
        + x.new_ones((2, 3), dtype=tn.float32)
        + x.new_full((2, 3), 1.0)
        + x.new_tensor([1.0, 2.0, 3.0])
    )
    t = x.new_empty(1, device="cpu", requires_grad=True)


def graph_and_modes() -> None:
    global t, b

    @tn.no_grad()
    def double(x: tn.Tensor) -> tn.Tensor:
        return x * 2.0

    typed: Callable[[tn.Tensor], tn.Tensor] = double
    t = typed(tn.ones(1))
    with tn.no_grad(), tn.enable_grad(), tn.set_grad_enabled(True):
        b = tn.is_grad_enabled()
    b = tn.gradcheck(lambda x: x * x, tn.ones(2, dtype=tn.float64, requires_grad=True), eps=1e-6, atol=1e-5)
    op: Op = ReLU()
    t = apply(op, tn.ones(2))
    saved: tuple[NDArray[Any] | None, ...] | None = op.saved
    assert saved is None or saved


class Twice(tn.autograd.Function):
    """An operation of one's own."""

    @staticmethod
    def forward(ctx: tn.autograd.FunctionContext, x: tn.Tensor, k: float) -> tn.Tensor:
        ctx.save_for_backward(x, None)
        ctx.set_materialize_grads(True)
        ctx.mark_non_differentiable()
        ctx.k = k
        return x * k

    @staticmethod
    def backward(ctx: tn.autograd.FunctionContext, gy: tn.Tensor) -> tuple[tn.Tensor, None]:
        wanted: tuple[bool, ...] = ctx.needs_input_grad
        x, _ = ctx.saved_tensors
        return gy * ctx.k + 0 * x * len(wanted), None


def differentiating() -> None:
    global t, b
    x = tn.ones(2, requires_grad=True)
    y: tn.Tensor = Twice.apply(x, 2.0)
    y.retain_grad()
    b = y.retains_grad
    handle = y.register_hook(lambda g: g * 2.0)
    with x.register_hook(lambda g: None):
        pass
    x.register_post_accumulate_grad_hook(lambda p: None).remove()
    z = y.sum()
    gradients: tuple[Any, ...] = tn.autograd.grad(z, [x, y], retain_graph=True, allow_unused=True)
    t = tn.autograd.grad([y], x, [tn.ones(2)], True)[0]
    tn.autograd.grad(z, nn.Linear(2, 2).parameters(), None, True, False, True)
    tn.autograd.backward([z, y], [None, tn.ones(2)], retain_graph=True, inputs=x)
    z.backward(inputs=[x])
    handle.remove()
    t = y.detach_()
    assert gradients
    with tn.autograd.detect_anomaly(check_nan=False), tn.autograd.set_detect_anomaly(False):
        b = tn.autograd.is_anomaly_enabled()
    with tn.inference_mode(), tn.autograd.inference_mode(False), tn.autograd.set_grad_enabled(True):
        b = tn.autograd.is_grad_enabled()

    @tn.inference_mode
    def doubled(x: tn.Tensor) -> tn.Tensor:
        return x * 2.0

    @tn.autograd.no_grad
    def tripled(x: tn.Tensor) -> tn.Tensor:
        return x * 3.0

    @tn.autograd.enable_grad()
    def quadrupled(x: tn.Tensor) -> tn.Tensor:
        return x * 4.0

    t = doubled(x) + tripled(x) + quadrupled(x)
    b = tn.autograd.gradcheck(lambda v: Twice.apply(v, 3.0), tn.ones(2, dtype=tn.float64, requires_grad=True))


def convolutions() -> None:
    global t
    image, kernel, c = tn.ones(2, 3, 8, 8), tn.ones(3, 3, 3, 3), tn.ones(3)
    t = F.conv2d(image, kernel, c, 2, 1, 1, 1) + F.conv2d(
        image, kernel, stride=(2, 2), padding=(1, 1), groups=1
    )
    t = F.conv2d(image, kernel, padding="same", dilation=2)
    t = F.conv_transpose2d(image, kernel, c, 2, (1, 1), 1, groups=1, dilation=1)
    row, taps = tn.ones(2, 3, 8), tn.ones(3, 3, 3)
    t = F.conv1d(row, taps, c, padding="valid") + F.conv_transpose1d(row, taps, c, padding=2)
    t = nn.Conv2d(
        3, 4, (3, 5), 2, padding=(1, 0), groups=1, bias=False, padding_mode="zeros", dtype=tn.float32
    )(image)
    t = nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1)(image, output_size=(17, 18))
    t = nn.Conv1d(3, 4, 3, padding="same")(row) + nn.ConvTranspose1d(3, 4, 1)(row, None)


def functions() -> None:
    global t
    x, w, c = tn.ones(4, 3), tn.ones(2, 3), tn.ones(2)
    t = F.linear(x, w, c)
    t = (
        F.sigmoid(x)
        + F.tanh(x)
        + F.relu(x)
        + F.softmax(x, 1)
        + F.log_softmax(x, dim=-1)
        + F.dropout(x, 0.5, True)
    )
    t = F.cross_entropy(x, tn.tensor([0, 1, 2, 0]), tn.ones(3), None, -100, None, "mean", 0.1)
    labels, p = tn.tensor([0, 1, 2, 0]), F.softmax(x, 1)
    t = F.cross_entropy(x, p, label_smoothing=0.1) + F.nll_loss(F.log_softmax(x, 1), labels, tn.ones(3))
    t = F.mse_loss(x, p, weight=tn.ones(3)) + F.l1_loss(x, p) + F.smooth_l1_loss(x, p, beta=0.5)
    t = F.huber_loss(x, p, "sum", 0.5) + F.kl_div(x, p, reduction="batchmean", log_target=True)
    t = F.binary_cross_entropy(p, p) + F.binary_cross_entropy_with_logits(x, p, pos_weight=tn.ones(3))
    t = F.one_hot(labels, num_classes=3)
    modules: list[nn.Module] = [
        nn.NLLLoss(ignore_index=1),
        nn.MSELoss(reduction="sum"),
        nn.L1Loss(),
        nn.SmoothL1Loss(beta=0.5),
        nn.HuberLoss("none", 2.0),
        nn.BCELoss(tn.ones(3)),
        nn.BCEWithLogitsLoss(pos_weight=tn.ones(3)),
        nn.KLDivLoss(log_target=True),
    ]
    assert modules
    t = F.batch_norm(x, tn.zeros(3), tn.ones(3), None, None, training=True, momentum=0.1, eps=1e-5)


class Net(nn.Module):
    """A module of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8, bias=False)
        self.norm = nn.BatchNorm1d(8)
        self.rest = nn.Sequential(nn.Sigmoid(), nn.Dropout(0.1), nn.Linear(8, 3), nn.Identity())

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        y: tn.Tensor = self.rest(self.norm(self.hidden(x)))
        return y


def normalisations() -> None:
    images: tn.Tensor = tn.randn(2, 4, 3, 3)
    images = nn.BatchNorm2d(4, eps=1e-3, momentum=None)(images)
    images = nn.BatchNorm2d(4, scale_init=0.1)(images)
    images = nn.InputNorm2d(4, eps=1e-3, momentum=None, scale=0.5, dtype=tn.float32)(images)
    images = nn.GroupNorm(2, 4, eps=1e-3, affine=False)(images)
    images = nn.LocalResponseNorm(3, alpha=1e-3, beta=0.5, k=2.0)(images)
    images = nn.Dropout2d(0.1)(images)
    images = F.dropout2d(images, 0.1, training=True, inplace=False, generator=tn.Generator(1))
    images = F.group_norm(images, 2, tn.ones(4), tn.zeros(4), eps=1e-3)
    images = F.local_response_norm(images, 3, 1e-3, 0.5, 2.0)
    images = F.dropout1d(nn.Dropout1d(0.1)(images.flatten(2)), 0.1)


def modules_and_training(folder: Path) -> None:
    global t, f, b
    net = Net().train()
    net = net.double().float().eval().train()
    weight: nn.Parameter = init.kaiming_uniform_(net.hidden.weight, a=5**0.5)
    init.zeros_(init.normal_(init.uniform_(tn.zeros(2), -1.0, 1.0), 0.0, 0.1))
    parameters: list[nn.Parameter] = list(net.parameters())
    names: list[str] = [name for name, _ in net.named_parameters()]
    optimizer = optim.SGD([{"params": parameters, "lr": 0.1}], lr=0.01, momentum=0.9, nesterov=True)
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.1)
    loader = data.DataLoader(
        data.TensorDataset(tn.randn(12, 4), tn.arange(12)), batch_size=6, shuffle=True, seed=3
    )
    for x, labels in loader:
        optimizer.zero_grad()
        loss: tn.Tensor = loss_function(net(x), labels * 0)
        loss.backward()
        optimizer.step()
        f = loss.item()
    state: dict[str, tn.Tensor] = net.state_dict()
    net.load_state_dict(state, strict=True)
    tn.save({"net": state, "optimizer": optimizer.state_dict()}, folder / "checkpoint.safetensors")
    loaded: Any = tn.load(folder / "checkpoint.safetensors")
    loaded = tn.load(folder / "checkpoint.safetensors", map_location="cpu", weights_only=True)
    assert set(loaded["net"]) == set(state)
    statistics: dict[str, tuple[NDArray[Any], NDArray[Any]]] = bn.population_statistics(net, [tn.randn(5, 4)])
    groups: list[dict[str, Any]] = bn.parameter_groups(net, 10.0, lr=0.1, weight_decay=1e-4)
    optim.SGD(groups, momentum=0.9).step()
    bn.freeze(net, affine=True)
    bn.unfreeze(net, affine=True)
    tracker = bn.PercentileTracker(net, q=(5, 95))
    with tracker.record(1):
        net(tn.randn(5, 4))
    history = bn.PercentileHistory(tracker.q, tracker.steps, tracker.percentiles)
    history.add(2, np.ones((5, 4)))
    assert history.unit(0).size + history.median_over_units().size + history.drift().size
    assert bn.column_percentiles(np.eye(3)).size
    folded: Net = bn.fold(net, tn.randn(5, 4), inplace=False)
    stable: bn.StableRate = bn.largest_stable_rate(
        lambda: models.gaussian_weights_(nn.Linear(4, 3), 0.0),
        nn.MSELoss(),
        [(tn.ones(1, 4), tn.ones(1, 3))] * 2,
        low=0.1,
        flat=None,
    )
    trial: bn.RateTrial = stable.trials[0]
    losses: tuple[float, ...] = trial.losses
    assert min(losses) < (stable.rate or 1)
    with bn.untouched(net), bn.record_layers(net, [nn.Linear], inputs=True, gradients=True) as records:
        net(tn.randn(5, 4)).sum().backward()
    record: bn.LayerRecord = next(iter(records.values()))
    kept: tuple[NDArray[Any] | None, ...] = (record.input, record.output, record.grad_output)
    assert len(kept) == 3
    net(tn.randn(5, 4)).sum().backward()
    gradients: dict[str, bn.GradientStatistics] = bn.gradient_statistics(net, [nn.Linear])
    assert next(iter(gradients.values())).histogram(bins=3, range=(-1, 1))[0].size == 3
    net.eval()
    noise: bn.GradientNoise = bn.gradient_noise(
        net, nn.CrossEntropyLoss(), tn.randn(5, 4), tn.arange(5) % 3, [1, 2], 3, generator=tn.Generator(1)
    )
    net.train()
    f = noise.slope() + noise.spread + float((noise.measured / noise.theory)[0])
    cancelled: dict[str, bn.Cancellation] = bn.gradient_cancellation(
        net, nn.CrossEntropyLoss(), tn.randn(5, 4), tn.arange(5) % 3, nn.Linear
    )
    f = min(each.ratio() + each.image_ratio(tap=(0, 0)) for each in cancelled.values())
    at_scores: bn.ClassGradients = bn.class_gradients(tn.randn(5, 3), np.zeros(5, np.int64))
    f = at_scores.predicted_share + at_scores.one_sidedness + at_scores.largest_column_mean
    f = float(at_scores.gradient[0, 0]) + bn.singular_value_edge(3)
    values: NDArray[np.float64] = bn.product_singular_values([np.eye(3), tn.randn(3, 3)])
    law: NDArray[np.float64] = bn.singular_value_cdf([0.5, f], 3)
    assert values.size + law.size + bn.squared_singular_value_density(np.ones(2), m=3).size
    channels: dict[str, bn.ChannelStatistics] = bn.channel_statistics(net, tn.randn(5, 4), nn.Linear)
    assert all(each.mean.shape == each.var.shape for each in channels.values())
    shares: dict[str, float] = bn.large_value_share(net, [tn.randn(5, 4)], threshold=2)
    along: NDArray[np.float64] = bn.relative_loss(net, nn.MSELoss(), tn.randn(5, 4), tn.ones(5, 3), [0.1])
    diverged: bn.DivergenceRecord = bn.record_divergence(
        net, nn.MSELoss(), tn.randn(5, 4), tn.ones(5, 3), 0.1, parts=2, layers=list(channels)
    )
    assert len(shares) + along.size + diverged.fractions.size + diverged.losses.size
    assert diverged.mean.keys() == diverged.var.keys()
    drift: bn.ScaleDrift = next(iter(bn.scale_drift(net, net.state_dict()).values()))
    assert drift.gamma_mean + drift.gamma_std + (drift.beta_mean or 0) + (drift.beta_std or 0) >= 0
    t = folded(tn.randn(5, 4))
    mlp: nn.Sequential = models.mnist_mlp(batch_norm=True, hidden=5, layers=1)
    networks: list[nn.Sequential] = [
        models.bn_inception(10, stem="plain", lrn=True, generator=tn.Generator(1), dtype=tn.float64),
        models.bn_inception_small(10, 3, True, "sigmoid", dropout=0.4),
        models.bn_inception_tiny(10, 1, False, lrn=True),
        models.resnet(20, batch_norm="last", shortcut="projection"),
        models.lenet(10, 1, dtype="float64"),
    ]
    assert networks
    first: nn.Module = mlp[0]
    part: nn.Sequential = mlp[1:]
    b = bool(names) and bool(statistics) and weight.is_leaf and first is not part
    assert io.save is tn.save
    layers = nn.ModuleList([first]).append(nn.ReLU()) + nn.ModuleList([nn.Tanh()])
    layers.insert(0, layers.pop())
    some: nn.ModuleList = layers[1:]
    sequence: nn.Sequential = nn.Sequential(*some).insert(0, nn.Identity()) + part
    named = nn.ModuleDict({"a": nn.ReLU()})
    named.update({"b": sequence})
    keys: list[str] = [*named, *named.keys(), *dict(named.items())]
    more = nn.ParameterList([tn.ones(2), np.ones(3)]).append(weight)
    one: nn.Parameter = more[0]
    scales = nn.ParameterDict({"a": one})
    one = scales["a"]
    anything: Any = net.get_submodule("hidden")
    one = net.get_parameter("hidden.weight")
    t = net.get_buffer("norm.running_mean")
    assert keys
    assert anything
    t = nn.utils.clip_grad_norm_(net.parameters(), 1.0, norm_type=2.0, error_if_nonfinite=True)
    t = nn.utils.get_total_norm([t])
    nn.utils.clip_grads_with_norm_(net.parameters(), 1.0, t)
    nn.utils.clip_grad_value_(weight, 0.5)
    t = nn.utils.parameters_to_vector(net.parameters())
    nn.utils.vector_to_parameters(t, net.parameters())
    digits: data.ImageDataset = data.Digits(train=False)
    augment = data.Augment(2, 0.0, digits.mean, digits.std, size=(28, 28))
    for x, y in data.DataLoader(digits, 180, shuffle=True, transform=augment):
        assert x.shape == (180, 1, 28, 28)
        assert y.shape == (180,)
    assert data.Normalize(0.5, [0.25], padding=2)(digits.images).shape == (360, 1, 32, 32)
    loader = data.DataLoader(digits, transform=lambda x, y: (data.sample_random(4), y))
    assert next(iter(loader))[0].shape == (1, 4)
    assert len(digits) > 0


def photographs() -> data.CIFAR10:
    return data.CIFAR10("data", False, lambda image: image.float(), str, download=False)


class Numbers(data.Dataset[int]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int, /) -> int:
        return index


class Counting(data.IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(6))


class Backwards(data.EpochSampler):
    def __len__(self) -> int:
        return 6

    def order(self, epoch: int) -> NDArray[np.intp]:
        return np.arange(6)[::-1]


def loading() -> None:
    global n, t
    numbers = Numbers()
    train, test = data.random_split(numbers, [0.5, 0.5], tn.Generator(1))
    both: data.ConcatDataset[int] = data.ConcatDataset([train, data.Subset(test, [0])])
    n = len(numbers + both) + numbers[0] + len(data.TensorDataset(tn.ones(3)).tensors)
    samplers: list[data.Sampler[int]] = [
        data.SequentialSampler(numbers),
        data.RandomSampler(numbers, replacement=True, num_samples=3, generator=tn.Generator(1)),
        data.SubsetRandomSampler([1, 2], seed=3),
        data.WeightedRandomSampler(tn.ones(6), 4),
        Backwards(seed=1),
    ]
    for sampler in samplers:
        batches: list[list[int]] = list(data.BatchSampler(sampler, 2, drop_last=False))
        n = sum(len(batch) for batch in batches)
        for t in data.DataLoader(numbers, 2, sampler=sampler, num_workers=1, prefetch_factor=1):
            n = t.size(0)
    for t in data.DataLoader(Counting(), 2, collate_fn=data.default_collate):
        n = len(t.tolist())
    loader = data.DataLoader(
        numbers, batch_sampler=[[0, 1]], transform=lambda x: x + data.batch_rng().random(x.shape)
    )
    state: dict[str, Any] = loader.state_dict()
    loader.load_state_dict(state)
    n = len(loader) + len(list(data.DataLoader(numbers, None, collate_fn=data.default_convert)))


def optimisers_and_schedulers() -> None:
    global f, n
    w = nn.Parameter(np.ones(2))
    w.grad = tn.tensor(np.ones(2))
    makers: list[Callable[[], optim.Optimizer]] = [
        lambda: optim.Adam([w], betas=(0.9, 0.99), amsgrad=True, decoupled_weight_decay=True),
        lambda: optim.AdamW([w], 1e-3, weight_decay=0.1),
        lambda: optim.RMSprop([w], alpha=0.9, momentum=0.5, centered=True),
        lambda: optim.Adagrad([w], lr_decay=0.1, initial_accumulator_value=0.5),
    ]
    for make in makers:
        optimizer = make()
        with optimizer.register_step_pre_hook(lambda *args: None):
            optimizer.register_step_post_hook(lambda *args: None).remove()
            optimizer.step(lambda: w.sum())
        optimizer.load_state_dict(optimizer.state_dict())
        kept: dict[str, Any] = optimizer.state[w]
        assert kept
    sgd_ = optim.SGD([w], lr=1.0, momentum=0.9)
    schedulers: list[lr_scheduler.LRScheduler] = [
        lr_scheduler.LambdaLR(sgd_, lambda epoch: 0.5**epoch),
        lr_scheduler.MultiplicativeLR(sgd_, [lambda epoch: 0.5]),
        lr_scheduler.StepLR(sgd_, 2, gamma=0.5),
        lr_scheduler.MultiStepLR(sgd_, [1, 2]),
        lr_scheduler.ConstantLR(sgd_, 0.5),
        lr_scheduler.LinearLR(sgd_, 0.5, total_iters=3),
        lr_scheduler.ExponentialLR(sgd_, 0.9),
        lr_scheduler.PolynomialLR(sgd_, 20, power=2.0),
        lr_scheduler.CosineAnnealingLR(sgd_, 10),
        lr_scheduler.CosineAnnealingWarmRestarts(sgd_, 10, T_mult=2),
        lr_scheduler.OneCycleLR(sgd_, [1.0], epochs=2, steps_per_epoch=5, three_phase=True),
        lr_scheduler.CyclicLR(sgd_, 0.1, 1.0, 5, mode="triangular2"),
    ]
    for scheduler in schedulers:
        scheduler.step()
        scheduler.load_state_dict(scheduler.state_dict())
        f, n = scheduler.get_last_lr()[0], scheduler.last_epoch
    lr_scheduler.ChainedScheduler(schedulers[:2]).step()
    lr_scheduler.SequentialLR(sgd_, schedulers[2:4], milestones=[3]).step()
    plateau = lr_scheduler.ReduceLROnPlateau(sgd_, "max", patience=2)
    plateau.step(w.sum())
    assert not plateau.in_cooldown


def activations() -> None:
    global t
    x = tn.ones(2, 3)
    t = F.leaky_relu(x, 0.1, inplace=True) + F.elu(x, 1.5, inplace=False) + F.hardtanh(x, -2.0, 2.0)
    t = F.gelu(x, approximate="tanh") + F.silu(x) + F.softplus(x, beta=2.0, threshold=10.0) + F.relu6(x)
    t = F.logsigmoid(x) + F.softmax(x, dim=1) + F.log_softmax(x, -1)
    t = (
        F.layer_norm(x, (3,), tn.ones(3), tn.zeros(3), eps=1e-3)
        + F.layer_norm(x, 3)
        + F.layer_norm(x, [2, 3])
    )
    net = nn.Sequential(
        nn.LeakyReLU(0.1), nn.ELU(1.0, inplace=True), nn.GELU("none"), nn.SiLU(), nn.Softplus(1.0, 20.0),
        nn.Hardtanh(-1.0, 1.0), nn.ReLU6(True), nn.LogSigmoid(), nn.Softmax(1), nn.LogSoftmax(dim=1),
        nn.LayerNorm(3, eps=1e-5, elementwise_affine=True, bias=False, device="cpu", dtype=np.float32),
    )  # fmt: skip
    t = net(x)


def pooling() -> None:
    global t, n, pair
    x = tn.ones(2, 3, 4, 4)
    for t in (
        F.max_pool2d(x, 2),
        F.max_pool2d(x, (3, 2), stride=1, padding=(1, 0), dilation=1, ceil_mode=True),
        F.max_pool1d(x[0], [2], return_indices=False),
        F.avg_pool2d(x, 2, 2, 1, False, False, divisor_override=3),
        F.avg_pool1d(x[0], 2, ceil_mode=True, count_include_pad=False),
        F.adaptive_avg_pool2d(x, (1, None)),
        F.adaptive_avg_pool1d(x[0], 2),
        F.adaptive_max_pool2d(x, 1),
        nn.AvgPool1d(2, 1, 1, ceil_mode=False)(x[0]),
        nn.AvgPool2d((2, 2), divisor_override=3)(x),
        nn.AdaptiveAvgPool1d(1)(x[0]),
        nn.AdaptiveAvgPool2d(1)(x),
        nn.MaxPool1d(2)(x[0]),
        nn.MaxPool2d(3, 2, padding=1)(x),
        nn.AdaptiveMaxPool2d((2, None))(x),
    ):
        n = t.ndim
    pair = F.max_pool2d_with_indices(x, 2)
    pair = F.max_pool1d_with_indices(x[0], 2)


def the_rest() -> None:
    global n, a, b
    loading()
    tn.manual_seed(0)
    g: tn.Generator = tn.default_generator
    state: dict[str, int] = g.get_state()
    g.set_state(state)
    n = g.seed + g.initial_seed()
    b = tn.cuda.is_available() and tn.cuda.device_count() > 0
    n = tn.get_num_threads()
    tn.set_num_threads(n)
    b = tn.get_fusion()
    tn.set_fusion(b)
    tn.set_conv_algorithm(tn.get_conv_algorithm())
    statistics: dict[str, int] = tn.memory_stats()
    n = statistics["in_use"]
    tn.reset_peak()
    tn.empty_cache()
    tn.show_config()
    words: tuple[str, ...] = (
        kernels.available() + kernels.compiled() + (kernels.chosen(), blas.blas_info(), tn.__version__)
    )
    b = threads.openmp_built() and bool(words)
    n = threads.default_num_threads()
    assert memory.empty_cache is tn.empty_cache
    bits: NDArray[np.uint32] = philox_u32(8, 1, 2)
    mean, variance, count = batch_statistics(np.ones((4, 2)) + bits.reshape(4, 2))
    a, n = mean + variance, count
    sgd([np.ones(2)], [np.ones(2)], [], [True], 0.1, 0.0, 0.0, 0.0, False, False)
    weights: list[NDArray[Any]] = [np.ones(2)]
    adam(weights, [np.ones(2)], [np.ones(2)], [np.ones(2)], [], [1], 0.1, 0.9, 0.99, 1e-8, 0.0, False, True)
    rmsprop(weights, [np.ones(2)], [np.ones(2)], [], [np.ones(2)], 0.1, 0.9, 1e-8, 0.0, 0.9, False)
    adagrad(weights, [np.ones(2)], [np.ones(2)], [1], 0.1, 0.0, 0.0, 1e-8, False)
    failed: tuple[type[errors.TinynetError], ...] = (
        errors.ShapeError,
        errors.ArgumentError,
        errors.DTypeError,
        errors.GraphError,
        errors.DataError,
        errors.DivergenceError,
    )
    assert failed


def studying() -> None:
    global a, f
    x, y = np.ones((6, 4), np.float32), np.arange(6) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    for a in (
        experiments.scores(model, x, chunk=4),
        experiments.confusion_matrix(y, [0] * 6, 3),
        experiments.confident_mistakes(np.eye(6, 3), y, 2),
        experiments.smoothed([1.0, 2.0, 3.0], 2),
        experiments.ensemble_errors(np.ones((2, 6, 3)), y)[0],
    ):
        assert a.size
    loader = data.DataLoader(data.TensorDataset(x, y), 3)
    runs: experiments.Runs = experiments.Runs("runs")
    assert runs.get("first", {"lr": 0.1, "seed": None}, lambda path: {"path": str(path)})
    trainer = experiments.Trainer(
        model,
        optim.SGD(model.parameters(), 0.1),
        nn.CrossEntropyLoss(),
        loader,
        lambda: 0.5,
        settings={"lr": 0.1, "name": None},
        every=2,
    )
    trainer.train(1)
    epoch: experiments.Epoch = trainer.epochs[0]
    f = epoch.loss + epoch.test_accuracy + trainer.losses[0] + trainer.rates[0] + trainer.curve[0][1]


if TYPE_CHECKING:  # what the checker must refuse: an ignore that is not needed is an error in strict mode
    tn.zeros(2, out=tn.ones(2))  # type: ignore[arg-type]
    tn.zeros(2, colour=1)  # type: ignore[call-arg]
    tn.ones(2) + "a"  # type: ignore[operator]
    tn.ones(2) @ 3  # type: ignore[operator]
    tn.ones(2) + 1j  # type: ignore[operator]
    tn.ones(2).max((0, 1))  # type: ignore[call-overload]
    tn.ones(2).reshape(2.0)  # type: ignore[arg-type]
    tn.ones(2).shape = (1, 2)  # type: ignore[misc]
    _ = tn.ones(2).nonsense  # type: ignore[attr-defined]
    tn.from_numpy([1.0])  # type: ignore[arg-type]
    apply(3, tn.ones(2))  # type: ignore[arg-type]
    tn.set_num_threads("2")  # type: ignore[arg-type]
    tn.set_conv_algorithm("fft")  # type: ignore[arg-type]
    tn.ones(2).backward(retain=True)  # type: ignore[call-arg]
    tn.autograd.grad(tn.ones(2), 3)  # type: ignore[call-overload]
    tn.ones(2).register_hook(3)  # type: ignore[arg-type]
    tn.set_grad_enabled("on")  # type: ignore[arg-type]
    _ = tn.ones(2)["a", {}]  # type: ignore[index]
