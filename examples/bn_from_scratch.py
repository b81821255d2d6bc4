"""Batch normalisation in plain NumPy: the paper's small network, trained by gradients written out by hand.

784 - 100 - 100 - 100 - 10, each hidden layer z = sigmoid(BN(W u)) (Ioffe, Szegedy 2015).  Every equation
stands where it is computed; m is the number of examples in a mini-batch B.  At the end the same gradients are
computed by tinynet's autograd, in float64, and compared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

EPS = 1e-5  # inside the root, so that a constant unit (variance 0) stays finite; the paper gives no value
TOLERANCE = 1e-6  # for the largest relative difference of a gradient from tinynet's
Arrays = list[np.ndarray]


def initial_parameters(rng: np.random.Generator, std: float = 0.1) -> Arrays:
    """Return [W1, gamma1, beta1, W2, gamma2, beta2, W3, gamma3, beta3, W4, b4]; W is (outputs, inputs)."""
    parameters: Arrays = []
    for inputs in (784, 100, 100):
        # No bias: BN subtracts the mean, and any constant with it; beta takes its place (section 3.2).
        parameters += [rng.normal(0, std, (100, inputs)), np.ones(100), np.zeros(100)]
    return [*parameters, rng.normal(0, std, (10, 100)), np.zeros(10)]


def forward(parameters: Arrays, x: np.ndarray, population: list[Arrays] | None = None):
    """Return the scores (m, 10), what the backward pass needs, and mean and variance of each layer's batch.

    Without `population` the batch is normalised by itself (training, Algorithm 1); with it, by the given mean
    and variance of each layer (inference, Algorithm 2), and the result for one example no longer depends on
    the others.
    """
    u, saved, statistics = x, [], []  # u: (m, D)
    for layer in range(3):
        w, gamma, beta = parameters[3 * layer : 3 * layer + 3]
        a = u @ w.T  # (m, 100)
        if population is None:
            mean = a.mean(axis=0)  # mu_B = 1/m sum_i a_i                     (100,)
            var = ((a - mean) ** 2).mean(axis=0)  # sigma_B^2 = 1/m sum_i (a_i - mu_B)^2     (100,)
        else:
            mean, var = population[layer]
        rstd = 1 / np.sqrt(var + EPS)
        a_hat = (a - mean) * rstd  # a_hat_i = (a_i - mu_B) / sqrt(sigma_B^2 + eps)
        y = gamma * a_hat + beta  # y_i = gamma a_hat_i + beta
        z = 0.5 * (1 + np.tanh(y / 2))  # sigmoid(y) = 1 / (1 + exp(-y)), in a form that cannot overflow
        saved.append((u, a_hat, rstd, z))
        statistics.append([mean, var])
        u = z
    return u @ parameters[9].T + parameters[10], saved, statistics


def loss_and_gradients(parameters: Arrays, x: np.ndarray, labels: np.ndarray) -> tuple[float, Arrays]:
    """Return the mean cross-entropy of a batch and its gradient with respect to every parameter."""
    m = len(x)
    scores, saved, _ = forward(parameters, x)
    shifted = scores - scores.max(axis=1, keepdims=True)  # softmax does not change, exp cannot overflow
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # log softmax
    loss = -log_p[np.arange(m), labels].mean()  # l = -1/m sum_i log p_i[label_i]
    g = np.exp(log_p)
    g[np.arange(m), labels] -= 1
    g /= m  # dl/dscores = (p - onehot) / m                (m, 10)
    gradients = [g.T @ saved[2][3], g.sum(axis=0)]  # scores = z W^T + b: dl/dW = g^T z, dl/db = sum_i g_i
    g = g @ parameters[9]  # dl/dz = g W                                (m, 100)
    for layer in (2, 1, 0):
        w, gamma, _ = parameters[3 * layer : 3 * layer + 3]
        u, a_hat, rstd, z = saved[layer]
        g = g * z * (1 - z)  # dl/dy, since sigmoid' = z (1 - z)
        gbeta = g.sum(axis=0)  # dl/dbeta = sum_i dl/dy_i
        ggamma = (g * a_hat).sum(axis=0)  # dl/dgamma = sum_i dl/dy_i a_hat_i
        # mu_B and sigma_B^2 depend on every a_i, so the gradient runs through them as well.  The paper's
        # chain rule (section 3), collected: dl/da_i = gamma / (m sqrt(sigma_B^2 + eps)) (m dl/dy_i - sum_j
        # dl/dy_j - a_hat_i sum_j dl/dy_j a_hat_j)
        g = gamma * rstd / m * (m * g - gbeta - a_hat * ggamma)
        gradients = [g.T @ u, ggamma, gbeta, *gradients]  # a = u W^T: dl/dW = g^T u
        g = g @ w  # dl/du, the dl/dz of the layer below
    return float(loss), gradients


def population_statistics(parameters: Arrays, batches: Arrays) -> list[Arrays]:
    """Algorithm 2: E[a] = mean over batches of mu_B; Var[a] = m/(m-1) times the mean of sigma_B^2."""
    m = len(batches[0])
    every = [forward(parameters, x)[2] for x in batches]
    mean, var = (
        np.mean([[layer[k] for layer in batch] for batch in every], axis=0) for k in (0, 1)
    )  # (3, 100)
    return [[mean[layer], m / (m - 1) * var[layer]] for layer in range(3)]


def framework_gradients(parameters: Arrays, x: np.ndarray, labels: np.ndarray) -> tuple[float, Arrays]:
    """Return the loss and the gradients of the same network as tinynet computes them."""
    import tinynet as tn
    import tinynet.nn.functional as F

    tensors = [tn.tensor(parameter, requires_grad=True) for parameter in parameters]
    u = tn.tensor(x)
    for layer in range(3):
        w, gamma, beta = tensors[3 * layer : 3 * layer + 3]
        u = F.sigmoid(F.batch_norm(F.linear(u, w), None, None, gamma, beta, training=True, eps=EPS))
    loss = F.cross_entropy(F.linear(u, tensors[9], tensors[10]), tn.tensor(labels))
    loss.backward()
    return loss.item(), [tensor.grad.numpy() for tensor in tensors]


def main(arguments: list[str] | None = None) -> int:
    """Train, test, compare; return the exit code, 0 if the gradients agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=500, help="training steps of 60 examples (default 500)")
    parser.add_argument(
        "--smoke", action="store_true", help="a trial of seconds: 100 steps on scikit-learn's digits"
    )
    parser.add_argument("--dataset", choices=("mnist", "fashion-mnist", "digits"), default="mnist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder to look in for the data set")
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write the result to DIR/bn_from_scratch.json"
    )
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"argument --steps: must be at least 1; got {options.steps}")
    steps, name = (100, "digits") if options.smoke else (options.steps, options.dataset)
    print("Batch normalisation from scratch, in NumPy", flush=True)

    from tinynet.data import load

    training = load(name, True, options.data, offline=options.offline)  # warns where Digits stand in
    test = load(training.name, False, options.data, offline=True)
    images, labels = training.flat(0.5), training.labels  # (N, 784) of 0 and 1; (N,)
    rng = np.random.default_rng(0)
    parameters = initial_parameters(rng)
    for step in range(1, steps + 1):
        batch = rng.integers(len(images), size=60)
        loss, gradients = loss_and_gradients(parameters, images[batch].astype(np.float64), labels[batch])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 0.1 * gradient  # plain SGD
        if step % max(1, steps // 5) == 0:
            print(f"step {step:4d}: loss {loss:.3f}", flush=True)

    batches = [images[rng.integers(len(images), size=60)].astype(np.float64) for _ in range(50)]
    scores, _, _ = forward(parameters, test.flat(0.5), population_statistics(parameters, batches))
    accuracy = float((scores.argmax(axis=1) == test.labels).mean())
    print(f"test accuracy on {training.name}, with population statistics: {accuracy:.3f}")

    x, y = batches[0], labels[:60]  # any labels will do
    mine, theirs = loss_and_gradients(parameters, x, y), framework_gradients(parameters, x, y)
    worst = max(abs(a - b).max() / abs(b).max() for a, b in zip(mine[1], theirs[1], strict=True))
    worst = max(float(worst), abs(mine[0] - theirs[0]) / abs(theirs[0]))
    agree = worst <= TOLERANCE
    print(f"largest relative difference from tinynet's loss and gradients: {worst:.1e}", end=" ")
    print(f"({'at most' if agree else 'MORE THAN'} {TOLERANCE:g})")
    if options.out is not None:
        from tinynet.experiments import Claim, write_json

        claim = Claim.at_most("gradients by hand agree with tinynet's", worst, TOLERANCE)
        options.out.mkdir(parents=True, exist_ok=True)
        result = {"dataset": training.name, "steps": steps, "accuracy": accuracy, "claims": [claim]}
        write_json(options.out / "bn_from_scratch.json", result)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
