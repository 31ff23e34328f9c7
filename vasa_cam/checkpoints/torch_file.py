"""Files that torch.save wrote: the zip format, and the stream format from before torch 1.6.

Only descriptions are read at first; a tensor's bytes come when it is asked for. Zip entries must be
stored, not compressed, and must fit into the file together, so that a small file cannot become a
large one.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from vasa_cam.checkpoints.machine import Machine, shown
from vasa_cam.checkpoints.stored import ITEM_BYTES, Bytes, RefusedError, Storage
from vasa_cam.checkpoints.vocabulary import StorageKind

DAMAGE: Final = (
    *(zipfile.BadZipFile, struct.error, NotImplementedError, RuntimeError),
    *(ValueError, LookupError, EOFError, OSError),
)
"""What the standard library raises for damaged zip files."""

_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION: Final = 1001
_MOST_DIRECTORY: Final = 32 << 20
_END_RECORD: Final = b"PK\x05\x06"
_SEE_LARGE: Final = 0xFFFFFFFF
_END64_LOCATOR: Final = b"PK\x06\x07"


def read_zip(path: Path, names: Mapping[str, object]) -> Any:
    """The object in a zip file of torch.save; its tensors are StoredTensor.

    names: what it may name, see `vocabulary`. Raises RefusedError for anything unusual.
    """
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        root = _root(archive.namelist())
        entries = _checked_entries(path, archive.infolist())
        big_endian = False
        if f"{root}byteorder" in entries:
            big_endian = archive.read(f"{root}byteorder").strip() == b"big"

        def find(kind: str, key: str, count: int) -> Storage:
            name = f"{root}data/{key}"
            if name not in entries:
                raise RefusedError(
                    f"the storage {shown(key)} is missing: the file is incomplete, download it "
                    "again."
                )
            there_are = entries[name].file_size // ITEM_BYTES[kind]
            _check_count(key, count, there_are)
            return Storage(kind, count, lambda: _entry(path, name), big_endian)

        with archive.open(f"{root}data.pkl") as file:
            return Machine(names, _Storages(find)).run(file)  # type: ignore[arg-type]


def read_legacy(path: Path, names: Mapping[str, object]) -> Any:
    """The object in a stream file of torch.save, as `read_zip` gives it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        plain = Machine({})
        if plain.run(file) != _LEGACY_MAGIC or plain.run(file) != _LEGACY_VERSION:
            raise RefusedError("it is a pickle that torch did not write.")
        system = plain.run(file)
        big_endian = type(system) is dict and system.get("little_endian") is False
        places: dict[str, tuple[int, int]] = {}
        waiting: dict[str, Storage] = {}

        def find(kind: str, key: str, count: int) -> Storage:
            read = _Region(path, key, places, count * ITEM_BYTES[kind])
            waiting[key] = Storage(kind, count, read, big_endian)
            return waiting[key]

        value = Machine(names, _Storages(find)).run(file)
        keys = plain.run(file)
        if type(keys) is not list or not all(type(key) is str for key in keys):
            raise RefusedError("the list of storages is damaged: download the file again.")
        for key in keys:
            _place(file, key, waiting, places, size)
        if missing := waiting.keys() - places.keys():
            raise RefusedError(
                f"{len(missing)} storages are missing: the file is incomplete, download it again."
            )
    return value


class _Storages:
    """Answers persistent ids: ("storage", class, key, device, count), and None in old files."""

    def __init__(self, find: Callable[[str, str, int], Storage]) -> None:
        self._find = find
        self._known: dict[str, Storage] = {}

    def __call__(self, wanted: object) -> Storage:
        if type(wanted) is not tuple or len(wanted) not in (5, 6) or wanted[0] != "storage":
            raise RefusedError("a pickle refers to something that is no storage.")
        _, kind, key, _, count = wanted[:5]
        if not isinstance(kind, StorageKind) or type(key) is not str or type(count) is not int:
            raise RefusedError("a storage is described by something else than type, key and size.")
        if len(wanted) == 6 and wanted[5] is not None:
            raise RefusedError(
                "a storage is a view of another: save the weights with torch >= 1.6."
            )
        if not 0 <= count <= 1 << 40:
            raise RefusedError(f"a storage claims {count} elements: the file is damaged.")
        if key not in self._known:
            self._known[key] = self._find(str(kind), key, count)
        known = self._known[key]
        if (known.kind, known.count) != (str(kind), count):
            raise RefusedError(f"the storage {shown(key)} is described in two ways.")
        return known


