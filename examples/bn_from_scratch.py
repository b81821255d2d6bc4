"""Batch normalisation in plain NumPy: the paper's small network, trained by gradients written out by hand.

784 - 100 - 100 - 100 - 10 units, each hidden layer z = sigmoid(BN(W u)) (Ioffe, Szegedy 2015, section 4.1).
Every equation stands above the line that computes it; m is the number of examples in a mini-batch B, and sums
over i run over them.  At the end tinynet's autograd computes the same gradients, in float64, and both are
compared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

EPS = 1e-5  # inside the root, so that a constant unit (variance 0) stays finite; the paper gives no value
LEARNING_RATE = 0.1
TOLERANCE = 1e-6  # for the largest relative difference between the gradients by hand and tinynet's
Array = np.ndarray[Any, Any]


def initial_parameters(rng: np.random.Generator, std: float = 0.1) -> list[Array]:
    """Return [W1, gamma1, beta1, W2, gamma2, beta2, W3, gamma3, beta3, W4, b4]; W is (outputs, inputs)."""
    parameters: list[Array] = []
    for inputs in (784, 100, 100):
        # No bias: BN subtracts the mean and with it any constant; beta takes the bias's place (section 3.2).
        parameters += [rng.normal(0, std, (100, inputs)), np.ones(100), np.zeros(100)]
    return [*parameters, rng.normal(0, std, (10, 100)), np.zeros(10)]


def forward(parameters: list[Array], x: Array, population: Any = None) -> tuple[Array, Any, Any]:
    """Return the scores (m, 10), what the backward pass needs, and each layer's (mean, variance).

    Without `population` the batch is normalised by its own mean and variance (training, Algorithm 1); with it
    by the given ones (inference, Algorithm 2): the result for one example then depends on no other.
    """
    u, saved, statistics = x, [], []  # u: (m, 784)
    for layer in range(3):
        w, gamma, beta = parameters[3 * layer : 3 * layer + 3]
        a = u @ w.T  # (m, 100)
        if population is None:
            mean = a.mean(axis=0)  # mu = 1/m sum_i a_i                     (100,)
            var = ((a - mean) ** 2).mean(axis=0)  # sigma^2 = 1/m sum_i (a_i - mu)^2     (100,)
        else:
            mean, var = population[layer]
        # ah_i = (a_i - mu) / sqrt(sigma^2 + eps)
        rstd = 1 / np.sqrt(var + EPS)
        ah = (a - mean) * rstd
        # y_i = gamma ah_i + beta
        y = gamma * ah + beta
        # z = sigmoid(y) = 1 / (1 + exp(-y)), in a form that cannot overflow
        z = 0.5 * (1 + np.tanh(y / 2))
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
    # l = -1/m sum_i log p_i[label_i]
    loss = -log_p[np.arange(m), labels].mean()
    # dl/dscores = (p - onehot(label)) / m
    g = np.exp(log_p)  # (m, 10)
    g[np.arange(m), labels] -= 1
    g /= m
    # scores = z W^T + b:   dl/dW = g^T z,   dl/db = sum_i g_i,   dl/dz = g W
    gradients = [g.T @ saved[2][3], g.sum(axis=0)]
    g = g @ parameters[9]  # (m, 100)
    for layer in (2, 1, 0):
        w, gamma, _ = parameters[3 * layer : 3 * layer + 3]
        u, ah, rstd, z = saved[layer]
        # z = sigmoid(y):   dl/dy = dl/dz z (1 - z)
        g = g * z * (1 - z)
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


def population_statistics(parameters: list[Array], batches: list[Array]) -> list[tuple[Array, Array]]:
    """Return (E[a], Var[a]) of each layer over several batches of m examples (Algorithm 2)."""
    m = len(batches[0])
    every = np.array([forward(parameters, x)[2] for x in batches])  # (batches, layers, 2, 100)
    mean, var = every.mean(axis=0).swapaxes(0, 1)  # (layers, 100) each
    # E[a] = mean over batches of mu,   Var[a] = m / (m - 1) times the mean over batches of sigma^2
    return list(zip(mean, m / (m - 1) * var, strict=True))


def framework_gradients(parameters: list[Array], x: Array, labels: Array) -> tuple[float, list[Array]]:
    """Return the loss and the gradients of the same network as tinynet's autograd computes them."""
    import tinynet as tn
    import tinynet.nn.functional as F

    tensors = [tn.tensor(parameter, requires_grad=True) for parameter in parameters]
    u = tn.tensor(x)
    for layer in range(3):
        w, gamma, beta = tensors[3 * layer : 3 * layer + 3]
        u = F.sigmoid(F.batch_norm(F.linear(u, w), None, None, gamma, beta, training=True, eps=EPS))
    loss = F.cross_entropy(F.linear(u, tensors[9], tensors[10]), tn.tensor(labels))
    loss.backward()
    return loss.item(), [tensor.grad.numpy() for tensor in tensors if tensor.grad is not None]


