"""Running code in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

# Not in the checkout: there, the folder of sources would be found in place of the installed package.
FOLDER = tempfile.gettempdir()


def python(code: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, without the variables that choose threads and instruction set."""
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "TINYNET_ISA")} | environment
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=env, cwd=FOLDER, check=False
    )
