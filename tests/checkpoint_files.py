"""Checkpoints written by hand, as torch lays them out, so that every claim in one can be wrong."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vasa_cam.checkpoints.architecture import Expected

_STORAGES = {"float32": "Float", "float16": "Half", "int64": "Long", "bool": "Bool"}


class Calls:
    """Pickled as a call of a function: what a malicious file does."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def zipped(
    path: Path, pickled: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED
) -> Path:
    """A file as torch.save lays it out."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", "3\n")
    return path


def rebuild(
    offset: object, size: object, stride: object, *, count: int = 8, tail: bytes = b"\x89}"
) -> bytes:
    """The pickle of one tensor with such numbers, of storage 0 with `count` floats."""
    plain = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    plain += (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    )
    plain += b"J" + struct.pack("<i", count) + b"tQ"
    numbers = b"".join(pickle.dumps(number, 2)[2:-1] for number in (offset, size, stride))
    return plain + numbers + tail + b"tR."


def legacy(*parts: bytes) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join([*(pickle.dumps(part, 2) for part in head), *parts])


KEYS = pickle.dumps(["0"], 2)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def state_dict(arrays: Mapping[str, np.ndarray], first: int = 0) -> tuple[bytes, dict[str, bytes]]:
    """The instructions that make a dict of tensors, and their storages, numbered from `first`."""
    program, storages = b"}(", {}
    for index, (key, array) in enumerate(arrays.items(), first):
        strides = tuple(step // array.itemsize for step in array.strides)
        storages[str(index)] = array.tobytes()
        program += _text(key) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + _text("storage")
        program += f"ctorch\n{_STORAGES[array.dtype.name]}Storage\n".encode()
        program += _text(str(index)) + _text("cpu") + b"J" + struct.pack("<i", array.size) + b"tQ"
        for numbers in ((0,), array.shape, strides):
            inside = b"".join(b"J" + struct.pack("<i", number) for number in numbers)
            program += inside if numbers == (0,) else b"(" + inside + b"t"
        program += b"\x89}tR"
    return program + b"u", storages


def save_as_torch_does(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    under: str | None = None,
    options: Mapping[str, object] | None = None,
) -> Path:
    """A zip file of torch.save with a state dict, or a dict with it and a program's options."""
    program, storages = state_dict(arrays)
    if under is not None:
        program = b"}(" + _text(under) + program
        if options is not None:
            values = b"".join(_text(k) + pickle.dumps(v, 2)[2:-1] for k, v in options.items())
            program += _text("args") + b"cargparse\nNamespace\n)\x81}(" + values + b"ub"
        program += b"u"
    return zipped(path, b"\x80\x02" + program + b".", storages)


def random_state(
    keys: Iterable[tuple[str, Expected]], rng: np.random.Generator, dtype: str = "float32"
) -> dict[str, np.ndarray]:
    """Tensors of a description, with random numbers."""
    kinds = {"float": dtype}
    return {
        key: (rng.normal(size=e.shape) * 0.1).astype(kinds.get(e.kind, e.kind)) for key, e in keys
    }
