"""What tinynet costs, measured beside PyTorch and beside the alternatives that were not taken.

    python -m benchmarks                        everything
    python -m benchmarks mnist_mlp --threads 1  one of them, with one thread
    python -m benchmarks --help                 what there is

Nothing here decides whether tinynet is correct; benchmarks that compare check first that both sides
computed the same.
"""

from __future__ import annotations