def run(options: argparse.Namespace) -> int:
    """Train, test, compare; return the exit code, 0 if the gradients agree."""
    from tinynet.data import load
    from tinynet.experiments import Claim, claims_table, write_json

    steps, name = (100, "digits") if options.smoke else (options.steps, options.dataset)
    training = load(name, True, options.data, offline=options.offline)  # warns where Digits stand in
    test = load(training.name, False, options.data, offline=True)
    images = training.flat(binary_threshold=0.5)  # (N, 784) of 0 and 1
    rng = np.random.default_rng(0)

    def batch() -> tuple[Array, Array]:
        rows = rng.integers(len(images), size=60)
        return images[rows].astype(np.float64), training.labels[rows]

    parameters = initial_parameters(rng)
    for step in range(1, steps + 1):
        loss, gradients = loss_and_gradients(parameters, *batch())
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= LEARNING_RATE * gradient
        if step % max(1, steps // 5) == 0:
            print(f"step {step:4d}: loss {loss:.3f}", flush=True)
    statistics = population_statistics(parameters, [batch()[0] for _ in range(50)])
    scores, _, _ = forward(parameters, test.flat(binary_threshold=0.5), statistics)
    accuracy = float((scores.argmax(axis=1) == test.labels).mean())
    print(f"test accuracy on {training.name}, with population statistics: {accuracy:.3f}\n")

    x, labels = batch()
    loss, gradients = loss_and_gradients(parameters, x, labels)
    other_loss, others = framework_gradients(parameters, x, labels)
    apart = [abs(g - other).max() / abs(other).max() for g, other in zip(gradients, others, strict=True)]
    worst = float(np.max([abs(loss - other_loss) / abs(other_loss), *apart]))  # nan if one is nan
    claim = Claim.at_most(
        "largest relative difference of loss and gradients from tinynet's", worst, TOLERANCE
    )
    print(claims_table([claim]))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        result = {"dataset": training.name, "steps": steps, "accuracy": accuracy, "claims": [claim]}
        write_json(options.out / "bn_from_scratch.json", result)
    return 0 if claim.holds else 1


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--steps", type=int, default=500, help="training steps of 60 examples (default 500)")
    add("--smoke", action="store_true", help="a trial of seconds: 100 steps on scikit-learn's digits")
    add("--dataset", choices=("mnist", "fashion-mnist", "digits"), default="mnist", help="(default mnist)")
    add("--data", type=Path, metavar="DIR", help="folder to look in for the data set")
    add("--offline", action="store_true", help="never touch the network")
    add("--out", type=Path, metavar="DIR", help="also write the result to DIR/bn_from_scratch.json")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"argument --steps: must be at least 1; got {options.steps}")
    print("Batch normalisation from scratch, in NumPy", flush=True)
    from tinynet.errors import TinynetError

    try:
        return run(options)
    except (TinynetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
