"""The convolutional networks beside the same networks in PyTorch (parity_models.py), weights copied."""

from __future__ import annotations

import numpy as np
import pytest
from models_running import values

import tinynet as tn
from tinynet import models

pytestmark = pytest.mark.parity


def shake(theirs, seed):
    """Move what starts at 0 or 1 (normalisations, biases) away from it."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def copy_weights(theirs, ours):
    """Copy PyTorch's state into ours: names differ, order and shapes do not."""
    source, names = list(theirs.state_dict().values()), list(ours.state_dict())
    assert [tuple(t.shape) for t in source] == [t.shape for t in ours.state_dict().values()]
    ours.load_state_dict({name: t.numpy() for name, t in zip(names, source, strict=True)})


def batch(count, channels, size, classes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, channels, size, size)).astype(dtype)
    return x, rng.integers(0, classes, count)


def our_step(model, x, labels):
    """(logits, loss, gradients of all parameters and last of the input)."""
    images = tn.tensor(x, requires_grad=True)
    logits = model(images)
    loss = tn.nn.CrossEntropyLoss()(logits, tn.tensor(labels))
    loss.backward()
    return values(logits), loss.item(), [values(p.grad) for p in (*model.parameters(), images)]


def their_step(model, x, labels):
    import torch

    images = torch.tensor(x, requires_grad=True)
    logits = model(images)
    loss = torch.nn.CrossEntropyLoss()(logits, torch.tensor(labels))
    loss.backward()
    gradients = [p.grad.numpy() for p in (*model.parameters(), images)]
    return logits.detach().numpy(), loss.item(), gradients


def assert_equal_steps(ours, theirs, x, labels, seed=0):
    """Float64: forward, running statistics, and gradients within 1e-8 of max(|g|, 1e-3 max |all g|)."""
    theirs = theirs.double()
    shake(theirs, seed)
    copy_weights(theirs, ours)
    logits, loss, gradients = our_step(ours, x, labels)
    their_logits, their_loss, their_gradients = their_step(theirs, x, labels)
    np.testing.assert_allclose(logits, their_logits, rtol=1e-9, atol=1e-10 * abs(their_logits).max())
    assert loss == pytest.approx(their_loss, rel=1e-10)
    largest = max(abs(g).max() for g in their_gradients[:-1])
    worst = 0.0
    for g, t in zip(gradients, their_gradients, strict=True):
        floor = 1e-3 * (abs(t).max() if t is their_gradients[-1] else largest)
        assert g.shape == t.shape
        worst = max(worst, (abs(g - t) / np.maximum(abs(t), floor)).max())
    print(f"largest difference of a gradient: {worst:.1e}")
    assert worst <= 1e-8
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(values(a), b.numpy(), rtol=1e-10, atol=1e-12)
    ours.eval(), theirs.eval()
    with tn.no_grad():
        evaluated = values(ours(tn.tensor(x)))
    theirs.requires_grad_(False)
    import torch

    expected = theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(evaluated, expected, rtol=1e-9, atol=1e-10 * abs(expected).max())


def switches(torch_options, **ours):
    return pytest.param(ours, torch_options, id="-".join(map(str, ours.values())) or "default")


def test_bn_inception():
    import parity_models as reference
    import torch

    # The last modules normalise over 8 values a channel, some of tiny variance, which magnifies rounding: on
    # some seeds PyTorch's own gradients differ by 6e-9 between its two memory formats.  On this one, by 1e-9.
    torch.manual_seed(7)
    ours = models.bn_inception(1000, dtype=np.float64)
    assert_equal_steps(ours, reference.bn_inception(), *batch(2, 3, 64, 1000, np.float64, seed=7), seed=7)


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        switches({"plain": True}, stem="plain"),
        switches({"bn": False, "lrn": True}, batch_norm=False, lrn=True),
        switches({"act": "Sigmoid"}, activation="sigmoid"),
    ],
)
def test_bn_inception_with_switches(options, theirs):
    import parity_models as reference
    import torch

    torch.manual_seed(1)
    named = {k: getattr(torch.nn, v) if k == "act" else v for k, v in theirs.items()}
    ours = models.bn_inception(10, dtype=np.float64, **options)
    assert_equal_steps(ours, reference.bn_inception(10, **named), *batch(2, 3, 64, 10, np.float64))


