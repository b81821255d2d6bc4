"""The handle that takes a hook off again: of modules, of tensors, of optimisers."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from itertools import count
from types import TracebackType
from typing import Any

_next_id = count()


class RemovableHandle:
    """Takes a hook off again: by `remove`, or at the end of a ``with`` block.

    Removing twice does nothing.

    Parameters
    ----------
    hooks : dict
        Where the hook is kept, under the handle's `id`.
    changed : callable, optional
        Called after the hook was entered or removed.
    """

    def __init__(self, hooks: MutableMapping[int, Any], changed: Callable[[], None] | None = None) -> None:
        self.id = next(_next_id)
        self._hooks = hooks
        self._changed = changed

    def add(self, entry: Any, prepend: bool = False) -> RemovableHandle:
        """Enter the hook, at the front if `prepend`; done once, by its owner; returns the handle."""
        earlier = dict(self._hooks)
        if prepend:
            self._hooks.clear()
        self._hooks[self.id] = entry
        self._hooks.update(earlier)
        if self._changed is not None:
            self._changed()
        return self

    def remove(self) -> None:
        """Take the hook off; it is not called any more."""
        if self._hooks.pop(self.id, None) is not None and self._changed is not None:
            self._changed()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()
