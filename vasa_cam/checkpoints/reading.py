"""Opens a checkpoint of any kind by its first bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vasa_cam.checkpoints.machine import Machine
from vasa_cam.checkpoints.safetensors_file import read_safetensors
from vasa_cam.checkpoints.stored import RefusedError, StoredTensor
from vasa_cam.checkpoints.torch_file import DAMAGE, read_legacy, read_zip
from vasa_cam.checkpoints.vocabulary import ARRAYS, TENSORS, WITH_OPTIONS, Options, PickledArray
from vasa_cam.errors import InputError

VOCABULARIES: Final = {"tensors": TENSORS, "options": WITH_OPTIONS, "arrays": ARRAYS}

_DEEPEST: Final = 12
_MOST_VALUES: Final = 500_000


@dataclass(frozen=True, eq=False)
class Content:
    """What a file holds.

    value: dicts, lists and tuples of StoredTensor, NumPy arrays, texts, numbers; Options as dicts.
    format: "zip", "legacy", "pickle" or "safetensors".
    """

    value: Any
    format: str


def read_checkpoint(path: Path, vocabulary: str = "tensors") -> Content:
    """Open a checkpoint without running anything in it. Tensors are read when they are asked for.

    vocabulary: what a pickle in it may name: "tensors" (state dicts), "options" (also a namespace
    and paths, as plain data) or "arrays" (NumPy arrays, no tensors).
    Raises InputError in one sentence for what is no checkpoint, is damaged, or names anything else.
    """
    names = VOCABULARIES[vocabulary]
    try:
        with path.open("rb") as file:
            head = file.read(16)
        form = _format(head)
        value = _read(path, form, names)
        return Content(_plain(value, 0, {}), form)
    except RefusedError as error:
        raise RefusedError(f"{path} is not used: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except DAMAGE as error:
        raise RefusedError(
            f"{path} is not used: it is damaged ({error}), download it again."
        ) from error


def _format(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if len(head) > 8 and head[8:9] == b"{" and head[4:8] == b"\0\0\0\0":
        return "safetensors"
    if head.startswith(b"\x80"):
        # torch's stream begins with its magic number, in pickle protocol 2.
        return "legacy" if head[2:5] == b"\x8a\x0a\x6c" else "pickle"
    raise RefusedError(
        "its first bytes are those of no checkpoint: expected a file of torch.save, a safetensors "
        "file or a pickled dict of arrays."
    )


def _read(path: Path, form: str, names: Mapping[str, object]) -> Any:
    if form == "zip":
        return read_zip(path, names)
    if form == "legacy":
        return read_legacy(path, names)
    if form == "safetensors":
        return read_safetensors(path)[0]
    with path.open("rb") as file:
        return Machine(names).run(file)


def _plain(value: Any, depth: int, done: dict[int, Any]) -> Any:
    """The same tree without the classes of the reader; what is shared stays shared."""
    if isinstance(value, StoredTensor | str | int | float | bool | bytes | bytearray | None):
        return value
    if id(value) in done:
        return done[id(value)][1]
    if depth > _DEEPEST or len(done) > _MOST_VALUES:
        raise RefusedError("its values are nested deeper than those of any checkpoint.")
    # The value is kept with its twin: an object that was freed could lend another one its id.
    if isinstance(value, PickledArray):
        result: Any = value.array()
    elif isinstance(value, Options):
        result = _plain(value.values, depth, done)
    elif type(value) is dict:
        result = {key: _plain(item, depth + 1, done) for key, item in value.items()}
    elif type(value) in (list, tuple):
        result = type(value)(_plain(item, depth + 1, done) for item in value)
    else:
        raise RefusedError("it holds something that is no data, such as a storage by itself.")
    done[id(value)] = (value, result)
    return result
