"""Anomaly detection: which operation, which argument, which line of the forward."""

from __future__ import annotations

import inspect
import re
import threading

import numpy as np
import pytest
from functions import function, leaf

import tinynet as tn
from tinynet import autograd, nn, optim
from tinynet.autograd import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from tinynet.errors import DTypeError, GraphError
from tinynet.nn import functional as F


@pytest.fixture(autouse=True)
def _off():
    yield
    left_on = is_anomaly_enabled()
    set_detect_anomaly(False)
    assert not left_on, "the test left anomaly detection on"


def line_of(owner, text):
    """The number of the line of `owner`'s source on which the mark ``# <- text`` stands."""
    lines, first = inspect.getsourcelines(owner)
    (at,) = [i for i, line in enumerate(lines) if line.rstrip().endswith(f"# <- {text}")]
    return first + at


def where(owner, text, name):
    """What the message says of that line."""
    file, line = re.escape(__file__), line_of(owner, text)
    return rf'its forward: File "{file}", line {line}, in {name}\n    \S.*# <- {text}'


NAN = "backward: {} gave nan in the gradient of its argument {}, of shape {}\n"


# ---- nan ---------------------------------------------------------------------------------------------------


def root(x):
    return (x * 0.0).sqrt() * 0.0  # <- root


def test_a_line_in_a_function():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        y = root(x)
        with pytest.raises(
            GraphError, match=NAN.format("sqrt", "input", r"\(2,\)") + where(root, "root", "root")
        ):
            y.sum().backward()
    assert x.grad is None


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        h = F.relu(self.inner(x))
        h = (h * 0.0).sqrt() + h  # <- layer
        return F.softmax(h, 1)


def test_a_line_in_a_module():
    net = nn.Sequential(nn.Linear(2, 2), Layer(), nn.Linear(2, 2))
    with detect_anomaly():
        loss = net(tn.ones(3, 2)).sum()
        with pytest.raises(
            GraphError, match=NAN.format("mul", ".*", r"\(3, 2\)") + where(Layer, "layer", "forward")
        ) as error:
            loss.backward()
    assert error.value.__cause__ is None


def looped(x, at):
    for i in range(5):
        x = x + 1.0
        if i == at:
            x = x.log()  # <- loop
    return x


@pytest.mark.parametrize("at", [0, 3])
def test_a_line_in_a_loop(at):
    x = leaf(-1.0 - at)  # the logarithm of 0
    with detect_anomaly():
        y = looped(x, at)
        with pytest.raises(
            GraphError, match=NAN.format("log", "input", r"\(1,\)") + where(looped, "loop", "looped")
        ):
            (y * tn.zeros(1)).backward()


def weighted(a, b):
    return a * b  # <- product


def test_the_argument_is_named():
    inf = tn.tensor([np.inf])
    names = {(1, 0): "a", (0, 1): "b"}
    for (first, second), name in names.items():
        x, w = leaf(1.0), leaf(1.0)
        operands = (x if first else x + inf, w if second else w + inf)
        with detect_anomaly():
            y = weighted(*operands)
            with pytest.raises(
                GraphError, match="backward: mul gave nan in the gradient of its argument"
            ) as error:
                y.backward(tn.zeros(1))
        arguments = {"a": "input", "b": "other"}
        assert re.search(f"argument {arguments[name]}, of shape", str(error.value)), error.value
        assert re.search(where(weighted, "product", "weighted"), str(error.value))


def test_layers_and_losses_name_their_arguments():
    net = nn.Linear(3, 2)
    x = tn.ones(4, 3)
    with tn.no_grad():
        x[0, 0] = float("inf")
    with (
        detect_anomaly(),
        pytest.raises(GraphError, match=r"linear gave nan in .* argument weight, .* \(2, 3\)"),
    ):
        (net(x) * 0).sum().backward()


def test_one_of_many_inputs():
    parts = [leaf(1.0), leaf(2.0)]
    own = function(lambda ctx, *xs: xs[0] + xs[1], lambda ctx, g: (g, g * float("nan")))
    with (
        detect_anomaly(),
        pytest.raises(
            GraphError, match=r"backward: Own gave nan in the gradient of its argument tensors\[1\]"
        ),
    ):
        own.apply(*parts).backward()


def test_a_gradient_that_is_not_wanted_is_not_looked_at():
    own = function(lambda ctx, x, c: x * c, lambda ctx, g: (g, g * float("nan")))
    x = leaf(1.0)
    with detect_anomaly():
        own.apply(x, tn.ones(1)).backward()
    assert x.grad.tolist() == [1]


