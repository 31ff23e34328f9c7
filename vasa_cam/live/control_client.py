"""Talks to a running daemon: what `vasa-cam ctl` and scripts in Python use."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from vasa_cam.errors import InputError
from vasa_cam.live.runtime_dir import ENDPOINT_FILE, runtime_folder

_TIMEOUT_S: Final = 10.0
_REPLY_BYTES: Final = 1 << 20
_NOT_RUNNING: Final = "vasa-cam live is not running; start it with: vasa-cam live"


class ControlClient:
    """One connection to the daemon of this user; a context manager.

    folder: where the endpoint file is, by default the user's runtime folder. about: what that file
    tells: "webcam", the device, "preview", the page's address with its token, "microphone", the
    virtual one; null where there is none. Raises InputError when no daemon runs.
    """

    about: dict[str, Any]

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def __enter__(self) -> ControlClient:
        path = (self._folder or runtime_folder()) / ENDPOINT_FILE
        try:
            self.about = endpoint = json.loads(path.read_text(encoding="utf-8"))
            address = ("127.0.0.1", int(endpoint["port"]))
            self._socket = socket.create_connection(address, timeout=_TIMEOUT_S)
        except FileNotFoundError:
            raise InputError(_NOT_RUNNING) from None
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            # Left behind by a daemon that was killed.
            raise InputError(_NOT_RUNNING) from None
        self._file = self._socket.makefile("rwb")
        try:
            self.send({"token": endpoint["token"]})
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a command such as {"command": "gaze", "x": 10, "y": -5}; what the daemon answers.

        Raises InputError with the daemon's sentence when it refuses, or when it is gone.
        """
        try:
            self._file.write(json.dumps(message).encode() + b"\n")
            self._file.flush()
            line = self._file.readline(_REPLY_BYTES)
            reply = json.loads(line) if line else {}
        except (OSError, ValueError) as error:
            raise InputError(f"vasa-cam live does not answer ({error}); is it stopped?") from None
        if not isinstance(reply, dict) or not reply.get("ok"):
            sentence = reply.get("error") if isinstance(reply, dict) else None
            raise InputError(str(sentence or "vasa-cam live closed the connection; try again."))
        return reply
