"""A garbage collection at any moment, in which somebody reads or drops what is being computed."""

from __future__ import annotations

import pytest
from processes import python

PROGRAM = """
import gc, sys
import numpy as np
import tinynet as tn
from tinynet.nn import functional as F

change = {"read": lambda t: t, "relu_": lambda t: t.relu_(), "relu": F.relu, "add": lambda t: t + t,
          "cat": lambda t: tn.cat([t, t], 1)}[sys.argv[-1]]
x = tn.tensor(np.random.default_rng(0).standard_normal((4, 6, 3, 3)), dtype="float32")
held = [tn.zeros(1) for _ in range(1000)]       # so that each new array may start a collection
seen, read = [], []

def look(phase, info):
    if seen:
        read.append(seen.pop().detach().sum())

def made():
    return F.batch_norm(2 * x, None, None, training=True)

tn.set_fusion(False)
expected = change(made()).tolist()
tn.set_fusion(True)
gc.callbacks.append(look)
for moment in range(60):
    y = made()
    held += [tn.zeros(1) for _ in range(30)]
    gc.collect()
    seen.append(y)
    gc.set_threshold(moment + 1)
    z = change(y)
    z.sum()
    gc.set_threshold(0)
    seen.clear()
    assert z.tolist() == expected, moment
print(len(read))
"""


@pytest.mark.parametrize("change", ["read", "relu_", "relu", "add", "cat"])
def test_a_collection_that_reads_what_is_being_computed(change: str) -> None:
    run = python(PROGRAM.replace("sys.argv[-1]", repr(change)))
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 5
