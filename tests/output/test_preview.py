"""The preview server: its life, and the frames that viewers get."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import time
import urllib.error
import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from preview_client import (
    Daemon,
    Feeding,
    address,
    get,
    parsed,
    picture,
    serving,
    talk,
)

from vasa_cam.errors import InputError
from vasa_cam.output.preview import PreviewConfig, PreviewServer
from vasa_cam.output.preview_frames import HAS_ALPHA, MIRRORED, FrameEncoder, FrameTimes
from vasa_cam.output.preview_routes import VIEWERS
from vasa_cam.output.sink import LayeredSink, Sink


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def server(daemon: Daemon) -> Iterator[PreviewServer]:
    with serving(daemon) as server:
        yield server


def test_it_is_a_sink(server: PreviewServer) -> None:
    assert isinstance(server, Sink) and isinstance(server, LayeredSink) and server.wants_alpha
    assert server.url.startswith(f"http://127.0.0.1:{server.port}/?token=")


def test_open_and_close_may_be_repeated_and_keep_the_address() -> None:
    server = PreviewServer(metrics=str, control=dict)
    server.send(picture(0), 0, 0, 0)
    server.close()
    server.open()
    server.open()
    url = server.url
    for _ in range(2):
        server.close()
        server.send(picture(0), 0, 0, 0)
        server.open()
        assert server.url == url
        assert get(address(server, "/health"))[:2] == (200, b'{"ok": true}')
    server.close()
    with pytest.raises(urllib.error.URLError):
        get(address(server, "/health"))


def test_it_listens_on_this_machine_only(server: PreviewServer) -> None:
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(2)
        other.connect(("127.0.0.2", server.port))


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = PreviewServer(PreviewConfig(port=port), metrics=str, control=dict)
        with pytest.raises(InputError, match=f"port {port}"):
            server.open()
        server.close()


@pytest.mark.parametrize("options", [{"port": 70_000}, {"token": "short"}, {"token": "a b" * 9}])
def test_bad_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PreviewConfig(**options)


@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from([3, 4]), st.booleans())
def test_every_size_is_encoded(width: int, height: int, channels: int, mirrored: bool) -> None:
    frame = np.full((height, width, channels), 100, np.uint8)
    frame[..., 3:] = np.arange(width)[:, None]
    encoded = FrameEncoder().encode(frame, FrameTimes(5_000, 6_000, 2**32 + 7), mirrored)
    header, colours, alpha = parsed(encoded.message())
    assert header[1] == MIRRORED * mirrored + HAS_ALPHA * (channels == 4)
    assert (header[3], header[4], header[6], header[8], header[9]) == (width, height, 7, 5, 6)
    assert colours.shape == (height, width, 3) and np.abs(colours.astype(int) - 100).max() <= 3
    if channels == 4:
        assert zlib.decompress(alpha) == frame[..., 3].tobytes()


def test_acknowledged_frames_are_new_and_never_pile_up(server: PreviewServer) -> None:
    """A viewer that takes 0.2 s a frame gets the newest each time, not those it missed."""

    async def watch(session: aiohttp.ClientSession) -> list[tuple[int, float]]:
        seen = []
        async with session.ws_connect(address(server, "/frames", acks=1)) as frames:
            for _ in range(6):
                header, _, _ = parsed(await frames.receive_bytes())
                seen.append((header[6], time.monotonic() - header[9] / 1e6))
                await asyncio.sleep(0.2)
                await frames.send_str("shown")
        return seen

    with Feeding(server) as feeding:
        seen = talk(watch)
    numbers = [number for number, _ in seen]
    assert numbers == sorted(set(numbers)) and numbers[-1] - numbers[0] > 20
    # Two may be under way: the older of them waited while the one before was looked at.
    assert max(age for _, age in seen) < 0.2 + 0.2 + 1.0
    assert feeding.sent > 50


def test_a_viewer_that_reads_nothing_holds_up_nobody(server: PreviewServer) -> None:
    async def watch(session: aiohttp.ClientSession) -> int:
        async with (
            session.ws_connect(address(server, "/frames", acks=1)),
            session.ws_connect(address(server, "/frames")) as lively,
        ):
            for _ in range(30):
                await lively.receive_bytes()
        return 30

    with Feeding(server):
        assert talk(watch) == 30


def test_nothing_is_encoded_without_viewers(
    server: PreviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    real = FrameEncoder.encode

    def spy(self: FrameEncoder, *arguments: Any) -> Any:
        encoded.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(FrameEncoder, "encode", spy)
    for k in range(20):
        server.send(picture(k), 0, 0, k)
    assert not encoded

    async def watch(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(address(server, "/frames", acks=1)) as frames:
            for _ in range(2):
                await frames.receive_bytes()
            await asyncio.sleep(0.3)

    with Feeding(server):
        talk(watch)
    # Those two, and the few that were on their way before the server knew of the second.
    assert 2 <= len(encoded) <= 12


def test_the_browser_source_gets_transparency_and_the_page_does_not(server: PreviewServer) -> None:
    async def watch(session: aiohttp.ClientSession) -> list[bytes]:
        async with (
            session.ws_connect(address(server, "/frames", alpha=1)) as source,
            session.ws_connect(address(server, "/frames")) as page,
        ):
            pictures = [await source.receive_bytes(), await page.receive_bytes()]
            assert server.alpha_watched
            return pictures

    assert not server.alpha_watched
    shown = np.full((48, 64, 3), 200, np.uint8)
    stop = threading.Event()

    def feed() -> None:
        while not stop.wait(0.01):
            server.send_both(shown, picture(3, 4), 0, 0, 1)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        source, page = talk(watch)
    finally:
        stop.set()
        feeder.join()
    header, colours, alpha = parsed(source)
    assert header[1] == HAS_ALPHA and np.abs(colours.astype(int) - 30).max() <= 3
    assert zlib.decompress(alpha) == picture(3, 4)[..., 3].tobytes()
    header, colours, alpha = parsed(page)
    assert header[1] == 0 and not alpha and np.abs(colours.astype(int) - 200).max() <= 3


def test_the_mirror_is_told_with_the_frames(server: PreviewServer) -> None:
    async def flags(session: aiohttp.ClientSession) -> int:
        async with session.ws_connect(address(server, "/frames", acks=1)) as frames:
            return parsed(await frames.receive_bytes())[0][1]

    with Feeding(server):
        assert talk(flags) == 0
        server.set_mirror(True)
        assert talk(flags) == MIRRORED


def test_motion_jpeg_for_everything_else(server: PreviewServer) -> None:
    async def watch(session: aiohttp.ClientSession) -> list[tuple[int, int]]:
        sizes = []
        async with session.get(address(server, "/stream.mjpg")) as answer:
            assert answer.content_type == "multipart/x-mixed-replace"
            reader = aiohttp.MultipartReader.from_response(answer)
            while len(sizes) < 5:
                part = await reader.next()
                assert part is not None and part.headers["Content-Type"] == "image/jpeg"
                sizes.append(Image.open(io.BytesIO(await part.read())).size)
        return sizes

    with Feeding(server):
        assert talk(watch) == [(64, 48)] * 5


def test_only_so_many_may_watch(server: PreviewServer) -> None:
    async def crowd(session: aiohttp.ClientSession) -> int:
        sockets = [await session.ws_connect(address(server, "/frames")) for _ in range(VIEWERS)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(address(server, "/frames"))
        await sockets[0].close()
        while server.viewers >= VIEWERS:
            await asyncio.sleep(0.01)
        async with session.ws_connect(address(server, "/frames")):
            return refused.value.status

    assert talk(crowd) == 503


def test_closing_with_viewers_is_quick_and_says_goodbye(server: PreviewServer) -> None:
    async def watch(session: aiohttp.ClientSession) -> tuple[int | None, float]:
        async with (
            session.ws_connect(address(server, "/frames", acks=1)) as frames,
            session.ws_connect(address(server, "/control")),
            session.get(address(server, "/stream.mjpg")),
        ):
            begun = time.monotonic()
            await asyncio.get_running_loop().run_in_executor(None, server.close)
            took = time.monotonic() - begun
            while (last := await frames.receive()).type == aiohttp.WSMsgType.BINARY:
                pass
            return last.data, took

    with Feeding(server):
        code, took = talk(watch)
    assert code == 1001 and took < 5.0
