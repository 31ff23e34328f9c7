"""Safetensors files, with the types that NumPy has not and without loading all of one.

The format: eight bytes with the length of a JSON header, the header (name -> type, shape, and where
the bytes lie behind it), the bytes. The library's own NumPy reader knows no bfloat16.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from vasa_cam.checkpoints.machine import shown
from vasa_cam.checkpoints.stored import (
    ITEM_BYTES,
    Bytes,
    RefusedError,
    Storage,
    StoredTensor,
    dense,
)

_KINDS: Final = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
_MOST_HEADER: Final = 16 << 20


def read_safetensors(path: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Tensors, not read yet, and the texts in the header.

    Raises RefusedError when the header is damaged or does not fit the file.
    """
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        size = path.stat().st_size
        if not 2 <= length <= min(_MOST_HEADER, size - 8):
            raise RefusedError("the safetensors header does not fit the file: download it again.")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise RefusedError("the safetensors header is damaged: download it again.") from error
    if type(header) is not dict:
        raise RefusedError("the safetensors header is damaged: download it again.")
    texts = header.pop("__metadata__", {})
    if type(texts) is not dict or not all(type(text) is str for text in texts.values()):
        raise RefusedError("the safetensors header's texts are damaged: download it again.")
    start = 8 + length
    tensors = {name: _tensor(path, name, entry, start, size) for name, entry in header.items()}
    if sum(tensor.storage.nbytes for tensor in tensors.values()) > size - start:
        raise RefusedError("tensors of the safetensors file overlap: it was made to do harm.")
    return tensors, texts


def _tensor(path: Path, name: str, entry: Any, start: int, size: int) -> StoredTensor:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError) as error:
        raise RefusedError(
            f"the entry {shown(name)} is damaged: download the file again."
        ) from error
    if type(kind) is not str or kind not in _KINDS:
        raise RefusedError(
            f"{shown(name)} has the type {shown(str(kind))}, which is not read here."
        )
    count = math.prod(shape) if whole and len(shape) <= 8 else -1
    if count < 0 or end - begin != count * ITEM_BYTES[_KINDS[kind]] or start + end > size:
        raise RefusedError(f"the size of {shown(name)} does not fit the file: download it again.")
    storage = Storage(_KINDS[kind], count, lambda: _region(path, start + begin, end - begin))
    return dense(storage, tuple(shape))


def _region(path: Path, begin: int, length: int) -> Bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return np.frombuffer(file.read(length), np.uint8)


def header_texts(path: Path) -> Mapping[str, str]:
    """The texts in a file's header."""
    return read_safetensors(path)[1]