def test_bn_inception_float32():
    """A step at full size: PyTorch's float64 is the reference, its float32 the yardstick."""
    import parity_models as reference
    import torch

    torch.manual_seed(0)
    single = reference.bn_inception()
    double = reference.bn_inception().double()
    double.load_state_dict(single.state_dict())
    ours = models.bn_inception()
    copy_weights(single, ours)
    x, labels = batch(4, 3, 224, 1000, np.float32)
    _, exact_loss, exact = their_step(double, x.astype(np.float64), labels)
    _, their_loss, theirs = their_step(single, x, labels)
    _, our_loss, mine = our_step(ours, x, labels)

    def error(gradients):
        pairs = list(zip(gradients, exact, strict=True))[:-1]
        return np.sqrt(sum(((g - t) ** 2).sum() for g, t in pairs) / sum((t**2).sum() for _, t in pairs))

    print(f"loss {our_loss - exact_loss:+.1e} (PyTorch {their_loss - exact_loss:+.1e})")
    print(f"gradients {error(mine):.2e} (PyTorch {error(theirs):.2e})")
    assert abs(our_loss - exact_loss) <= 1e-4
    assert error(mine) <= 2 * error(theirs)


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        switches({}),
        switches({"bn": False, "lrn": True}, batch_norm=False, lrn=True),
        switches({"act": "Sigmoid"}, activation="sigmoid"),
        switches({"act": "Sigmoid", "bn": False}, activation="sigmoid", batch_norm=False),
    ],
)
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_bn_inception_small(options, theirs, channels, size):
    import parity_models as reference
    import torch

    torch.manual_seed(2)
    named = {k: getattr(torch.nn, v) if k == "act" else v for k, v in theirs.items()}
    ours = models.bn_inception_small(10, channels, dtype=np.float64, **options)
    other = reference.bn_inception_small(10, channels, **named)
    assert_equal_steps(ours, other, *batch(3, channels, size, 10, np.float64))


@pytest.mark.parametrize("where", ["all", "last", "none"])
@pytest.mark.parametrize(("shortcut", "option"), [("pad", "A"), ("projection", "B")])
def test_resnet(where, shortcut, option):
    import parity_models as reference
    import torch

    torch.manual_seed(3)
    ours = models.resnet(20, batch_norm=where, shortcut=shortcut, dtype=np.float64)
    other = reference.resnet(20, bn=where, option=option)
    assert_equal_steps(ours, other, *batch(3, 3, 32, 10, np.float64))


def test_lenet():
    import parity_models as reference
    import torch

    torch.manual_seed(4)
    assert_equal_steps(models.lenet(dtype=np.float64), reference.lenet(), *batch(5, 1, 28, 10, np.float64))


@pytest.mark.parametrize("name", ["bn_inception_small", "resnet20"])
def test_training_is_the_same(name):
    """The recipe of examples/cifar10.py from equal weights on equal batches: losses agree step by step.

    In float64, since a difference in the last bit doubles every step or two while the rate is high.
    """
    import parity_models as reference
    import torch

    torch.manual_seed(5)
    if name == "resnet20":
        ours, theirs = models.resnet(20, dtype=np.float64), reference.resnet(20)
    else:
        ours, theirs = models.bn_inception_small(10, dtype=np.float64), reference.bn_inception_small(10)
    theirs = theirs.double()
    copy_weights(theirs, ours)
    rate, momentum, decay, steps = 0.1, 0.9, 5e-4, 10
    optimizers = (
        tn.optim.SGD(ours.parameters(), rate, momentum, weight_decay=decay),
        torch.optim.SGD(theirs.parameters(), rate, momentum, weight_decay=decay),
    )
    schedules = (
        tn.optim.lr_scheduler.CosineAnnealingLR(optimizers[0], steps),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[1], steps),
    )
    losses = []
    for step in range(steps):
        x, labels = batch(6, 3, 32, 10, np.float64, seed=step)
        for library, model, optimizer, schedule in zip(
            (tn, torch), (ours, theirs), optimizers, schedules, strict=True
        ):
            loss = library.nn.CrossEntropyLoss()(model(library.tensor(x)), library.tensor(labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[0::2], losses[1::2], rtol=1e-8)
    assert max(losses) > 1.5 * min(losses)  # the networks move
