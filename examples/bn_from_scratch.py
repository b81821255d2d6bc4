"""Batch normalisation in plain NumPy: the paper's small network, trained by gradients written out by hand.

784 - 100 - 100 - 100 - 10 units, each hidden layer z = sigmoid(BN(W u)) (Ioffe, Szegedy 2015, section 4.1).
Every equation stands beside the line that computes it; m is the number of examples in a mini-batch, and sums
over i run over them.  At the end tinynet's autograd computes the same gradients, in float64; the exit code is
0 if the largest relative difference is at most 1e-6.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import tinynet as tn
import tinynet.nn.functional as F
from tinynet.data import load
from tinynet.errors import DataError

EPS = 1e-5  # inside the root, so that a constant unit (variance 0) stays finite; the paper gives no value
Array = np.ndarray[Any, Any]


def initial_parameters(rng: np.random.Generator, std: float = 0.1) -> list[Array]:
    """Return [W1, gamma1, beta1, W2, gamma2, beta2, W3, gamma3, beta3, W4, b4]; W is (outputs, inputs)."""
    parameters: list[Array] = []
    for inputs in (784, 100, 100):
        # No bias: BN subtracts the mean and with it any constant; beta takes the bias's place (section 3.2).
        parameters += [rng.normal(0, std, (100, inputs)), np.ones(100), np.zeros(100)]
    return [*parameters, rng.normal(0, std, (10, 100)), np.zeros(10)]


def forward(parameters: list[Array], x: Array, population: Array | None = None) -> tuple[Array, Any, Any]:
    """Return the scores (m, 10), what the backward pass needs, and each layer's (mean, variance).

    Without `population` the batch is normalised by its own mean and variance (training, Algorithm 1); with it
    by the given ones (inference, Algorithm 2): the result for one example then depends on no other.
    """
    u, saved, statistics = x, [], []  # u: (m, 784)
    for layer in range(3):
        w, gamma, beta = parameters[3 * layer : 3 * layer + 3]
        a = u @ w.T  # (m, 100)
        if population is None:
            mean = a.mean(axis=0)  # mu = 1/m sum_i a_i                          (100,)
            var = ((a - mean) ** 2).mean(axis=0)  # sigma^2 = 1/m sum_i (a_i - mu)^2    (100,)
        else:
            mean, var = population[layer]
        rstd = 1 / np.sqrt(var + EPS)
        ah = (a - mean) * rstd  # ah_i = (a_i - mu) / sqrt(sigma^2 + eps)
        y = gamma * ah + beta  # y_i = gamma ah_i + beta
        z = 0.5 * (1 + np.tanh(y / 2))  # z = sigmoid(y) = 1 / (1 + exp(-y)), in a form that cannot overflow
        saved.append((u, ah, rstd, z))
        statistics.append((mean, var))
        u = z
    return u @ parameters[9].T + parameters[10], saved, statistics


def loss_and_gradients(parameters: list[Array], x: Array, labels: Array) -> tuple[float, list[Array]]:
    """Return the mean cross-entropy of a batch and its gradient with respect to every parameter."""
    m = len(x)
    scores, saved, _ = forward(parameters, x)
    # log p = log softmax(scores); a shift of all scores changes nothing, but keeps exp from overflowing
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(m), labels].mean()  # l = -1/m sum_i log p_i[label_i]
    g = np.exp(log_p)  # dl/dscores = (p - onehot(label)) / m    (m, 10)
    g[np.arange(m), labels] -= 1
    g /= m
    # scores = z W^T + b:   dl/dW = g^T z,   dl/db = sum_i g_i,   dl/dz = g W
    gradients = [g.T @ saved[2][3], g.sum(axis=0)]
    g = g @ parameters[9]  # (m, 100)
    for layer in (2, 1, 0):
        w, gamma, _ = parameters[3 * layer : 3 * layer + 3]
        u, ah, rstd, z = saved[layer]
        g = g * z * (1 - z)  # z = sigmoid(y):   dl/dy = dl/dz z (1 - z)
        # y_i = gamma ah_i + beta:   dl/dbeta = sum_i dl/dy_i,   dl/dgamma = sum_i dl/dy_i ah_i
        gbeta = g.sum(axis=0)
        ggamma = (g * ah).sum(axis=0)
        # mu and sigma^2 depend on every a_i, so the gradient also runs through them.  The chain rule of the
        # paper's section 3, collected:
        #   dl/da_i = gamma / (m sqrt(sigma^2 + eps)) (m dl/dy_i - sum_j dl/dy_j - ah_i sum_j dl/dy_j ah_j)
        g = gamma * rstd / m * (m * g - gbeta - ah * ggamma)
        # a = u W^T:   dl/dW = g^T u,   dl/du = g W, which is dl/dz of the layer below
        gradients = [g.T @ u, ggamma, gbeta, *gradients]
        g = g @ w
    return float(loss), gradients


def framework_gradients(parameters: list[Array], x: Array, labels: Array) -> tuple[float, list[Array]]:
    """Return the loss and the gradients of the same network as tinynet's autograd computes them."""
    tensors = [tn.tensor(parameter, requires_grad=True) for parameter in parameters]
    u = tn.tensor(x)
    for layer in range(3):
        w, gamma, beta = tensors[3 * layer : 3 * layer + 3]
        u = F.sigmoid(F.batch_norm(F.linear(u, w), None, None, gamma, beta, training=True, eps=EPS))
    loss = F.cross_entropy(F.linear(u, tensors[9], tensors[10]), tn.tensor(labels))
    loss.backward()
    return loss.item(), [tensor.grad.numpy() for tensor in tensors if tensor.grad is not None]


def main() -> int:
    """Train, test, compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="100 steps on digits instead of 500 on MNIST")
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    options = parser.parse_args()
    steps, name = (100, "digits") if options.smoke else (500, "mnist")
    try:
        training = load(name, True, offline=options.offline)  # warns where Digits stand in
        test = load(training.name, False, offline=True)
    except DataError as error:
        sys.exit(f"error: {error}")
    images, rng = training.flat(binary_threshold=0.5), np.random.default_rng(0)  # images: (N, 784) of 0 and 1

    def batch() -> tuple[Array, Array]:
        rows = rng.integers(len(images), size=60)
        return images[rows].astype(np.float64), training.labels[rows]

    parameters = initial_parameters(rng)
    for step in range(1, steps + 1):
        loss, gradients = loss_and_gradients(parameters, *batch())
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 0.1 * gradient  # plain SGD
        if step % (steps // 5) == 0:
            print(f"step {step:4d}: loss {loss:.3f}", flush=True)

    # Algorithm 2: E[a] = mean over batches of mu,   Var[a] = m / (m - 1) times their mean of sigma^2
    every = np.array([forward(parameters, batch()[0])[2] for _ in range(50)])  # (batches, layers, 2, 100)
    population = every.mean(axis=0) * [[1], [60 / 59]]  # (layers, 2, 100)
    scores, _, _ = forward(parameters, test.flat(binary_threshold=0.5), population)
    print(f"test accuracy on {training.name}: {(scores.argmax(axis=1) == test.labels).mean():.3f}")

    x, labels = batch()
    (loss, ours), (other, theirs) = (
        f(parameters, x, labels) for f in (loss_and_gradients, framework_gradients)
    )
    pairs = zip([np.array(loss), *ours], [np.array(other), *theirs], strict=True)
    apart = np.max([np.max(abs(a - b)) / np.max(abs(b)) for a, b in pairs])  # nan if one is nan
    print(f"largest relative difference of loss and gradients from tinynet's: {apart:.1e}")
    return 0 if apart <= 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
