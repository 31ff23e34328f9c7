"""Weight files: safetensors whose header names their format, version and where they come from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

from vasa_cam.errors import InputError

Tensors = dict[str, npt.NDArray[np.float32]]
Network = TypeVar("Network")

VERSION = "1"
_PREFIX = "vasa_cam."


def read_weights(
    path: Path, kind: str, arrange: Callable[[Tensors, dict[str, Any]], Network]
) -> Network:
    """What `arrange` makes of the tensors and the header of a file of `kind`.

    InputError in one sentence when the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if (header.get("format"), header.get("version")) != (_PREFIX + kind, VERSION):
                raise InputError(
                    f"{path} is not a version {VERSION} {kind} weight file: use one that the "
                    "training of this version made."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrange(tensors, json.loads(header["info"]))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} could not be read as {kind} weights ({error}): make it again or reinstall."
        ) from error


def write_weights(
    path: Path, kind: str, tensors: Mapping[str, npt.NDArray[Any]], info: dict[str, Any]
) -> None:
    """Write a weight file in one piece. tensors: stored in the types they have."""
    metadata = {
        "format": _PREFIX + kind,
        "version": VERSION,
        "info": json.dumps(info, sort_keys=True),
    }
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(save(dict(tensors), metadata))
    os.replace(temporary, path)
