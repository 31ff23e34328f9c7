"""Checkpoints written by hand, as torch lays them out, so that every claim in one can be wrong."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any


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
