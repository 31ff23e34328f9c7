"""The folder for what lives only while a daemon runs: its lock, its control port and token."""

from __future__ import annotations

import os
import secrets
import stat
import warnings
from pathlib import Path
from typing import Final

from vasa_cam.errors import InputError

ENDPOINT_FILE: Final = "control.json"
"""Holds port and token of the control socket."""


def runtime_folder() -> Path:
    """The user's own runtime folder for vasa-cam, made with mode 0700 if need be.

    Raises InputError when it cannot be made or belongs to somebody else, who could then read the
    control token or put another one there.
    """
    import platformdirs

    with warnings.catch_warnings():
        # About an XDG_RUNTIME_DIR that others can read, which it then does not use.
        warnings.simplefilter("ignore")
        folder = Path(platformdirs.user_runtime_dir("vasa-cam", appauthor=False))
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid"):
            _require_own(folder.parent, (os.getuid(), 0))
            _require_own(folder, (os.getuid(),))
            folder.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"cannot use the runtime folder {folder}: {error.strerror}; "
            "set XDG_RUNTIME_DIR to a folder of yours."
        ) from error
    return folder


def write_private(path: Path, text: str) -> None:
    """Put a text into a file that only this user can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _require_own(folder: Path, owners: tuple[int, ...]) -> None:
    """Not a link, a folder, ours."""
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in owners:
        raise InputError(
            f"the runtime folder {folder} is not a folder of yours; "
            "remove it or set XDG_RUNTIME_DIR to another one."
        )
