"""Forward hooks: what they see, what they replace, in which order, and how they go."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import DTypeError


def values(tensor):
    return tensor.detach().numpy()


class Affine(nn.Module):
    def forward(self, x):
        return x * 2 + 1


def test_forward_hooks_see_and_replace():
    relu = nn.ReLU()
    x = tn.tensor([-1.0, 2.0])
    seen = []
    before = relu.register_forward_pre_hook(lambda m, args: seen.append((m, args[0].tolist())))
    after = relu.register_forward_hook(lambda m, args, output: seen.append(output.tolist()))
    relu(x)
    assert seen == [(relu, [-1, 2]), [0, 2]]
    before.remove()
    before.remove()
    after.remove()
    relu(x)
    assert len(seen) == 2
    with relu.register_forward_pre_hook(lambda module, args: args[0] * -1):
        assert values(relu(x)).tolist() == [1, 0]
    with relu.register_forward_hook(lambda module, args, output: output + 10):
        assert values(relu(x)).tolist() == [10, 12]
    assert values(relu(x)).tolist() == [0, 2]


def test_hook_order_and_keywords():
    order = []
    net = Affine()
    x = tn.tensor(np.ones((2, 3), np.float32))
    net.register_forward_pre_hook(lambda m, a: order.append("second"))
    net.register_forward_pre_hook(lambda m, a: order.append("first"), prepend=True)
    net.register_forward_pre_hook(lambda m, a, k: order.append(sorted(k)), with_kwargs=True)
    net.register_forward_hook(lambda m, a, k, out: order.append(out.shape), with_kwargs=True)
    net(x=x)
    assert order == ["first", "second", ["x"], (2, 3)]
    with net.register_forward_pre_hook(lambda m, a, k: ((x,), {}), with_kwargs=True):
        assert net().shape == (2, 3)
    with (
        net.register_forward_pre_hook(lambda m, a, k: 1, with_kwargs=True),
        pytest.raises(DTypeError, match=r"a hook with_kwargs must return None or \(args, kwargs\); got int"),
    ):
        net(x)


def test_hook_must_be_callable():
    with pytest.raises(DTypeError, match="register_forward_hook: hook must be callable; got int"):
        nn.ReLU().register_forward_hook(3)


def test_a_copy_has_its_own_hooks():
    relu = nn.ReLU()
    seen = []
    handle = relu.register_forward_hook(lambda m, a, out: seen.append(m))
    twin = copy.deepcopy(relu)
    handle.remove()
    relu(tn.tensor([1.0]))
    twin(tn.tensor([1.0]))
    assert seen == [twin]
