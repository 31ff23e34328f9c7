"""What the preview server answers: pages, frames, controls, sound and figures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from aiohttp import WSMsgType, web

from vasa_cam.errors import InputError
from vasa_cam.output.preview_frames import FrameBoard, Kind, Viewer
from vasa_cam.output.preview_guard import Bucket, Guard, plain

_log = logging.getLogger(__name__)

VIEWERS: Final = 8
CONTROLLERS: Final = 8
COMMAND_BYTES: Final = 4096
COMMANDS_A_S: Final = 60.0
AUDIO_MESSAGE_BYTES: Final = 65_536
AUDIO_BYTES_A_S: Final = 50 * 32_000
"""Fifty times real time: a synthesiser that is that fast is slowed down, not cut off."""
_TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_FREE: Final = frozenset({"/", "/obs", "/health", "/favicon.ico"})
"""Answered without the token, as is /page/: nothing in them is anybody's secret."""
_BOUNDARY: Final = "vasa-cam-frame"
_ABUSE: Final = 200
_GOODBYE_S: Final = 1.0


@dataclass(frozen=True)
class PreviewHooks:
    """What the server's owner gives it.

    metrics: Prometheus text. control: does a command, returns what the reply shall hold, raises
    InputError with what is wrong. pcm: takes s16le bytes and returns how many it dropped (or
    nothing); None where no sound is taken. clear: forgets sound that was not played.
    """

    metrics: Callable[[], str]
    control: Callable[[dict[str, Any]], Mapping[str, Any]]
    pcm: Callable[[bytes], int | None] | None = None
    clear: Callable[[], None] | None = None