def test_without_a_look_for_nan():
    x = leaf(1.0)
    for mode in (detect_anomaly(check_nan=False), set_detect_anomaly(True, check_nan=False)):
        with mode:
            root(x).backward()
        assert np.isnan(x.grad.item())
        x.grad = None
        set_detect_anomaly(False)


def test_infinity_is_no_anomaly():
    x = leaf(0.0)
    with detect_anomaly():
        x.sqrt().backward()
    assert x.grad.tolist() == [np.inf]


def test_nan_is_named_where_it_arises():
    x = leaf(1.0)
    with detect_anomaly():
        y = looped(root(x) + 2.0, 7) * 3.0
        with pytest.raises(GraphError, match="sqrt gave nan"):
            y.backward()
        with pytest.raises(GraphError, match="mul gave nan"):
            (x * 2).backward(tn.tensor([float("nan")]))


def test_nan_in_every_kind_of_sweep():
    for sweep in (
        lambda x, y: autograd.grad(y, x),
        lambda x, y: autograd.backward([y]),
        lambda x, y: y.backward(inputs=[x]),
    ):
        x = leaf(1.0)
        with detect_anomaly(), pytest.raises(GraphError, match="sqrt gave nan"):
            sweep(x, root(x))
        assert x.grad is None
        sweep(x, x * 2)


# ---- errors of backward ------------------------------------------------------------------------------------


def test_an_error_in_a_function_gets_the_line():
    def fails(ctx, g):
        raise KeyError("lost")

    def call(x):
        return function(lambda ctx, x: x * 1, fails, name="Fails").apply(x)  # <- call

    x = leaf(1.0)
    with detect_anomaly():
        y = call(x) * 2
        with pytest.raises(GraphError, match=r"backward: Fails failed with KeyError: 'lost'\n") as error:
            y.backward()
    assert isinstance(error.value.__cause__, KeyError)
    assert re.search(where(test_an_error_in_a_function_gets_the_line, "call", "call"), str(error.value))
    with pytest.raises(KeyError):  # and as it was raised without
        call(x).backward()


def test_an_interrupt_is_not_wrapped():
    def stops(ctx, g):
        raise KeyboardInterrupt

    with detect_anomaly(), pytest.raises(KeyboardInterrupt):
        function(lambda ctx, x: x * 1, stops).apply(leaf(1.0)).backward()


def spoilt():
    x, c = leaf(1.0, 2.0, 3.0), tn.ones(3)
    y = x * c  # <- spoilt
    c.add_(1)
    c.add_(1)
    return y.sum()


VERSION = (
    r"mul needs a value of shape \(3,\) that was changed in place after its forward: saved at version 0, now "
    r"at version 2; change a copy \(.clone\(\)\) instead"
)


def test_version_errors_without():
    with pytest.raises(GraphError) as error:
        spoilt().backward()
    assert re.fullmatch(
        f"backward: {VERSION}\n"
        r"\(autograd.set_detect_anomaly\(True\) before the forward shows the line that made it\)",
        str(error.value),
    )


def test_version_errors_within():
    with detect_anomaly(), pytest.raises(GraphError) as error:
        spoilt().backward()
    assert re.search(f"{VERSION}\n" + where(spoilt, "spoilt", "spoilt"), str(error.value))
    assert "set_detect_anomaly" not in str(error.value)


def test_version_errors_of_functions():
    x = leaf(1.0, 2.0)
    own = function(
        lambda ctx, x: (ctx.save_for_backward(x), x * 1)[1],
        lambda ctx, g: g * ctx.saved_tensors[0],
        name="Own",
    )

    def made():
        h = x * 1
        y = own.apply(h)  # <- own
        with tn.no_grad():
            h.mul_(2)
        return y.sum()

    message = r"a tensor of shape \(2,\) was changed in place .*: saved at version 0, now at version 1"
    with pytest.raises(GraphError, match=message):
        made().backward()
    with (
        detect_anomaly(),
        pytest.raises(GraphError, match=f"Own failed with GraphError: .*{message}") as error,
    ):
        made().backward()
    assert re.search(where(test_version_errors_of_functions, "own", "made"), str(error.value))


def test_a_freed_graph():
    x = leaf(1.0)
    with detect_anomaly():
        y = x * 2
        y.backward()
        with pytest.raises(GraphError, match="the graph was freed by an earlier backward"):
            y.backward()


