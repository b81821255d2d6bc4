"""Forward hooks: how `Module` keeps them, calls them and takes them off again."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from tinynet.errors import DTypeError

Hooks = MutableMapping[int, tuple[Callable[..., Any], bool]]  # handle id -> (hook, with_kwargs), in order


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
