"""The transposing kernel of every instruction set at the edges of tiles, through copies between layouts."""

from __future__ import annotations

import numpy as np

import tinynet as tn
from tinynet.nn import functional as F

EDGES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33)


def test_transposition_at_the_edges(isa: str, rng: np.random.Generator) -> None:
    """Rows and columns around the lanes of a vector, rows that lie apart; nothing beside them is touched."""
    for rows in EDGES:
        for columns in EDGES:
            larger = np.full((1, rows + 2, 1, columns + 3), np.nan, np.float32)
            x = larger[:, 1:-1, :, 2:-1]
            x[...] = rng.standard_normal(x.shape)
            y = F.pad(tn.from_numpy(x), (1, 2, 0, 0, 3, 2), value=777.0)  # channels last, with room around
            assert np.array_equal(
                y.numpy(), np.pad(x, ((0, 0), (3, 2), (0, 0), (1, 2)), constant_values=777.0)
            )
            z = y[:, 3:-2, :, 1:-2].contiguous()
            assert np.array_equal(z.numpy(), x)
            assert np.array_equal(tn.from_numpy(x[0, :, 0]).T.contiguous().numpy(), x[0, :, 0].T)


def test_images_into_slices(isa: str, rng: np.random.Generator) -> None:
    """Each image into its channels of a larger one: what lies beside keeps its values."""
    for channels in (1, 3, 8, 17):
        for height, width in ((1, 1), (3, 5), (4, 8), (1, 17)):
            parts = [
                np.asarray(rng.standard_normal((2, c, height, width)), np.float32) for c in (2, channels, 5)
            ]
            y = tn.cat([tn.from_numpy(p) for p in parts], 1)
            assert y.numpy().tobytes() == np.concatenate(parts, 1).tobytes()
