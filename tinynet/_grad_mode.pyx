"""Whether operations record what their gradients need: a switch per thread, on unless set."""

import functools

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

        @functools.wraps(function)
        def with_mode(*args, **kwargs):
            former = is_grad_enabled()
            enable(mode)
            try:
                return function(*args, **kwargs)
            finally:
                enable(former)
        return with_mode


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

    Tensors made within it are ordinary tensors, which PyTorch's are not.

    Parameters
    ----------
    mode : bool, default True
    """

    def __init__(self, mode=True):
        _GradMode.__init__(self)
        self.mode = bool(mode)

    def _mode(self):
        return not self.mode


class set_grad_enabled(_GradMode):
    """Record gradients or not, from now on in this thread, or within a ``with`` block, or in a decorated function.

    Parameters
    ----------
    mode : bool
    """

    def __init__(self, mode):
        self.former = [is_grad_enabled()]
        self.mode = bool(mode)
        enable(self.mode)

    def _mode(self):
        return self.mode

    def __enter__(self):                         # the mode before the call is the one to go back to
        enable(self.mode)

    def __call__(self, function):
        enable(self.former[0])     # as a decorator it leaves the mode of this thread alone
        return _GradMode.__call__(self, function)
