"""Headless Chromium for tests, driven through its DevTools protocol: pages as a user sees them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import numpy as np
import pytest
from PIL import Image

Result = TypeVar("Result")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)
_WAIT_S = 120.0


class Page:
    """One tab. Every call waits at most two minutes, so that a slow machine is no failure."""

    def __init__(
        self,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        socket: aiohttp.ClientWebSocketResponse,
    ) -> None:
        self._run, self._socket = run, socket
        self._count = 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """A DevTools command and its result."""
        return self._run(asyncio.wait_for(self._call(method, params), _WAIT_S))

    async def _call(self, method: str, params: dict[str, object]) -> dict[str, Any]:
        self._count += 1
        number = self._count
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = json.loads((await self._socket.receive()).data)
            self._note(answer)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what a developer would see in red."""
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:500])
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def go(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true; returns its value."""
        deadline = time.monotonic() + _WAIT_S
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        x, y = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def slide(self, selector: str, value: float) -> None:
        """Move a slider as a user does: its value changes and it says so."""
        self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            f"e.value = {value}; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
        )

    def size(self, width: int, height: int) -> None:
        """The size of the window's inside."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, path: Path | None = None, transparent: bool = False) -> np.ndarray:
        """The window as uint8 [H, W, 4]; where transparent, alpha is 0 where nothing is painted."""
        if transparent:
            colour = {"r": 0, "g": 0, "b": 0, "a": 0}
            self.call("Emulation.setDefaultBackgroundColorOverride", color=colour)
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(data)
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def chromium() -> str:
    """Its path; skips without one, or fails where VASA_CAM_REQUIRE_SHARED=1."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    path = path or shutil.which("google-chrome")
    if path is None:
        message = "chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("VASA_CAM_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


@contextlib.contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Page]:
    """Chromium with one empty tab; it ends with the block."""
    command = [chromium(), *_FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
    loop = asyncio.new_event_loop()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        port = _devtools_port(profile, process)
        session = loop.run_until_complete(_session())
        try:
            socket = loop.run_until_complete(_tab(session, port))
            yield Page(loop.run_until_complete, socket)
            loop.run_until_complete(socket.close())
        finally:
            loop.run_until_complete(session.close())
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        loop.close()


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


def _devtools_port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        if file.exists() and (text := file.read_text()):
            return int(text.split()[0])
        assert process.poll() is None, "chromium ended at once"
        time.sleep(0.05)
    raise AssertionError("chromium did not open its DevTools port")


async def _tab(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            for target in await answer.json(content_type=None):
                if target["type"] == "page":
                    address = target["webSocketDebuggerUrl"]
                    return await session.ws_connect(address, max_msg_size=64 * 1024 * 1024)
        await asyncio.sleep(0.05)
    raise AssertionError("chromium has no tab")
