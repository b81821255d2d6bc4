"""Whether operations record what their gradients need: a switch per thread, on unless set."""

import functools
import inspect

from tinynet import _check

cdef extern from *:
    """
    static _Thread_local int tn_grad_enabled = 1;
    """
    bint tn_grad_enabled


cpdef bint is_grad_enabled() noexcept:
    """True if operations record what their gradients need, in this thread."""
    return tn_grad_enabled


cdef void enable(bint mode) noexcept:
    global tn_grad_enabled
    tn_grad_enabled = mode


class _GradMode:
    """A grad mode for a ``with`` block or a decorated function."""

    def __init__(self):
        self.former = []                         # one for each time that the block was entered

    def _mode(self):
        raise NotImplementedError

    def __enter__(self):
        self.former.append(is_grad_enabled())
        enable(self._mode())

    def __exit__(self, *exception):
        enable(self.former.pop())

    def __call__(self, function):
        mode = self._mode()
        if inspect.isgeneratorfunction(function):
            return _steps_with_mode(mode, function)

        @functools.wraps(function)
        def with_mode(*args, **kwargs):
            former = is_grad_enabled()
            enable(mode)
            try:
                return function(*args, **kwargs)
            finally:
                enable(former)
        return with_mode


def _steps_with_mode(mode, function):
    """A generator function whose body runs in a grad mode, and what takes its values does not."""
    @functools.wraps(function)
    def steps(*args, **kwargs):
        generator = function(*args, **kwargs)
        resume, given = generator.send, None
        while True:
            former = is_grad_enabled()
            enable(mode)
            try:
                value = resume(given)
            except StopIteration as end:
                return end.value
            finally:
                enable(former)
            try:
                given = yield value
                resume = generator.send
            except BaseException as error:       # thrown into it, or closed: the body decides
                resume, given = generator.throw, error
    return steps


class _Switch(_GradMode):
    """A grad mode without arguments: a decorator with parentheses or without."""

    def __new__(cls, function=None):
        switch = object.__new__(cls)
        return switch if function is None else switch(function)


class no_grad(_Switch):
    """Within it, in this thread, operations record nothing and results do not require gradients.

    A context manager (``with no_grad():``) and a decorator (``@no_grad()``, ``@no_grad``).

    Examples
    --------
    >>> import tinynet as tn
    >>> x = tn.ones(2, requires_grad=True)
    >>> with tn.no_grad():
    ...     y = 2 * x
    >>> y.requires_grad
    False
    """

    def _mode(self):
        return False


class enable_grad(_Switch):
    """Within it, in this thread, gradients are recorded even inside a `no_grad` block.

    A context manager and a decorator.
    """

    def _mode(self):
        return True


class inference_mode(_GradMode):
    """The same as `no_grad` if `mode` is True, as `enable_grad` otherwise.

    A context manager and a decorator (``@inference_mode()``, ``@inference_mode``).  Tensors made within it are ordinary tensors,
    which PyTorch's are not.

    Parameters
    ----------
    mode : bool, default True

    Raises
    ------
    DTypeError
        If `mode` is not a bool.
    """

    def __new__(cls, mode=True):
        if callable(mode):
            return cls()(mode)
        return object.__new__(cls)

    def __init__(self, mode=True):
        _GradMode.__init__(self)
        self.mode = _check.boolean("inference_mode", "mode", mode)

    def _mode(self):
        return not self.mode


class set_grad_enabled(_GradMode):
    """Record gradients or not, from now on in this thread, or within a ``with`` block, or in a decorated function.

    Parameters
    ----------
    mode : bool

    Raises
    ------
    DTypeError
        If `mode` is not a bool.
    """

    def __init__(self, mode):
        self.mode = _check.boolean("set_grad_enabled", "mode", mode)
        self.former = [is_grad_enabled()]
        enable(self.mode)

    def _mode(self):
        return self.mode

    def __enter__(self):
        enable(self.mode)

    def __exit__(self, *exception):              # the mode before the call is the one to go back to
        enable(self.former[0])

    def __call__(self, function):
        enable(self.former[0])     # as a decorator it leaves the mode of this thread alone
        return _GradMode.__call__(self, function)
