"""Random numbers: a `Generator` whose every draw is a function of its seed and of how many draws came before.

There is no hidden stream to advance: call number `c` of a generator with seed `s` gives the same numbers in
any run, on any number of threads.  Its state is these two integers.
"""

from __future__ import annotations

import numpy as np

from tinynet.errors import ArgumentError


class Generator:
    """A source of random numbers with a state of two integers.

    Parameters
    ----------
    seed : int, default 0
        In [0, 2^64).

    Raises
    ------
    ArgumentError
        If the seed is not such an integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> g = tn.Generator(7)
    >>> x, state = tn.rand(3, generator=g), g.get_state()
    >>> state
    {'seed': 7, 'calls': 1}
    >>> y = tn.rand(3, generator=g)
    >>> g.set_state(state)
    >>> tn.rand(3, generator=g).tolist() == y.tolist()
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, an int in [0, 2^64); returns the generator."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ArgumentError(f"manual_seed: seed must be an integer in [0, 2^64); got {seed!r}")
        self._seed, self._calls = int(seed), 0
        return self

    @property
    def seed(self) -> int:
        """The seed that the generator was last started from."""
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the generator was last started from, as PyTorch names it."""
        return self._seed

    def get_state(self) -> dict[str, int]:
        """The state: ``{"seed": ..., "calls": ...}``."""
        return {"seed": self._seed, "calls": self._calls}

    def set_state(self, state: dict[str, int]) -> None:
        """Continue from a `state` that `get_state` gave; ArgumentError, and no change, if it is none."""
        try:
            seed, calls = state["seed"], state["calls"]
        except (KeyError, TypeError):
            raise ArgumentError(f"set_state: state must hold 'seed' and 'calls'; got {state!r}") from None
        if not isinstance(calls, int) or calls < 0:
            raise ArgumentError(f"set_state: state['calls'] must be an integer of at least 0; got {calls!r}")
        self.manual_seed(seed)
        self._calls = calls

    def next_call(self) -> tuple[int, int]:
        """The pair (seed, call number) that the next draw is a function of; counts the call."""
        self._calls = call = self._calls + 1
        return self._seed, call

    def numpy(self) -> np.random.Generator:
        """A NumPy generator for the next draw (Philox, keyed by the seed, counting from the call number)."""
        seed, call = self.next_call()
        return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, call]))

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, calls={self._calls})"


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Start the default generator again; everything random that is given no generator draws from it.

    Parameters
    ----------
    seed : int
        In [0, 2^64).

    Returns
    -------
    Generator
        The default generator.

    Raises
    ------
    ArgumentError
        If the seed is not such an integer.

    Examples
    --------
    >>> import tinynet as tn
    >>> _ = tn.manual_seed(0)
    >>> x = tn.randn(3)
    >>> _ = tn.manual_seed(0)
    >>> tn.randn(3).tolist() == x.tolist()
    True
    """
    return default_generator.manual_seed(seed)


def draw(generator: Generator | None) -> np.random.Generator:
    """A NumPy generator for the next draw of `generator`, or of the default generator if that is None."""
    return (default_generator if generator is None else generator).numpy()
