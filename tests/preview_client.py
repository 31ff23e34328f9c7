"""A preview server with a daemon that remembers, and clients for it."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

from vasa_cam.errors import InputError
from vasa_cam.output.preview import PreviewServer
from vasa_cam.output.preview_frames import HEADER

WAIT_S = 60.0


class Daemon:
    """What the server is given: remembers what it was asked."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.sound = bytearray()
        self.cleared = 0
        self.room = 1 << 30

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        self.commands.append(command)
        if command.get("command") == "explode":
            raise RuntimeError("boom")
        if command.get("command") != "gaze":
            raise InputError("there is no such command.")
        return {"seen": len(self.commands)}

    def pcm(self, data: bytes) -> int:
        taken = data[: max(0, self.room - len(self.sound))]
        self.sound += taken
        return len(data) - len(taken)

    def clear(self) -> None:
        self.cleared += 1


@contextmanager
def serving(daemon: Daemon) -> Iterator[PreviewServer]:
    """A server that asks this daemon."""
    server = PreviewServer(
        metrics=lambda: "vasa_cam_frames_shown_total 7\n",
        control=daemon.control,
        pcm=daemon.pcm,
        clear=daemon.clear,
    )
    server.open()
    try:
        yield server
    finally:
        server.close()


def talk(work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Any]]) -> Any:
    """Run a client's coroutine with a session."""

    async def run() -> Any:
        async with aiohttp.ClientSession() as session:
            return await asyncio.wait_for(work(session), WAIT_S)

    return asyncio.run(run())


def address(server: PreviewServer, path: str, **query: object) -> str:
    fields = "&".join(f"{key}={value}" for key, value in query.items())
    return f"http://127.0.0.1:{server.port}{path}?{fields}&token={server.token}"


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(
        url, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def picture(k: int, channels: int = 3, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    width, height = size
    frame = np.full((height, width, channels), 10 * (k % 20), np.uint8)
    if channels == 4:
        frame[..., 3] = np.linspace(0, 255, width, dtype=np.uint8)
    frame.setflags(write=False)
    return frame


class Feeding:
    """A sink's thread that sends frames until the block is left."""

    def __init__(self, server: PreviewServer, channels: int = 3, every_s: float = 0.01) -> None:
        self._server, self._channels, self._every_s = server, channels, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.sent += 1
            now_ns = time.monotonic_ns()
            frame = picture(self.sent, self._channels)
            self._server.send(frame, now_ns - 150_000_000, now_ns, self.sent)

    def __enter__(self) -> Feeding:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._stop.set()
        self._thread.join()


def parsed(message: bytes) -> tuple[tuple[Any, ...], np.ndarray, bytes]:
    header = HEADER.unpack_from(message)
    jpeg = message[HEADER.size : HEADER.size + header[7]]
    return header, np.asarray(Image.open(io.BytesIO(jpeg))), message[HEADER.size + header[7] :]


def post(server: PreviewServer, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
    async def send(session: aiohttp.ClientSession) -> tuple[int, Any]:
        data = body if isinstance(body, str) else json.dumps(body)
        kind = {"Content-Type": "application/json"}
        async with session.post(
            address(server, "/control"), data=data, headers=kind | headers
        ) as r:
            text = await r.text()
            return r.status, json.loads(text) if text.startswith("{") else {"text": text}

    return talk(send)