def test_a_graph_recorded_before():
    x = leaf(1.0)
    y = root(x)
    with detect_anomaly():
        with pytest.raises(
            GraphError, match=r"sqrt gave nan .*\n\(its forward ran before anomaly detection was sw"
        ):
            y.backward()
        y = root(x)
    y.backward()  # recorded within, gone through outside: nothing is looked for
    assert np.isnan(x.grad.item())
    with pytest.raises(GraphError, match="changed in place"):
        spoilt().backward()


# ---- the switch --------------------------------------------------------------------------------------------


def test_blocks():
    assert not is_anomaly_enabled()
    with detect_anomaly():
        assert is_anomaly_enabled()
        with set_detect_anomaly(False):
            assert not is_anomaly_enabled()
            with detect_anomaly():
                assert is_anomaly_enabled()
            assert not is_anomaly_enabled()
        assert is_anomaly_enabled()
    assert not is_anomaly_enabled()


def test_an_error_restores_the_mode():
    for mode in (detect_anomaly, lambda: set_detect_anomaly(True)):
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert not is_anomaly_enabled()
        with pytest.raises(GraphError), mode():
            root(leaf(1.0)).backward()
        assert not is_anomaly_enabled()
    with detect_anomaly():
        with pytest.raises(KeyError), set_detect_anomaly(False):
            raise KeyError
        assert is_anomaly_enabled()


def test_one_object_entered_again_and_within_itself():
    mode = detect_anomaly()
    for _ in range(2):
        with mode:
            with mode:
                assert is_anomaly_enabled()
            assert is_anomaly_enabled()
        assert not is_anomaly_enabled()


def test_the_look_for_nan_is_restored_too():
    x = leaf(1.0)
    with detect_anomaly(check_nan=False):
        with detect_anomaly(), pytest.raises(GraphError, match="sqrt gave nan"):
            root(x).backward()
        root(x).backward()
        assert is_anomaly_enabled()


def test_as_a_function():
    set_detect_anomaly(True)
    assert is_anomaly_enabled()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(is_anomaly_enabled()))
    thread.start()
    thread.join(30)
    assert seen == [True]  # it holds for all threads
    set_detect_anomaly(False)
    assert not is_anomaly_enabled()


@pytest.mark.parametrize("bad", [1, None, "on"])
def test_modes_are_bools(bad):
    for call, message in (
        (lambda: set_detect_anomaly(bad), "set_detect_anomaly: mode must be a bool; got"),
        (lambda: set_detect_anomaly(True, bad), "set_detect_anomaly: check_nan must be a bool; got"),
        (lambda: detect_anomaly(bad), "detect_anomaly: check_nan must be a bool; got"),
    ):
        with pytest.raises(DTypeError, match=message):
            call()
        assert not is_anomaly_enabled()


def test_it_changes_no_gradient():
    def gradients(watched):
        tn.manual_seed(5)
        net = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Dropout(0.3), nn.Linear(6, 3)
        )
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        with set_detect_anomaly(watched):
            for _ in range(3):
                optimizer.zero_grad()
                F.cross_entropy(net(tn.randn(8, 4)), tn.tensor(np.arange(8) % 3)).backward()
                optimizer.step()
        return [a.detach().numpy().tobytes() for p in net.parameters() for a in (p, p.grad)]

    assert gradients(True) == gradients(False)


@pytest.mark.parity
def test_parity():
    torch = pytest.importorskip("torch")

    def story(t):
        out = []
        anomaly = t.autograd

        def note():
            out.append(t.is_anomaly_enabled() if hasattr(t, "is_anomaly_enabled") else is_anomaly_enabled())

        def nan(x):
            return (x * 0.0).sqrt() * 0.0

        x = t.tensor([1.0], requires_grad=True)
        for check in (True, False):
            with anomaly.detect_anomaly(check_nan=check):
                note()
                with anomaly.set_detect_anomaly(False):
                    note()
                    nan(x).backward()
                note()
                try:
                    nan(x).backward()
                except RuntimeError as error:
                    out.append("sqrt" in str(error).lower())
            note()
        with anomaly.detect_anomaly():
            x = t.tensor([0.0], requires_grad=True)
            x.sqrt().backward()  # infinite
            out.append(x.grad.item())
        return out

    with pytest.warns(UserWarning, match=r"(?i)anomaly"):
        expected = story(torch)
    assert story(tn) == expected