class _Region:
    """Reads a storage of a stream file once the end of the file has said where it is."""

    def __init__(
        self, path: Path, key: str, places: dict[str, tuple[int, int]], nbytes: int
    ) -> None:
        self._path, self._key, self._places, self._nbytes = path, key, places, nbytes

    def __call__(self) -> Bytes:
        with self._path.open("rb") as file:
            file.seek(self._places[self._key][0])
            return np.frombuffer(file.read(self._nbytes), np.uint8)


def _place(
    file: BinaryIO,
    key: str,
    waiting: Mapping[str, Storage],
    places: dict[str, tuple[int, int]],
    size: int,
) -> None:
    """Note where a storage lies and go to the next one."""
    head = file.read(8)
    if key not in waiting or key in places or len(head) < 8:
        raise RefusedError(
            "the list of storages does not fit the tensors: download the file again."
        )
    (count,) = struct.unpack(">q" if waiting[key].big_endian else "<q", head)
    _check_count(key, waiting[key].count, count)
    places[key] = (file.tell(), waiting[key].nbytes)
    if file.tell() + waiting[key].nbytes > size:
        raise RefusedError("the file ends inside a storage: download it again.")
    file.seek(waiting[key].nbytes, os.SEEK_CUR)


def _check_count(key: str, claimed: int, there_are: int) -> None:
    if claimed != there_are:
        raise RefusedError(
            f"the storage {shown(key)} has {there_are} elements, its description says {claimed}: "
            "the file is damaged, download it again."
        )


def _check_directory(path: Path) -> None:
    """Refuse a zip file whose list of entries would take much memory."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16) - 64))
        tail = file.read()
        at = tail.rfind(_END_RECORD)
        if at < 0 or len(tail) < at + 22:
            raise RefusedError("the zip file is incomplete: download it again.")
        directory: int = struct.unpack_from("<I", tail, at + 12)[0]
        if at >= 20 and tail[at - 20 : at - 16] == _END64_LOCATOR:
            # Readers differ in where they look for the large record: where it should be, or where
            # the locator says.
            (place,) = struct.unpack_from("<Q", tail, at - 12)
            for start in (place, size - len(tail) + at - 20 - 56):
                if not 0 <= start <= size - 56:
                    raise RefusedError("the zip file is damaged: download it again.")
                file.seek(start)
                (large,) = struct.unpack("<Q", file.read(56)[40:48])
                directory = large if directory in (large, _SEE_LARGE) else max(directory, large)
        if directory > _MOST_DIRECTORY:
            raise RefusedError("the zip file lists more entries than any checkpoint has.")


def _checked_entries(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise RefusedError(
                f"the entry {shown(info.filename)} is compressed, which torch never does: "
                "save the weights again with torch."
            )
        if info.flag_bits & 1:
            raise RefusedError(f"the entry {shown(info.filename)} is encrypted.")
    entries = {info.filename: info for info in infos}
    if len(entries) != len(infos) or sum(info.file_size for info in infos) > path.stat().st_size:
        raise RefusedError("entries of the zip file repeat or overlap: it was made to do harm.")
    return entries


def _root(names: list[str]) -> str:
    """The folder of all entries, with a slash."""
    roots = [name[: -len("data.pkl")] for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or roots[0].count("/") != 1:
        raise RefusedError("the zip file is none that torch.save wrote.")
    if f"{roots[0]}constants.pkl" in names:
        raise RefusedError("it is a TorchScript program: get the weights as a state dict.")
    return roots[0]


def _entry(path: Path, name: str) -> Bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return np.frombuffer(archive.read(name), np.uint8)
    except DAMAGE as error:
        raise RefusedError(f"{path} is damaged ({error}): download it again.") from error
