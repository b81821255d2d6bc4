"""Grad modes in full: decorators of all forms, generators, blocks used again, threads (see test_graph.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

import tinynet as tn
from tinynet.errors import DTypeError

MODES = [
    (tn.no_grad, False),
    (tn.enable_grad, True),
    (lambda: tn.inference_mode(True), False),
    (lambda: tn.inference_mode(False), True),
    (lambda: tn.set_grad_enabled(False), False),
    (lambda: tn.set_grad_enabled(True), True),
]
IDS = ["no_grad", "enable_grad", "inference_mode", "inference_mode_off", "set_off", "set_on"]
each_mode = pytest.mark.parametrize(("mode", "recording"), MODES, ids=IDS)


@each_mode
@pytest.mark.parametrize("outside", [True, False])
def test_blocks(mode, recording, outside):
    x = tn.ones(2, requires_grad=True)
    with tn.set_grad_enabled(outside):
        with mode():
            assert tn.is_grad_enabled() is recording
            y = x * 2
            assert y.requires_grad is recording
            assert (y.grad_fn is not None) is recording
        assert tn.is_grad_enabled() is outside
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert tn.is_grad_enabled() is outside
    assert tn.is_grad_enabled()


@each_mode
@pytest.mark.parametrize("outside", [True, False])
def test_decorators(mode, recording, outside):
    @mode()
    def f(a, *, b=2):
        """What f does."""
        if a is None:
            raise KeyError
        return tn.is_grad_enabled(), a + b

    assert tn.is_grad_enabled()  # making the decorator changes nothing for good
    assert f.__name__ == "f"
    assert f.__doc__ == "What f does."
    with tn.set_grad_enabled(outside):
        assert f(1, b=4) == (recording, 5)
        assert tn.is_grad_enabled() is outside
        with pytest.raises(KeyError):
            f(None)
        assert tn.is_grad_enabled() is outside


@pytest.mark.parametrize(
    ("mode", "recording"), [(tn.no_grad, False), (tn.enable_grad, True), (tn.inference_mode, False)]
)
def test_decorators_without_parentheses(mode, recording):
    @mode
    def f(a, b=1):
        return tn.is_grad_enabled(), a, b

    class Thing:
        @mode
        def method(self, a):
            return tn.is_grad_enabled(), a

    with tn.set_grad_enabled(not recording):
        assert f(3, b=4) == (recording, 3, 4)
        assert Thing().method(5) == (recording, 5)
        assert tn.is_grad_enabled() is not recording


def test_a_decorated_function_that_calls_itself():
    @tn.no_grad()
    def depth(n):
        with tn.enable_grad():
            assert tn.is_grad_enabled()
        inner = 0 if n == 0 else depth(n - 1)
        assert not tn.is_grad_enabled()
        return inner + 1

    assert depth(5) == 6
    assert tn.is_grad_enabled()


def test_one_object_entered_again_and_within_itself():
    for make, recording in MODES:
        mode = make()
        for _ in range(2):
            with mode:
                assert tn.is_grad_enabled() is recording
                with tn.enable_grad(), tn.no_grad(), mode:
                    assert tn.is_grad_enabled() is recording
            assert tn.is_grad_enabled()
        tn.set_grad_enabled(True)


def test_set_grad_enabled_as_a_function():
    tn.set_grad_enabled(False)
    assert not tn.is_grad_enabled()
    with tn.set_grad_enabled(True):
        assert tn.is_grad_enabled()
    assert not tn.is_grad_enabled()
    tn.set_grad_enabled(mode=True)
    assert tn.is_grad_enabled()
    for flag in (True, False):
        with tn.set_grad_enabled(flag):
            assert (tn.ones(1, requires_grad=True) * 2).requires_grad is flag


@pytest.mark.parametrize("bad", [1, 0, None, "False", tn.ones(1)])
def test_modes_are_bools(bad):
    with pytest.raises(DTypeError, match="set_grad_enabled: mode must be a bool; got"):
        tn.set_grad_enabled(bad)
    with pytest.raises(DTypeError, match="inference_mode: mode must be a bool; got"):
        tn.inference_mode(bad)
    with pytest.raises(DTypeError, match="set_grad_enabled: mode must be a bool; got <function"):
        tn.set_grad_enabled(lambda: None)  # which cannot be a decorator without an argument
    assert tn.is_grad_enabled()


# ---- generator functions -----------------------------------------------------------------------------------


@each_mode
def test_generators_run_in_the_mode_and_their_users_do_not(mode, recording):
    @mode()
    def steps() -> Iterator[bool]:
        for _ in range(3):
            yield tn.is_grad_enabled()

    with tn.set_grad_enabled(not recording):
        seen = []
        for each in steps():
            seen.append(each)
            assert tn.is_grad_enabled() is not recording
        assert seen == [recording] * 3
        stopped = steps()
        next(stopped)
        stopped.close()
        assert tn.is_grad_enabled() is not recording


def test_generators_receive_values_errors_and_their_end():
    log: list[object] = []

    @tn.no_grad()
    def body():
        try:
            log.append((yield "a"))
            try:
                yield "b"
            except KeyError:
                log.append(tn.is_grad_enabled())
                yield "c"
            return "result"
        finally:
            log.append(("closed", tn.is_grad_enabled()))

    g = body()
    assert next(g) == "a"
    assert g.send(7) == "b"
    assert g.throw(KeyError()) == "c"
    with pytest.raises(StopIteration) as end:
        next(g)
    assert end.value.value == "result"
    assert log == [7, False, ("closed", False)]
    log.clear()
    g = body()
    next(g)
    del g
    assert log == [("closed", False)]
    g = body()
    next(g)
    with pytest.raises(ZeroDivisionError):
        g.throw(ZeroDivisionError())
    assert tn.is_grad_enabled()


# ---- threads -----------------------------------------------------------------------------------------------


def in_thread(f: Callable[[], object]) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(f()))
    thread.start()
    thread.join(30)
    return found[0]


def test_a_thread_starts_with_recording_on():
    x = tn.ones(2, requires_grad=True)
    with tn.no_grad():
        assert in_thread(tn.is_grad_enabled)
        assert in_thread(lambda: (x * 2).requires_grad)
        assert not (x * 2).requires_grad


def test_what_a_thread_sets_stays_in_it():
    assert in_thread(lambda: (tn.set_grad_enabled(False), tn.is_grad_enabled())[1]) is False
    assert tn.is_grad_enabled()

    inside, leave = threading.Event(), threading.Event()

    def wait() -> bool:
        with tn.no_grad():
            inside.set()
            assert leave.wait(30)
            return tn.is_grad_enabled()

    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(wait()))
    thread.start()
    assert inside.wait(30)
    assert tn.is_grad_enabled()  # while the other thread is within its block
    with tn.enable_grad(), tn.no_grad():
        leave.set()
        thread.join(30)
        assert not tn.is_grad_enabled()
    assert found == [False]


def test_one_decorated_function_in_many_threads():
    @tn.no_grad()
    def f():
        return tn.is_grad_enabled()

    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(300):
            with tn.set_grad_enabled(i % 2 == 0):
                if f() or tn.is_grad_enabled() is not (i % 2 == 0):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert wrong == []


# ---- what is made without recording ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [tn.no_grad, tn.inference_mode])
def test_results_made_without_recording_are_ordinary_leaves(mode):
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    with mode():
        y = x * 3
        made = tn.ones(2, requires_grad=True)
        assert made.requires_grad  # asked for, so it is there
        x.add_(1)  # a leaf may be changed
    assert y.is_leaf
    assert y.grad_fn is None
    y.requires_grad_()
    (x * y * made).sum().backward()
    assert x.grad.tolist() == [3, 6]
    assert y.grad.tolist() == [2, 3]
    assert made.grad.tolist() == [6, 18]


def test_backward_within_no_grad():
    x = tn.tensor(3.0, requires_grad=True)
    y = x * x
    with tn.no_grad():
        y.backward()
        assert not tn.is_grad_enabled()
    assert x.grad.item() == 6


@pytest.mark.parity
def test_parity():
    torch = pytest.importorskip("torch")

    def story(t):
        seen = []

        @t.no_grad
        def plain():
            seen.append(t.is_grad_enabled())

        @t.inference_mode
        def inferring():
            seen.append(t.is_grad_enabled())

        @t.enable_grad()
        def steps():
            seen.append(t.is_grad_enabled())
            yield
            seen.append(t.is_grad_enabled())

        plain()
        inferring()
        with t.no_grad():
            for _ in steps():
                seen.append(t.is_grad_enabled())
        mode = t.set_grad_enabled(False)
        seen.append(t.is_grad_enabled())
        for _ in range(2):
            with mode, mode:
                seen.append(t.is_grad_enabled())
            seen.append(t.is_grad_enabled())
        return seen

    assert story(tn) == story(torch)
