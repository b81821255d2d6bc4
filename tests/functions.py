"""Leaves and `Function` classes in one line each."""

from __future__ import annotations

import tinynet as tn
from tinynet.autograd import Function


def leaf(*values, dtype="float32"):
    return tn.tensor(list(values), dtype=dtype, requires_grad=True)


def function(forward, backward=None, setup_context=None, name="Own"):
    """A class of Function with these methods."""
    methods = {"forward": forward, "backward": backward, "setup_context": setup_context}
    return type(name, (Function,), {k: staticmethod(f) for k, f in methods.items() if f is not None})


def counting(calls: list[str], name: str):
    """An identity that writes its name down when its backward runs, and for which arguments."""

    class Counting(Function):
        @staticmethod
        def forward(ctx, *xs):
            ctx.n = len(xs)
            return sum(x * 1 for x in xs)

        @staticmethod
        def backward(ctx, g):
            calls.append(name)
            return (g,) * ctx.n

    return Counting.apply


def halves(x):
    """2 x and 3 x, two outputs of one node."""
    return function(lambda ctx, x: (x * 2, x * 3), lambda ctx, g, h: g * 2 + h * 3).apply(x)
