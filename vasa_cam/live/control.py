"""The control socket: one JSON object a line, on 127.0.0.1, for those who can read the token.

Each line is a command of `vasa_cam.live.commands`; each is answered by one line, `{"ok": true}`
with what was asked for, or `{"ok": false, "error": sentence}`. The first line of a connection must
also hold the token; a connection without it is closed at its first mistake, so that a web page that
posts to the port gets nothing. Nothing a client does, or leaves undone, blocks the daemon: one
thread of its own waits for all of them, with bounded memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vasa_cam.live.command_desk import CommandDesk, Handler, Reply, failure
from vasa_cam.live.runtime_dir import ENDPOINT_FILE, write_private

LINE_BYTES: Final = 8192
"""The longest line."""
CLIENTS: Final = 16
"""The most connections at a time."""

_TOKEN_S: Final = 5.0
_GOODBYE_S: Final = 0.2
_OUTBOX_BYTES: Final = 65_536
_STALLED_S: Final = 10.0
_LINES_A_TURN: Final = 100
_TURN_S: Final = 0.01


class ControlServer:
    """Serves the control socket from a thread of its own; a context manager.

    handler: called in that thread with every checked command, see `CommandDesk`. commands_per_s:
    how often at most. folder: where the endpoint file is written, readable by this user only; None
    writes none. about: what else is written there, such as the preview's address.
    """

    def __init__(
        self,
        handler: Handler,
        commands_per_s: float = 100.0,
        folder: Path | None = None,
        about: Mapping[str, str | None] | None = None,
    ) -> None:
        self.token: Final = secrets.token_urlsafe(24)
        self.port = 0
        self.clients = 0
        self._desk = CommandDesk(handler, commands_per_s)
        self._about = dict(about or {})
        self._endpoint = folder / ENDPOINT_FILE if folder is not None else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._catching_up: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> ControlServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, then write the endpoint file. Raises OSError when no socket is to be had."""
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed
        if self._endpoint is not None:
            endpoint = {"port": self.port, "token": self.token, **self._about}
            write_private(self._endpoint, json.dumps(endpoint))

    def stop(self) -> None:
        """Close everything and remove the endpoint file; harmless when called again."""
        if self._endpoint is not None:
            self._endpoint.unlink(missing_ok=True)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def counts(self) -> Mapping[str, int]:
        """What came since the start, and how many clients there are."""
        return {**vars(self._desk.counts), "clients": self.clients}

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=LINE_BYTES)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._stopping.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:  # the reply to "stop" still goes out; asyncio.run ends what takes longer
            await asyncio.wait(others, timeout=_GOODBYE_S)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        try:
            if self.clients > CLIENTS:
                writer.write(_line(failure(f"there are {CLIENTS} connections already.")))
            else:
                await self._answer_lines(reader, writer)
        except (OSError, asyncio.TimeoutError):
            pass  # gone, silent or stalled
        finally:
            self.clients -= 1
            writer.close()

    async def _answer_lines(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        trusted, count = False, 0
        while not self._stopping.is_set():
            try:
                reading = reader.readline()
                line = await (reading if trusted else asyncio.wait_for(reading, _TOKEN_S))
            except ValueError:
                writer.write(_line(failure(f"a line may have at most {LINE_BYTES} bytes.")))
                return
            if not line:
                return
            trusted, reply = self._answer(line, trusted)
            writer.write(_line(reply))
            if not trusted:
                return
            if writer.transport.get_write_buffer_size() > _OUTBOX_BYTES:
                await asyncio.wait_for(writer.drain(), _STALLED_S)
            count += 1
            if count % _LINES_A_TURN == 0:
                # A flood is read in short bursts; between them the daemon has the interpreter.
                await asyncio.sleep(_TURN_S)

    def _answer(self, line: bytes, trusted: bool) -> tuple[bool, Reply]:
        """Whether the client is trusted from now on, and the reply."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._desk.counts.malformed += 1
            return trusted, failure("this is not a line of JSON.")
        token = message.pop("token", None) if isinstance(message, dict) else None
        if not trusted:
            if not isinstance(token, str) or not secrets.compare_digest(
                token.encode("utf-8", "replace"), self.token.encode()
            ):
                return False, failure("the first line must hold the token of this run.")
            if not message:
                return True, {"ok": True}
        reply = self._desk.answer(message)
        if self._desk.busy and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())
        return True, reply

    async def _catch_up(self) -> None:
        while self._desk.busy:
            await asyncio.sleep(_TURN_S)
            self._desk.catch_up()


def _line(reply: Reply) -> bytes:
    return json.dumps(reply, default=str).encode() + b"\n"
