"""JAX's side: the same training step in plain jax.numpy and lax, in JAX's best mode for it.

The whole step is one jitted function: forward with batch statistics, running statistics, mean cross-entropy,
backward, SGD with momentum; what it replaces (parameters, momentum, running statistics) is donated.  Images
are NHWC and filters HWIO, which XLA's convolutions for CPUs like best.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.architectures import (
    Activation,
    Architecture,
    Arrays,
    Branches,
    Chain,
    Conv,
    GlobalAverage,
    Linear,
    Norm,
    Pool,
    batch,
    walk,
    weights,
)
from benchmarks.networks import LR, MOMENTUM
from benchmarks.report import BenchmarkError

EPS, RUNNING = 1e-5, 0.1  # of batch normalisation: in the root; the share of a batch in running statistics


class JaxTrainer:
    """Parameters, momentum and running statistics of one network, and the jitted step."""

    def __init__(self, architecture: Architecture, count: int) -> None:
        import jax
        import jax.numpy as jnp

        self._jax = jax
        arrays = weights(architecture)
        data = batch(architecture, count)
        x = data.x.transpose(0, 2, 3, 1) if data.x.ndim == 4 else data.x
        self._x, self._y = jnp.asarray(np.ascontiguousarray(x)), jnp.asarray(data.y.astype(np.int32))
        self._parameters = [jnp.asarray(_jax_order(array)) for array in arrays]
        self._momentum = [jnp.zeros_like(each) for each in self._parameters]
        norms = (each for each, _, _ in walk(architecture.layers, architecture.shape))
        self._running = [
            (jnp.zeros(each.features), jnp.ones(each.features)) for each in norms if isinstance(each, Norm)
        ]

        def loss(parameters: list[Any], running: list[Any], x: Any, y: Any) -> Any:
            state = State(iter(parameters), iter(running))
            scores = forward(architecture.layers, x, state)  # (N, K)
            chosen = jnp.take_along_axis(scores, y[:, None], 1)[:, 0]
            return jnp.mean(jax.nn.logsumexp(scores, axis=1) - chosen), state.updated

        loss_and_gradients = jax.value_and_grad(loss, has_aux=True)

        def step(parameters: list[Any], momentum: list[Any], running: list[Any], x: Any, y: Any) -> Any:
            (value, running), gradients = loss_and_gradients(parameters, running, x, y)
            momentum = [MOMENTUM * v + g for v, g in zip(momentum, gradients, strict=True)]
            parameters = [w - LR * v for w, v in zip(parameters, momentum, strict=True)]
            return parameters, momentum, running, value

        self._step = jax.jit(step, donate_argnums=(0, 1, 2))

    def step(self) -> Any:
        """Start one update; what it returns, the loss, is not necessarily there yet."""
        self._parameters, self._momentum, self._running, loss = self._step(
            self._parameters, self._momentum, self._running, self._x, self._y
        )
        return loss

    def finish(self) -> None:
        """Wait until all that was started is done."""
        self._jax.block_until_ready(self._parameters)  # type: ignore[no-untyped-call]

    def check(self) -> tuple[float, Arrays]:
        """Loss and gradients in the order and layout of `architectures.weights`; call it before any step.

        The first update says both, since momentum begins at zero: nothing else has to be compiled.
        """
        loss = float(self.step())
        return loss, [_torch_order(np.asarray(each)) for each in self._momentum]


class State:
    """The parameters and running statistics that are still to be used, and the new running statistics."""

    def __init__(self, parameters: Iterator[Any], running: Iterator[Any]) -> None:
        self.parameters, self.running = parameters, running
        self.updated: list[Any] = []


def forward(layers: Chain, x: Any, state: State) -> Any:
    """The output of the chain in training mode."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    take = state.parameters.__next__
    for layer in layers:
        match layer:
            case Linear():
                x = x @ take()
                x = x + take() if layer.bias else x
            case Conv():
                x = lax.conv_general_dilated(
                    x,
                    take(),
                    (layer.stride, layer.stride),
                    [(layer.padding, layer.padding)] * 2,
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                    feature_group_count=layer.groups,
                )
                x = x + take() if layer.bias else x
            case Norm():
                axes = tuple(range(x.ndim - 1))
                mean, var = x.mean(axes), x.var(axes)
                gamma, beta = take(), take()
                count = x.size // x.shape[-1]
                former_mean, former_var = next(state.running)
                state.updated.append(
                    (
                        (1 - RUNNING) * former_mean + RUNNING * mean,
                        (1 - RUNNING) * former_var + RUNNING * var * (count / (count - 1)),
                    )
                )
                x = (x - mean) * (gamma * lax.rsqrt(var + EPS)) + beta
            case Activation("relu"):
                x = jax.nn.relu(x)
            case Activation():
                x = jax.nn.sigmoid(x)
            case Pool(_, kernel, stride, padding, False):
                window, strides = (1, kernel, kernel, 1), (1, stride, stride, 1)
                margins = ((0, 0), (padding, padding), (padding, padding), (0, 0))
                if layer.kind == "max":
                    x = lax.reduce_window(x, -jnp.inf, lax.max, window, strides, margins)
                else:
                    x = lax.reduce_window(x, 0.0, lax.add, window, strides, margins) / kernel**2
            case GlobalAverage():
                x = x.mean((1, 2))
            case Branches(branches):
                x = jnp.concatenate([forward(branch, x, state) for branch in branches], -1)
            case _:
                raise BenchmarkError(f"jax: layers must be those written here; got {layer}")
    return x


def _jax_order(array: Any) -> Any:
    """(K, C, R, S) to (R, S, C, K), (K, D) to (D, K)."""
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T)


def _torch_order(array: Any) -> Any:
    """Back."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)
