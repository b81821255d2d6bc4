"""Data sets whose samples lie in arrays: a batch is one gather per array, never a loop over samples.

`ArrayDataset` gathers; `TensorDataset` and `ImageDataset` are its two kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet._check import real
from tinynet._tensor import Tensor, from_numpy
from tinynet.data.dataset import Array, Dataset, Gather, IndexArray
from tinynet.errors import ArgumentError, DTypeError, ShapeError

_DTYPES = frozenset(["float32", "float64", "int64", "int32", "uint8", "bool"])  # those that a Tensor can have


class ArrayDataset(Dataset[tuple[Tensor, ...]]):
    """Samples that lie in arrays of equal first dimension: sample i is row i of each.

    Parameters
    ----------
    arrays : sequence of numpy.ndarray or Tensor, each of shape (N, ...)
        float32, float64, int64, int32, uint8 or bool.  An array is shared, not copied, if its rows follow
        each other in memory and each row is dense in some order of its axes (C order, channels-last); else
        it is copied once, here, since a gather from it would copy the whole array for every batch.
    operation : str
        The name that error messages begin with.

    Attributes
    ----------
    arrays : tuple of numpy.ndarray
        The arrays, (N, ...) each.
    """

    def __init__(self, arrays: Sequence[Array | Tensor], operation: str) -> None:
        if not arrays:
            raise ArgumentError(f"{operation}: arrays must be at least one array; got none")
        checked = [_as_array(array, f"{operation}: array {i}") for i, array in enumerate(arrays)]
        lengths = [len(array) for array in checked]
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"{operation}: arrays must have equal first dimensions; got {', '.join(map(str, lengths))}"
            )
        # Each array is kept as (rows with their axes in memory order, the axes that restore the shape or
        # None).
        self._stored = [_in_memory_order(array) for array in checked]
        self.arrays: tuple[Array, ...] = tuple(_restored(rows, axes) for rows, axes in self._stored)
        self._length = lengths[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int | slice | list[int], /) -> tuple[Tensor, ...]:
        """Return one sample, or several, as Tensors; an int or a slice shares the arrays' memory."""
        return tuple(from_numpy(np.asarray(array[index])) for array in self.arrays)

    def gather(self, indices: IndexArray) -> tuple[Array, ...]:
        """Copy the rows `indices` of every array.

        Parameters
        ----------
        indices : numpy.ndarray of shape (B,), intp, each in [0, N)
            Which samples.  They are not checked: indices outside are moved to the nearest end.

        Returns
        -------
        tuple of numpy.ndarray
            One new array of shape (B, ...) per array, in the memory order of its source.
        """
        return tuple([_restored(rows.take(indices, 0, None, "clip"), axes) for rows, axes in self._stored])

    def gatherer(self) -> Gather | None:
        """`gather`, or None for a subclass that makes its samples itself."""
        return self.gather if type(self).__getitem__ is ArrayDataset.__getitem__ else None


