"""One daemon a user: a second one is told about the first.

The lock is the operating system's, so that it ends with the process, even one that was killed; what
the file says is only for the message.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from types import TracebackType

from vasa_cam.errors import InputError
from vasa_cam.live.runtime_dir import runtime_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK_AT = 1 << 20
"""Windows locks bytes against reading too; this one lies behind all there is to read."""


class InstanceLock:
    """Context manager that holds the right to be the only live daemon of this user.

    folder: where the lock file lies, by default the user's runtime folder. Raises InputError, which
    names the other process and how to stop it, when there is one already.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._handle: int | None = None

    def __enter__(self) -> InstanceLock:
        path = (self._folder or runtime_folder()) / "live.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle)
        except OSError:
            os.close(handle)
            raise InputError(_taken(path)) from None
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid()}).encode())
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The file stays: removing it could take it from a daemon that locks it just now.
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, _LOCK_AT, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _taken(path: Path) -> str:
    process = ""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        pid = int(json.loads(path.read_text(encoding="utf-8"))["pid"])
        process = f" (process {pid})"
    return f"vasa-cam live is running already{process}; stop it first with: vasa-cam ctl stop"