class Routes:
    """Handlers of one server; everything but the constructor runs in the server's loop."""

    def __init__(self, guard: Guard, board: FrameBoard, hooks: PreviewHooks) -> None:
        self._guard, self._board, self._hooks = guard, board, hooks
        self._pages = dict(_page_files())
        self._commands = Bucket(COMMANDS_A_S, COMMANDS_A_S / 2)
        self._controllers = 0
        self._speaker = False
        self._sockets: set[web.WebSocketResponse] = set()
        self._goodbyes: asyncio.Future[list[object]] | None = None
        # The hooks may wait for locks of their owner; the loop must not.
        self._workers = ThreadPoolExecutor(2, "preview-call")

    def application(self) -> web.Application:
        """The application; its clean-up ends all streams."""
        app = web.Application(client_max_size=COMMAND_BYTES, middlewares=[self._check])
        get, post = app.router.add_get, app.router.add_post
        get("/", self._page("index.html"))
        get("/obs", self._page("obs.html"))
        for name in self._pages:
            if not name.endswith(".html"):
                get(f"/page/{name}", self._page(name))
        get("/favicon.ico", self._page("icon.svg"))
        get("/health", self._health)
        get("/metrics", self._metrics)
        get("/frames", self._frames)
        get("/stream.mjpg", self._mjpeg)
        get("/control", self._control_socket)
        post("/control", self._control)
        get("/audio", self._audio)
        app.on_shutdown.append(self._end)
        return app

    @web.middleware
    async def _check(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        path = request.path
        free = path in _FREE or path.startswith("/page/")
        refusal = self._guard.refuse(request, needs_token=not free)
        if refusal is None:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = plain(error.status, error.reason)
        else:
            response = refusal
        if not response.prepared:
            self._guard.protect(response)
        return response

    def _page(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        body, kind = self._pages[name], _TYPES[name.rpartition(".")[2]]

        async def page(request: web.Request) -> web.Response:
            return web.Response(body=body, content_type=kind, charset="utf-8")

        return page

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def _metrics(self, request: web.Request) -> web.Response:
        text = await self._call(self._hooks.metrics)
        return web.Response(
            body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _frames(self, request: web.Request) -> web.StreamResponse:
        """Binary messages, one a frame. ?acks=1: the client answers each with any text message."""
        acks = request.query.get("acks") == "1"
        kind: Kind = "alpha" if request.query.get("alpha") == "1" else "opaque"
        with self._watching(kind) as viewer:
            if viewer is None:
                return plain(503, f"{VIEWERS} viewers are connected; close one")
            async with self._socket(request, 256) as socket:
                sender = asyncio.create_task(_send_frames(socket, viewer, acks))
                try:
                    async for message in socket:
                        if acks and message.type == WSMsgType.TEXT:
                            viewer.shown()
                finally:
                    sender.cancel()
                    await asyncio.gather(sender, return_exceptions=True)
            return socket

    async def _mjpeg(self, request: web.Request) -> web.StreamResponse:
        """For programs that know no WebSockets: an endless multipart answer of JPEGs."""
        with self._watching("opaque") as viewer:
            if viewer is None:
                return plain(503, f"{VIEWERS} viewers are connected; close one")
            response = web.StreamResponse()
            response.headers["Content-Type"] = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
            self._guard.protect(response)
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    frame = await viewer.next()
                    part = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    part += f"Content-Length: {len(frame.jpeg)}\r\n\r\n"
                    await response.write(part.encode() + frame.jpeg + b"\r\n")
                    viewer.shown()
            return response

    async def _control(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return plain(415, "send the command as application/json")
        reply = await self._answer(await request.text())
        return web.json_response(reply, status=200 if reply["ok"] else 400)

    async def _control_socket(self, request: web.Request) -> web.StreamResponse:
        """Text messages, one command each; each is answered by one message, in order."""
        if self._controllers >= CONTROLLERS:
            return plain(503, f"{CONTROLLERS} controllers are connected; close one")
        self._controllers += 1
        refused = 0
        try:
            async with self._socket(request, COMMAND_BYTES) as socket:
                async for message in socket:
                    if message.type != WSMsgType.TEXT:
                        continue
                    reply = await self._answer(message.data)
                    refused = refused + 1 if reply.get("busy") else max(0, refused - 1)
                    if refused > _ABUSE:
                        await socket.close(code=1008, message=b"too many commands")
                        break
                    await socket.send_json(reply)
            return socket
        finally:
            self._controllers -= 1

    async def _audio(self, request: web.Request) -> web.StreamResponse:
        """Binary messages of raw s16le mono at 16 kHz; text "clear" forgets what is unplayed."""
        pcm = self._hooks.pcm
        if pcm is None:
            return plain(409, "the voice does not come from here; start with the source ws")
        if self._speaker:
            return plain(409, "another program is speaking; one at a time")
        self._speaker = True
        allowance = Bucket(AUDIO_BYTES_A_S, AUDIO_BYTES_A_S)
        try:
            async with self._socket(request, AUDIO_MESSAGE_BYTES) as socket:
                async for message in socket:
                    if message.type == WSMsgType.BINARY:
                        # Too fast: not reading on makes the sender wait.
                        while wait_s := allowance.take(len(message.data)):
                            await asyncio.sleep(wait_s)
                        dropped = await self._call(pcm, message.data)
                        if dropped:
                            await socket.send_json({"ok": False, "dropped_bytes": dropped})
                    elif message.data == "clear" and self._hooks.clear is not None:
                        await self._call(self._hooks.clear)
                        await socket.send_json({"ok": True})
                    elif message.type == WSMsgType.TEXT:
                        await socket.send_json({"ok": False, "error": "expected bytes or clear."})
            return socket
        finally:
            self._speaker = False

    async def _answer(self, text: str) -> dict[str, Any]:
        """Do the command in a text; the reply holds "ok", the command's "id" and the rest."""
        try:
            command = json.loads(text)
        except (ValueError, RecursionError):
            return {"ok": False, "error": "this is not JSON."}
        if not isinstance(command, dict):
            return {"ok": False, "error": 'expected an object such as {"command": "pause"}.'}
        mark = {"id": command.pop("id")} if "id" in command else {}
        if self._commands.take():
            error = "too many commands at a time; send more slowly."
            return {"ok": False, "busy": True, "error": error} | mark
        try:
            return {"ok": True} | dict(await self._call(self._hooks.control, command)) | mark
        except InputError as error:
            return {"ok": False, "error": str(error)} | mark
        except ConnectionError:
            raise
        except Exception:
            _log.exception("a command from the preview failed")
            return {"ok": False, "error": "failed inside vasa-cam; its log says more."} | mark

    async def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        if self._goodbyes is not None:
            raise ConnectionAbortedError("the server has ended")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, function, *arguments)

    @contextlib.contextmanager
    def _watching(self, kind: Kind) -> Iterator[Viewer | None]:
        if len(self._board.viewers) >= VIEWERS:
            yield None
            return
        viewer = Viewer(kind)
        self._board.viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._board.viewers.discard(viewer)

    @contextlib.asynccontextmanager
    async def _socket(
        self, request: web.Request, limit_bytes: int
    ) -> AsyncIterator[web.WebSocketResponse]:
        socket = web.WebSocketResponse(
            max_msg_size=limit_bytes + 1, heartbeat=20.0, compress=False, timeout=1.0
        )
        if not socket.can_prepare(request).ok:
            raise web.HTTPUpgradeRequired(reason="this address speaks WebSocket")
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            yield socket
        except ConnectionError:
            pass  # gone in the middle of an answer
        finally:
            self._sockets.discard(socket)
            # A handler that returned at once would cut the connection before the goodbye is sent.
            if self._goodbyes is not None:
                await asyncio.wait([self._goodbyes], timeout=_GOODBYE_S)

    async def _end(self, app: web.Application) -> None:
        goodbyes = [
            socket.close(code=1001, message=b"vasa-cam has ended") for socket in self._sockets
        ]
        self._goodbyes = asyncio.gather(*goodbyes, return_exceptions=True)
        await asyncio.wait([self._goodbyes], timeout=_GOODBYE_S)
        self._workers.shutdown(wait=False, cancel_futures=True)


async def _send_frames(socket: web.WebSocketResponse, viewer: Viewer, acks: bool) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            frame = await viewer.next()
            await socket.send_bytes(frame.message())
            if not acks:
                viewer.shown()


def _page_files() -> Iterator[tuple[str, bytes]]:
    """All files that can ever be served, read once: no request names a file."""
    for entry in (resources.files("vasa_cam.output") / "preview_page").iterdir():
        if entry.name.rpartition(".")[2] in _TYPES:
            yield entry.name, entry.read_bytes()