class TensorDataset(ArrayDataset):
    """Samples from arrays or tensors of equal first dimension.

    Parameters
    ----------
    *arrays : numpy.ndarray or Tensor, each of shape (N, ...)
        At least one; see `ArrayDataset` for dtypes and for when memory is shared.

    Raises
    ------
    DTypeError
        If an argument is no array or of a dtype that a Tensor cannot have.
    ShapeError
        If an argument has no dimension, or the first dimensions differ.

    Examples
    --------
    >>> import tinynet as tn
    >>> import numpy as np
    >>> data = tn.data.TensorDataset(np.zeros((5, 3), np.float32), np.arange(5))
    >>> len(data), [tuple(t.shape) for t in data[0]]
    (5, [(3,), ()])
    """

    def __init__(self, *arrays: Array | Tensor) -> None:
        super().__init__(arrays, "TensorDataset")

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The arrays as Tensors (N, ...) that share their memory."""
        return tuple(from_numpy(array) for array in self.arrays)


class ImageDataset(ArrayDataset):
    """Images with labels.  A sample is (image, label): Tensors, or what the two transforms make of them.

    `DataLoader` gives batches of bytes (B, H, W) or (B, C, H, W); with `Normalize` or `Augment` as its
    `transform` they are float32 (B, C, H, W), channels last in memory, as convolutions want them.

    Parameters
    ----------
    images : numpy.ndarray of shape (N, H, W) or (N, C, H, W), uint8
        Grey images, or images of C channels.
    labels : numpy.ndarray of shape (N,), int64
        Which class each is of.
    name : str
        Of the data set; put it on every result.
    classes : tuple of str
        The names of the classes.
    mean, std : tuple of float, default (0.0,) and (1.0,)
        Of each channel, of pixels in [0, 1]: what to normalise by.
    transform : callable, optional
        Function of one image, a Tensor of uint8, for samples one by one.
    target_transform : callable, optional
        Function of one label, an int.

    Attributes
    ----------
    images, labels, name, classes, mean, std, transform, target_transform
        The parameters.

    Raises
    ------
    DTypeError
        If a transform is not callable.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        name: str,
        classes: tuple[str, ...],
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        for argument, function in {"transform": transform, "target_transform": target_transform}.items():
            if function is not None and not callable(function):
                raise DTypeError(
                    f"{name}: {argument} must be callable or None; got {type(function).__name__}"
                )
        super().__init__((images, labels), name)
        self.images, self.labels = self.arrays
        self.name = name
        self.classes = classes
        self.mean, self.std = mean, std
        self.transform, self.target_transform = transform, target_transform

    def __getitem__(self, index: int | slice | list[int], /) -> tuple[Any, ...]:
        """Return one sample, or several, as ArrayDataset does; the transforms are applied to one sample."""
        image, label = super().__getitem__(index)
        if label.ndim:
            return image, label
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(int(label.item()))

    def gatherer(self) -> Gather | None:
        """`gather`, or None where samples are transformed one by one or a subclass makes them itself."""
        plain = self.transform is None and self.target_transform is None
        return self.gather if plain and type(self).__getitem__ is ImageDataset.__getitem__ else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} images)"

    def flat(self, binary_threshold: float | None = None) -> npt.NDArray[np.float32]:
        """Return the images as rows of numbers.

        Parameters
        ----------
        binary_threshold : float in [0, 1), optional
            If given, a pixel becomes 1 if its value, scaled to [0, 1], is greater than this, else 0.

        Returns
        -------
        numpy.ndarray of shape (N, D), float32
            Pixels in [0, 1], or in {0, 1}; D of them (with C channels, C times as many): 784 for 28 x 28.

        Raises
        ------
        DTypeError, ArgumentError
            If the threshold is no number or lies outside [0, 1).
        """
        rows = self.images.reshape(len(self), -1)  # (N, 784)
        if binary_threshold is None:
            scaled = rows.astype(np.float32)
            scaled /= 255  # in float32: correctly rounded, as is the quotient in float64 rounded to float32
            return scaled
        threshold = real("flat", "binary_threshold", binary_threshold)
        if not 0 <= threshold < 1:
            raise ArgumentError(f"flat: binary_threshold must be a number in [0, 1); got {threshold!r}")
        least = int(np.argmax(np.arange(256) / 255.0 > threshold))  # the smallest pixel above it
        return (rows >= least).astype(np.float32)


def _as_array(array: Array | Tensor, place: str) -> Array:
    """Check one argument and return it as an array of native byte order."""
    if isinstance(array, Tensor):
        array = array.detach().numpy()
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"{place} must be a numpy.ndarray or Tensor; got {type(array).__name__}")
    if array.dtype.name not in _DTYPES:
        raise DTypeError(
            f"{place} must have dtype float32, float64, int64, int32, uint8 or bool; got {array.dtype}"
        )
    if array.ndim == 0:
        raise ShapeError(f"{place} must have shape (N, ...); got ()")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _in_memory_order(array: Array) -> tuple[Array, tuple[int, ...] | None]:
    """Return the array C-contiguous, with the axes that bring it back to its shape (None: as it is)."""
    if array.flags.c_contiguous:
        return array, None
    axes = (0, *sorted(range(1, array.ndim), key=lambda axis: -array.strides[axis]))
    rows = array.transpose(axes)
    if rows.flags.c_contiguous:
        return rows, tuple(int(axis) for axis in np.argsort(axes))
    return np.ascontiguousarray(array), None


def _restored(rows: Array, axes: tuple[int, ...] | None) -> Array:
    return rows if axes is None else rows.transpose(axes)
