"""Whether operations record what their gradients need: a switch per thread, on unless set."""

import functools
import threading

cdef object thread = threading.local()          # .grad_enabled, True where it was never set


cpdef bint is_grad_enabled():
    """True if operations record what their gradients need, in this thread."""
    return getattr(thread, "grad_enabled", True)


class set_grad_enabled:
    """Record gradients or not, from now on in this thread, or within a ``with`` block.

    Parameters
    ----------
    mode : bool
    """

    def __init__(self, mode):
        self.former = is_grad_enabled()
        thread.grad_enabled = bool(mode)

    def __enter__(self):
        pass

    def __exit__(self, *exception):
        thread.grad_enabled = self.former


class _GradMode:
    """A grad mode for a ``with`` block or a decorated function."""

    mode = True

    def __enter__(self):
        if not hasattr(self, "former"):
            self.former = []
        self.former.append(is_grad_enabled())
        thread.grad_enabled = self.mode

    def __exit__(self, *exception):
        thread.grad_enabled = self.former.pop()

    def __call__(self, function):
        @functools.wraps(function)
        def with_mode(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return with_mode


class no_grad(_GradMode):
    """Within it, in this thread, operations record nothing and results do not require gradients.

    A context manager (``with no_grad():``) and a decorator (``@no_grad()``).
    """

    mode = False


class enable_grad(_GradMode):
    """Within it, in this thread, gradients are recorded even inside a `no_grad` block."""

    mode = True
