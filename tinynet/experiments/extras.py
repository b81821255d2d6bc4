"""The packages that only studies need, asked for before the work and not after it."""

from __future__ import annotations

import importlib.util


def require(*modules: str) -> None:
    """Check that modules can be imported, without importing them.

    Parameters
    ----------
    *modules : str
        Their names.

    Raises
    ------
    ImportError
        If one is missing; the message names the extra to install.

    Examples
    --------
    >>> from tinynet.experiments import require
    >>> require("json", "csv")
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(
            f"this needs {' and '.join(missing)}: install the extra 'examples' (pip install '.[examples]')"
        )
