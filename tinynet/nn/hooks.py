"""Forward hooks: how `Module` keeps them, calls them and takes them off again."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from itertools import count
from types import TracebackType
from typing import Any

from tinynet.errors import DTypeError

Hooks = MutableMapping[int, tuple[Callable[..., Any], bool]]  # handle id -> (hook, with_kwargs), in order

_next_id = count()


class RemovableHandle:
    """Takes a hook off again: by `remove`, or at the end of a ``with`` block.

    Removing twice does nothing.
    """

    def __init__(self, hooks: Hooks, changed: Callable[[], None]) -> None:
        self.id = next(_next_id)
        self._hooks = hooks
        self._changed = changed

    def add(self, entry: tuple[Callable[..., Any], bool], prepend: bool) -> None:
        """Enter the hook, at the front where `prepend` says so; done once, by the module."""
        earlier = dict(self._hooks)
        if prepend:
            self._hooks.clear()
        self._hooks[self.id] = entry
        self._hooks.update(earlier)
        self._changed()

    def remove(self) -> None:
        """Take the hook off; it is not called any more."""
        if self._hooks.pop(self.id, None) is not None:
            self._changed()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()


def call_with_hooks(
    module: Any, before: Hooks, after: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """``module.forward(*args, **kwargs)`` between its hooks, each of which may replace what it is given."""
    for hook, with_kwargs in list(before.values()):
        replaced = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if replaced is None:
            continue
        if not with_kwargs:
            args = replaced if isinstance(replaced, tuple) else (replaced,)
        elif isinstance(replaced, tuple) and len(replaced) == 2:
            args, kwargs = replaced
        else:
            raise DTypeError(
                "register_forward_pre_hook: a hook with_kwargs must return None or (args, kwargs); "
                f"got {type(replaced).__name__}"
            )
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(after.values()):
        replaced = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        if replaced is not None:
            output = replaced
    return output
