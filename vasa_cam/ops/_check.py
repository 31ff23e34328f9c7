"""Checks that every op makes before it touches the native code, and the few facts about arrays.

Ops take C-contiguous arrays: NumPy on the CPU, or anything with DLPack (torch, CuPy) on a GPU.
Messages name op, argument, expected, got and the remedy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A NumPy array, or a torch or CuPy array on a CUDA device."""

FLOATS: Final = ("float32", "float16", "bfloat16")
"""Types of the neural ops' data. NumPy has no bfloat16: it comes from torch or CuPy."""

_CUDA_DEVICE_TYPES = (2, 13)  # DLPack: device memory, managed memory


def device_of(array: Array, op: str, name: str) -> tuple[str, int]:
    """("cpu", 0) or ("cuda", ordinal) of an array; TypeError for anything that is not an array."""
    if isinstance(array, np.ndarray):
        return "cpu", 0
    if not hasattr(array, "__dlpack_device__"):
        raise TypeError(
            f"{op}: {name} must be a NumPy array or an array with DLPack, "
            f"got {type(array).__name__}; convert it with numpy.asarray()"
        )
    kind, ordinal = array.__dlpack_device__()
    return ("cuda", int(ordinal)) if int(kind) in _CUDA_DEVICE_TYPES else ("cpu", 0)


def dtype_name(array: Array) -> str:
    """ "float32", "uint8", ... for NumPy, CuPy and torch alike."""
    return _name_of(array.dtype)


@cache
def _name_of(dtype: Any) -> str:
    # Spelling a NumPy dtype takes longer than every other check of an array together.
    return str(dtype).rpartition(".")[2]


def is_contiguous(array: Array) -> bool:
    """Whether the elements lie in C order without gaps."""
    flags = getattr(array, "flags", None)
    if flags is not None:
        return bool(flags.c_contiguous)
    return bool(array.is_contiguous())


def check_array(
    array: Array,
    op: str,
    name: str,
    dtype: str | tuple[str, ...],
    shape: Sequence[int | tuple[int, ...] | None],
    device: tuple[str, int] | None = None,
) -> tuple[int, ...]:
    """Raise unless `array` has this dtype, shape and device and is C-contiguous; return its shape.

    In `shape` an int is a demand, None any size, a tuple of ints one of these sizes; `dtype` may
    be a tuple likewise. Raises TypeError for a wrong kind of object or dtype, ValueError for
    shape, layout and device.
    """
    found_device = device_of(array, op, name)
    found_dtype = dtype_name(array)
    if found_dtype not in ((dtype,) if isinstance(dtype, str) else dtype):
        raise TypeError(
            f"{op}: {name} must be {_dtype_text(dtype)}, got {found_dtype}; convert it with "
            + (".astype()" if hasattr(array, "astype") else ".to()")
        )
    _check_exportable(array, found_dtype, op, name)
    found = tuple(int(size) for size in array.shape)
    if len(found) != len(shape) or not all(map(_size_fits, found, shape)):
        raise ValueError(f"{op}: {name} must be {_shape_text(shape)}, got {list(found)}")
    if not is_contiguous(array):
        raise ValueError(
            f"{op}: {name} must be C-contiguous, got a strided view; "
            "pass numpy.ascontiguousarray() of it"
        )
    if device is not None and found_device != device:
        raise ValueError(
            f"{op}: {name} must be on {device[0]} like the other arrays, got {found_device[0]}"
        )
    return found


def _check_exportable(array: Array, dtype: str, op: str, name: str) -> None:
    """Raise for the two kinds of arrays that have DLPack, and yet refuse to be passed on by it."""
    if dtype == "bfloat16" and isinstance(array, np.ndarray):
        raise TypeError(
            f"{op}: {name} is a NumPy array of bfloat16, which NumPy cannot pass on; "
            "use a torch tensor or float32"
        )
    if getattr(array, "requires_grad", False):
        raise ValueError(f"{op}: {name} requires a gradient, which no op gives; pass .detach()")


def check_output(
    out: Array | None,
    op: str,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    like: Array,
) -> Array:
    """`out` after checking it, or a new array of this dtype and shape on the device of `like`."""
    if out is None:
        return empty_like_device(shape, dtype, like)
    check_array(out, op, name, dtype, shape, device_of(like, op, name))
    check_writable(out, op, name)
    return out


def check_writable(array: Array, op: str, name: str) -> None:
    """Raise ValueError when NumPy forbids writing to an array that the op fills."""
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(f"{op}: {name} is read-only; pass an array that can be written")


def empty_like_device(shape: tuple[int, ...], dtype: str, like: Array) -> Array:
    """An uninitialised array by the library and on the device of `like`."""
    library = type(like).__module__.partition(".")[0]
    if library == "torch":
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)
    if library == "cupy":
        cupy = sys.modules["cupy"]
        with like.device:
            return cupy.empty(shape, dtype=dtype)
    return np.empty(shape, dtype=dtype)


def current_stream(like: Array) -> int:
    """The caller's current CUDA stream as an integer handle; 0 on the CPU.

    The op runs on it, so it is ordered with the caller's own work and nobody has to synchronise.
    """
    library = type(like).__module__.partition(".")[0]
    if library == "torch" and like.is_cuda:
        return int(sys.modules["torch"].cuda.current_stream(like.device).cuda_stream)
    if library == "cupy":
        return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    return 0


def _dtype_text(dtype: str | tuple[str, ...]) -> str:
    if isinstance(dtype, str):
        return dtype
    return " or ".join(filter(None, (", ".join(dtype[:-1]), dtype[-1])))


def _size_fits(size: int, wanted: int | tuple[int, ...] | None) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, tuple):
        return size in wanted
    return size == wanted


def _shape_text(shape: Sequence[int | tuple[int, ...] | None]) -> str:
    def text(wanted: int | tuple[int, ...] | None) -> str:
        if wanted is None:
            return "*"
        return " or ".join(map(str, wanted)) if isinstance(wanted, tuple) else str(wanted)

    return "[" + ", ".join(map(text, shape)) + "]"
