"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vasa_cam.errors import InputError


def check_output_path(path: Path) -> None:
    """Raise InputError when no file can be put there: no folder, no permission, or a folder."""
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist; create it or choose another output.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the folder {folder} cannot be written to; choose another output.")


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to and renames it over `path` at the end.

    When the body fails, nothing is left behind and an older file stays. Raises InputError when the
    folder is missing (before the body runs) or cannot be written, or the disk is full.
    """
    check_output_path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; "
            "choose a folder that exists, is writable and has room"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
