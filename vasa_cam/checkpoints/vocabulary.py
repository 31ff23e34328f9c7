"""What checkpoints may name, and the data that is made of it.

Three tables, for three kinds of file: state dicts, JoyVASA's training checkpoint (also its options:
a namespace with paths), and pickled dicts of NumPy arrays. None of the classes that the names mean
elsewhere is used: a namespace becomes `Options`, a path a text, an array is rebuilt by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.checkpoints.machine import Inert, Maker, shown
from vasa_cam.checkpoints.stored import RefusedError, Storage, StoredTensor

_NUMPY_KINDS: Final = {
    "b1": "bool",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "f2": "float16",
    "f4": "float32",
    "f8": "float64",
}
_STORAGES: Final = {
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
}
_NDARRAY: Final = "numpy.ndarray"


class StorageKind(str):
    """The element type that a storage class of torch stands for."""

    __slots__ = ()


class Options(Inert):
    """What argparse.Namespace held, as a dict of plain values."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def build(self, state: object) -> None:
        """Take the namespace's attributes."""
        if type(state) is not dict or not all(type(name) is str for name in state):
            raise RefusedError("the options in a checkpoint are not a dict of named values.")
        self.values = state


class _DType(Inert):
    """A NumPy number type, little-endian."""

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if type(code) is not str or code.lstrip("<>|=") not in _NUMPY_KINDS:
            named = shown(code) if type(code) is str else type(code).__name__
            raise RefusedError(f"an array has the type {named}: only plain numbers are read.")
        self._check_order(code)
        self.dtype = np.dtype(_NUMPY_KINDS[code.lstrip("<>|=")]).newbyteorder("<")

    def build(self, state: object) -> None:
        """Take NumPy's (version, byte order, subtype, names, fields, size, alignment, ...)."""
        if (
            type(state) is not tuple
            or len(state) < 5
            or any(part is not None for part in state[2:5])
        ):
            raise RefusedError("an array has a structured type: only plain numbers are read.")
        self._check_order(state[1])

    @staticmethod
    def _check_order(order: object) -> None:
        if type(order) is not str or order.startswith(">"):
            raise RefusedError("an array has its bytes in an unusual order: save it again.")


class PickledArray(Inert):
    """A NumPy array under construction."""

    def __init__(self, array: npt.NDArray[Any] | None = None) -> None:
        self._array = array

    def build(self, state: object) -> None:
        """Take NumPy's (version, shape, type, Fortran order, bytes)."""
        if type(state) is not tuple or len(state) != 5:
            raise RefusedError("an array has an unknown state: save it again with NumPy.")
        _, shape, kind, fortran, data = state
        self._array = _array(data, kind, shape, "F" if fortran is True else "C")

    def array(self) -> npt.NDArray[Any]:
        """The finished array. Raises RefusedError without its data."""
        if self._array is None:
            raise RefusedError("an array has no data: the file is damaged.")
        return self._array


def _array(data: object, kind: object, shape: object, order: object) -> npt.NDArray[Any]:
    # A view of the file's bytes: copies of one piece, asked for again and again, would fill memory.
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _DType):
        raise RefusedError("an array's data are no bytes of a number type.")
    if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise RefusedError("an array's shape is not a tuple of lengths.")
    if len(shape) > 8 or math.prod(shape) * kind.dtype.itemsize != len(data):
        raise RefusedError(
            f"an array of shape {list(shape)[:9]} comes with {len(data)} bytes: it is damaged."
        )
    flat = np.frombuffer(data, kind.dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _empty_array(kind: object, shape: object = (0,), code: object = b"b") -> PickledArray:
    if kind != _NDARRAY:
        raise RefusedError("a subclass of NumPy's array is asked for: only plain arrays are read.")
    return PickledArray()


def _array_from(data: object, kind: object, shape: object, order: object) -> PickledArray:
    return PickledArray(_array(data, kind, shape, order))


def _scalar(kind: object, data: object) -> PickledArray:
    return PickledArray(_array(data, kind, (), "C"))


def _encode(text: object, code: object = "latin1") -> bytes:
    if type(text) is not str or code not in ("latin1", "latin-1"):
        raise RefusedError("bytes are written in an unknown way.")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """Pickle's old protocols write empty bytes as a call."""
    return b""


def _ordered(items: object = ()) -> dict[Any, Any]:
    pairs = items if type(items) in (list, tuple) else [None]
    for pair in pairs:  # type: ignore[attr-defined]
        if type(pair) not in (list, tuple) or len(pair) != 2 or type(pair[0]) is not str:
            raise RefusedError("an ordered dict is not made of names and values.")
    return dict(pairs)  # type: ignore[call-overload, no-any-return]


def _path(*parts: object) -> str:
    if not all(type(part) is str for part in parts):
        raise RefusedError("a path in a checkpoint is not made of texts.")
    return "/".join(str(part).rstrip("/") or "/" for part in parts).replace("//", "/")


def _tensor(
    storage: object, offset: Any, shape: Any, strides: Any, grad: object = False, *hooks: object
) -> StoredTensor:
    """Torch's _rebuild_tensor_v2; the older _rebuild_tensor has the first four alone."""
    if not isinstance(storage, Storage) or type(shape) is not tuple or type(strides) is not tuple:
        raise RefusedError("a tensor is made of something else than a storage, sizes and strides.")
    if any(hook is not None and hook != {} for hook in hooks):
        raise RefusedError("a tensor comes with hooks, which are code: save its data alone.")
    return StoredTensor(storage, shape, strides, offset)


def _parameter(tensor: object, grad: object = False, hooks: object = None) -> StoredTensor:
    if not isinstance(tensor, StoredTensor) or (hooks is not None and hooks != {}):
        raise RefusedError("a parameter is not a tensor alone: save its data.")
    return tensor


TENSORS: Final[Mapping[str, object]] = {
    "collections.OrderedDict": Maker(_ordered),
    "torch._utils._rebuild_tensor": Maker(_tensor),
    "torch._utils._rebuild_tensor_v2": Maker(_tensor),
    "torch._utils._rebuild_parameter": Maker(_parameter),
    **{f"torch.{name}": StorageKind(kind) for name, kind in _STORAGES.items()},
}
"""State dicts: tensors and plain containers."""

_PATHS: Final = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")

WITH_OPTIONS: Final[Mapping[str, object]] = {
    **TENSORS,
    "argparse.Namespace": Maker(Options),
    **{f"pathlib.{name}": Maker(_path) for name in _PATHS},
    **{f"pathlib._local.{name}": Maker(_path) for name in _PATHS},
}
"""Training checkpoints: also the options of the program that wrote them."""

ARRAYS: Final[Mapping[str, object]] = {
    "collections.OrderedDict": Maker(_ordered),
    "_codecs.encode": Maker(_encode),
    "__builtin__.bytes": Maker(_no_bytes),
    _NDARRAY: _NDARRAY,
    "numpy.dtype": Maker(_DType),
    **{
        f"numpy.{core}.multiarray.{name}": Maker(make)
        for core in ("core", "_core")
        for name, make in (("_reconstruct", _empty_array), ("scalar", _scalar))
    },
    **{f"numpy.{core}.numeric._frombuffer": Maker(_array_from) for core in ("core", "_core")},
}
"""Dicts of NumPy arrays."""
