"""The preview: a page with picture, figures and controls, and a browser source for OBS.

A small web server on 127.0.0.1 in a thread of its own. As a sink it never fails and never waits: a
viewer that is slow sees fewer frames, and without viewers nothing is encoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from vasa_cam.errors import InputError
from vasa_cam.output.preview_frames import FrameBoard, FrameEncoder, FrameTimes, Kind
from vasa_cam.output.preview_guard import Guard
from vasa_cam.output.preview_routes import PreviewHooks, Routes
from vasa_cam.output.sink import Bytes

_log = logging.getLogger(__name__)

_HOST: Final = "127.0.0.1"
_STARTS_S: Final = 10.0
_ENDS_S: Final = 3.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True)
class PreviewConfig:
    """The preview server.

    port: on 127.0.0.1; 0 takes a free one and keeps it. token: what clients must know; None makes
    one for this run, a fixed one keeps addresses valid (an OBS scene) and is the user's secret.
    alpha: ask for frames with transparency, which the browser source needs.
    Raises InputError for ports out of range and tokens that are guessed too easily.
    """

    port: int = 0
    token: str | None = None
    alpha: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise InputError(f"the preview's port is {self.port}; expected 0 to 65535.")
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InputError(
                "the preview's token is too short or not plain; expected 16 to 128 of A-Z, a-z, "
                "0-9, - and _."
            )


class PreviewServer:
    """Serves from `open` to `close`; the address stays the same when it is opened again.

    metrics, control, pcm, clear: see `PreviewHooks`; they are called in threads of the server.
    """

    name = "preview"

    def __init__(
        self,
        config: PreviewConfig | None = None,
        *,
        metrics: Callable[[], str],
        control: Callable[[dict[str, Any]], Mapping[str, Any]],
        pcm: Callable[[bytes], int | None] | None = None,
        clear: Callable[[], None] | None = None,
    ) -> None:
        self.config = config or PreviewConfig()
        self.wants_alpha = self.config.alpha
        self._guard = Guard(self.config.token or secrets.token_urlsafe(24))
        self._guard.port = self.config.port
        self._hooks = PreviewHooks(metrics, control, pcm, clear)
        self._board = FrameBoard()
        self._encoder = FrameEncoder()
        self._mirrored = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port, 0 before the first `open`."""
        return self._guard.port

    @property
    def token(self) -> str:
        """What clients must know."""
        return self._guard.token

    @property
    def url(self) -> str:
        """The page's address, token included."""
        return f"http://{_HOST}:{self.port}/?token={self.token}"

    @property
    def obs_url(self) -> str:
        """The browser source's address, token included."""
        return f"http://{_HOST}:{self.port}/obs?token={self.token}"

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._board.viewers)

    @property
    def alpha_watched(self) -> bool:
        """Whether a browser source watches: frames without one need no transparency."""
        return any(viewer.kind == "alpha" for viewer in tuple(self._board.viewers))

    def set_mirror(self, mirrored: bool) -> None:
        """Whether the page shows the picture as in a mirror; the browser source never does."""
        self._mirrored = mirrored

    def open(self) -> None:
        """Begin to serve. Raises InputError when the port is taken."""
        if self._thread is not None:
            return
        listener = _listen(self._guard.port)
        self._guard.port = listener.getsockname()[1]
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(listener, started), name="preview", daemon=True
        )
        self._thread.start()
        if not started.wait(_STARTS_S) or self._loop is None:
            self.close()
            raise InputError("the preview server did not start; its log says more.")

    def send(self, frame: Bytes, capture_ns: int, shown_ns: int, sequence: int) -> None:
        """Show a frame to those who watch."""
        rgba = frame if frame.shape[2] == 4 else None
        self.send_both(frame, rgba, capture_ns, shown_ns, sequence)

    def send_both(
        self, rgb: Bytes, rgba: Bytes | None, capture_ns: int, shown_ns: int, sequence: int
    ) -> None:
        """The page gets the picture before its background, the browser source the other."""
        loop = self._loop
        if loop is None:
            return
        pictures: dict[Kind, Bytes] = {"opaque": rgb}
        if rgba is not None or not self.wants_alpha:
            pictures["alpha"] = rgb if rgba is None else rgba
        times = FrameTimes(capture_ns, shown_ns, sequence)
        for kind in self._board.wanted() & pictures.keys():
            encoded = self._encoder.encode(pictures[kind], times, self._mirrored)
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(self._board.deliver, kind, encoded)

    def close(self) -> None:
        """End all connections and the server."""
        thread, self._thread = self._thread, None
        loop, self._loop = self._loop, None
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ENDS_S)

    def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        """The server's thread, from bound socket to the last goodbye."""
        loop = asyncio.new_event_loop()
        try:
            routes = Routes(self._guard, self._board, self._hooks)
            runner = web.AppRunner(routes.application(), access_log=None, shutdown_timeout=0.2)
            loop.run_until_complete(runner.setup())
            loop.run_until_complete(web.SockSite(runner, listener).start())
            self._loop = loop
            started.set()
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
        except Exception:
            _log.exception("the preview server failed")
        finally:
            started.set()
            with contextlib.suppress(Exception):
                _end_tasks(loop)
            loop.close()
            listener.close()


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1.0))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Only where it means "although an old connection lingers", not "although one listens".
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise InputError(
            f"the preview cannot use port {port} of this machine ({error.strerror}); choose "
            "another one, or 0 for any that is free."
        ) from error
    return listener
