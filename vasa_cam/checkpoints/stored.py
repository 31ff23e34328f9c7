"""Tensors in files: where their bytes lie, checked before any is read.

A tensor is a view of a storage: a type, a shape, strides and an offset, all of which a file only
claims. Nothing is read until `array` is called, and nothing outside the storage ever is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError

Bytes = npt.NDArray[np.uint8]

BFLOAT16: Final = "bfloat16"
"""The one type here that NumPy has not; `StoredTensor.array` gives float32 for it, exactly."""

ITEM_BYTES: Final = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    BFLOAT16: 2,
    "float32": 4,
    "float64": 8,
}
_MOST_DIMENSIONS: Final = 8
_LARGEST: Final = 1 << 48


class RefusedError(InputError):
    """A file names something that is not data, or claims sizes that cannot be."""


@dataclass(eq=False)
class Storage:
    """A run of bytes in a file.

    kind: type of its elements. count: how many. read: gives its bytes, u8
    [count * ITEM_BYTES[kind]]. big_endian: byte order of the file.
    """

    kind: str
    count: int
    read: Callable[[], Bytes]
    big_endian: bool = False
    _bytes: Bytes | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.count * ITEM_BYTES[self.kind]

    def data(self) -> Bytes:
        """Its bytes, read at the first call. Raises RefusedError when the file has others."""
        if self._bytes is None:
            read = self.read()
            if len(read) < self.nbytes:
                raise RefusedError(
                    f"a storage holds {len(read)} bytes instead of {self.nbytes}: "
                    "the file is incomplete, download it again."
                )
            self._bytes = read[: self.nbytes]
        return self._bytes


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor of a file that is not read yet. shape; strides and offset in elements.

    Raises RefusedError when it would reach outside its storage or show an element twice.
    """

    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    def __post_init__(self) -> None:
        numbers = (*self.shape, *self.strides, self.offset)
        if not all(type(number) is int and 0 <= number <= _LARGEST for number in numbers):
            raise RefusedError("a tensor's shape, strides or offset are not numbers of this world.")
        if len(self.shape) != len(self.strides) or len(self.shape) > _MOST_DIMENSIONS:
            raise RefusedError(
                f"a tensor has {len(self.shape)} sizes and {len(self.strides)} strides: expected "
                f"as many of both and at most {_MOST_DIMENSIONS}."
            )
        if self.size == 0:
            return
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((length - 1) * stride for length, stride in steps)
        if last >= self.storage.count:
            raise RefusedError(
                f"a tensor of shape {list(self.shape)} reaches element {last} of a storage of "
                f"{self.storage.count}: the file is damaged or was made to do harm."
            )
        if _overlaps(self.shape, self.strides):
            raise RefusedError(
                f"a tensor of shape {list(self.shape)} with strides {list(self.strides)} shows "
                "elements of its storage more than once: save it as a copy of its own."
            )

    @property
    def kind(self) -> str:
        """Type of its elements, a key of ITEM_BYTES."""
        return self.storage.kind

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    def array(self) -> npt.NDArray[Any]:
        """A contiguous copy in the machine's byte order; bfloat16 becomes float32."""
        kind = "uint16" if self.kind == BFLOAT16 else self.kind
        dtype = np.dtype(kind)
        if self.size == 0:
            return np.zeros(self.shape, np.float32 if self.kind == BFLOAT16 else dtype)
        stored = dtype.newbyteorder(">" if self.storage.big_endian else "<")
        flat = self.storage.data().view(stored)
        steps = tuple(stride * dtype.itemsize for stride in self.strides)
        # The constructor has shown that every element of this view lies inside `flat`.
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, steps, writeable=False
        )
        if self.kind == BFLOAT16:
            return np.left_shift(view.astype(np.uint32), 16).view(np.float32)
        if self.kind == "bool":
            return np.not_equal(view.view(np.uint8), 0)
        return np.array(view, dtype, order="C")


def _overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether two indices may meet: true of no dense, permuted, sliced or transposed tensor."""
    reach = 0
    for stride, length in sorted(zip(strides, shape, strict=True)):
        if length > 1:
            if stride <= reach:
                return True
            reach += stride * (length - 1)
    return False


def dense(storage: Storage, shape: tuple[int, ...]) -> StoredTensor:
    """A row-major tensor that begins with its storage."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(1, length)
    return StoredTensor(storage, shape, tuple(reversed(strides)))
