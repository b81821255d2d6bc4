"""What the tests of the convolutional networks share."""

from __future__ import annotations

import numpy as np

import tinynet as tn


def values(tensor):
    return tensor.detach().numpy()


def images(*shape, dtype=np.float32):
    return tn.tensor(np.random.default_rng(0).normal(size=shape).astype(dtype))


def outputs(model, x):
    """The shape of every child's output, in the order of the calls."""
    shapes = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda _, args, y, name=name: shapes.__setitem__(name, y.shape))
    with tn.no_grad():
        model(x)
    return shapes


def losses(model, x, labels, lr, steps):
    """The losses of a few steps on one batch; every parameter must receive a gradient."""
    optimizer, found = tn.optim.SGD(model.parameters(), lr=lr, momentum=0.9), []
    for _ in range(steps):
        loss = tn.nn.CrossEntropyLoss()(model(x), labels)
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    return found
