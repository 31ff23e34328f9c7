"""The preview server as its clients meet it: frames, controls, sound, figures, and refusals."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vasa_cam.errors import InputError
from vasa_cam.output.preview import PreviewConfig, PreviewServer
from vasa_cam.output.preview_frames import (
    HAS_ALPHA,
    HEADER,
    MIRRORED,
    FrameEncoder,
    FrameTimes,
)
from vasa_cam.output.preview_guard import Bucket
from vasa_cam.output.preview_routes import AUDIO_MESSAGE_BYTES, COMMAND_BYTES, VIEWERS
from vasa_cam.output.sink import LayeredSink, Sink

WAIT_S = 30.0


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


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def server(daemon: Daemon) -> Iterator[PreviewServer]:
    server = PreviewServer(
        metrics=lambda: "vasa_cam_frames_shown_total 7\n",
        control=daemon.control,
        pcm=daemon.pcm,
        clear=daemon.clear,
    )
    server.open()
    yield server
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


# Frames


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
            return [await source.receive_bytes(), await page.receive_bytes()]

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


# Controls, figures


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


def test_a_command_by_post(server: PreviewServer, daemon: Daemon) -> None:
    assert post(server, {"command": "gaze", "x": 5, "id": 9}) == (
        200,
        {"ok": True, "seen": 1, "id": 9},
    )
    assert daemon.commands == [{"command": "gaze", "x": 5}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("not json", "not JSON"),
        ("[" * 2000, "not JSON"),
        ("[1]", "expected an object"),
        ({"command": "fly"}, "no such command"),
        ({"command": "explode"}, "its log says more"),
    ],
)
def test_what_cannot_be_done_is_told(server: PreviewServer, body: object, words: str) -> None:
    status, reply = post(server, body)
    assert status == 400 and not reply["ok"] and words in reply["error"]


def test_commands_by_socket_survive_nonsense_and_floods(
    server: PreviewServer, daemon: Daemon
) -> None:
    async def flood(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        async with session.ws_connect(address(server, "/control")) as control:
            await control.send_str("{broken")
            for k in range(150):
                await control.send_json({"command": "gaze", "x": k, "id": k})
            replies = [await control.receive_json() for _ in range(151)]
            await asyncio.sleep(1.0)
            await control.send_json({"command": "gaze", "x": 0})
            return [*replies, await control.receive_json()]

    replies = talk(flood)
    assert not replies[0]["ok"] and replies[1]["ok"] and replies[-1]["ok"]
    assert [reply["id"] for reply in replies[1:-1]] == list(range(150))
    refused = [reply for reply in replies if reply.get("busy")]
    assert len(refused) > 20 and len(daemon.commands) + len(refused) == 151


def test_a_client_that_never_stops_is_sent_away(server: PreviewServer) -> None:
    async def flood(session: aiohttp.ClientSession) -> int | None:
        async with session.ws_connect(address(server, "/control")) as control:
            for _ in range(2_000):
                if control.closed:
                    break
                await control.send_json({"command": "gaze"})
                await control.receive()
            return control.close_code

    assert talk(flood) == 1008


def test_figures_for_prometheus(server: PreviewServer) -> None:
    url = f"http://127.0.0.1:{server.port}/metrics"
    status, body, headers = get(url, Authorization=f"Bearer {server.token}")
    assert (status, body) == (200, b"vasa_cam_frames_shown_total 7\n")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


# Sound


def test_sound_of_a_voice_agent(server: PreviewServer, daemon: Daemon) -> None:
    speech = np.random.default_rng(0).integers(-9, 9, 16_000, np.int16).tobytes()

    async def speak(session: aiohttp.ClientSession) -> Any:
        async with session.ws_connect(address(server, "/audio")) as audio:
            for first in range(0, len(speech), 641):
                await audio.send_bytes(speech[first : first + 641])
            await audio.send_str("clear")
            answer = await audio.receive_json()
            with pytest.raises(aiohttp.WSServerHandshakeError) as second:
                await session.ws_connect(address(server, "/audio"))
            await audio.send_str("what")
            return answer, second.value.status, await audio.receive_json()

    answer, second, unknown = talk(speak)
    assert answer == {"ok": True} and daemon.cleared == 1
    assert bytes(daemon.sound) == speech
    assert second == 409 and not unknown["ok"]
    assert talk(speak)[0] == {"ok": True}  # the next one may speak


def test_a_sender_without_measure_is_slowed_and_told(server: PreviewServer, daemon: Daemon) -> None:
    daemon.room = 1_000_000

    async def speak(session: aiohttp.ClientSession) -> tuple[float, int]:
        async with session.ws_connect(address(server, "/audio")) as audio:
            begun = time.monotonic()
            for _ in range(50):
                await audio.send_bytes(bytes(AUDIO_MESSAGE_BYTES))
            dropped = 0
            while dropped < 50 * AUDIO_MESSAGE_BYTES - 1_000_000:
                dropped += (await audio.receive_json())["dropped_bytes"]
            return time.monotonic() - begun, dropped

    took, dropped = talk(speak)
    assert dropped == 50 * AUDIO_MESSAGE_BYTES - 1_000_000
    assert took > 0.8  # 3.3 MB, of which 1.6 at once and 1.6 a second


def test_without_such_a_source_no_sound_is_taken() -> None:
    server = PreviewServer(metrics=str, control=dict)
    server.open()
    try:
        assert get(address(server, "/audio"))[0] == 409
    finally:
        server.close()


# Refusals


DATA = ["/frames", "/stream.mjpg", "/metrics", "/control", "/audio"]


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize("token", ["", "?token=", "?token=guess"])
def test_without_the_token_there_is_nothing(server: PreviewServer, path: str, token: str) -> None:
    status, body, _ = get(f"http://127.0.0.1:{server.port}{path}{token}")
    assert status == 401 and b"open the link" in body
    status, _, _ = get(f"http://127.0.0.1:{server.port}{path}", Authorization="Bearer guess")
    assert status == 401


@pytest.mark.parametrize("path", ["/", "/obs", "/health", "/page/page.js", *DATA])
def test_a_name_that_was_pointed_here_is_refused(server: PreviewServer, path: str) -> None:
    """DNS rebinding: the browser thinks it talks to its own site, and says so."""
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", "[::1]"):
        status, body, _ = get(address(server, path), Host=host)
        assert status == 421 and server.token.encode() not in body


@pytest.mark.parametrize("path", ["/", *DATA])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_other_web_pages_are_refused(server: PreviewServer, path: str, origin: str) -> None:
    status, _, _ = get(address(server, path), Origin=origin.format(port=server.port))
    assert status == 403


def test_the_own_page_is_not(server: PreviewServer) -> None:
    for host in ("127.0.0.1", "localhost"):
        name = f"{host}:{server.port}"
        assert get(address(server, "/metrics"), Origin=f"http://{name}", Host=name)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/../preview.py",
        "/page/%2e%2e/preview.py",
        "/page/..%2fpreview.py",
        "/page//etc/passwd",
        "/page/",
        "/etc/passwd",
        "/page/index.html",
    ],
)
def test_no_path_leads_out_of_the_page(server: PreviewServer, path: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as raw:
        host = f"127.0.0.1:{server.port}"
        raw.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.token}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] == b"404"


def test_pages_hold_no_secret_and_are_fenced_in(server: PreviewServer) -> None:
    for path in (
        "/",
        "/obs",
        "/page/page.js",
        "/page/frames.js",
        "/page/page.css",
        "/page/icon.svg",
    ):
        status, body, headers = get(f"http://127.0.0.1:{server.port}{path}")
        assert status == 200 and server.token.encode() not in body
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in body and b"//cdn" not in body


def test_too_large_and_wrong_kinds_of_requests(server: PreviewServer) -> None:
    assert post(server, {"command": "x" * COMMAND_BYTES})[0] == 413
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert post(server, "command=stop", **form)[0] == 415
    assert get(address(server, "/frames"))[0] == 426

    async def shout(session: aiohttp.ClientSession, path: str, size: int) -> int | None:
        async with session.ws_connect(address(server, path)) as channel:
            await channel.send_bytes(bytes(size))
            while not channel.closed:
                await channel.receive()
            return channel.close_code

    for path, size in [("/control", 5_000), ("/frames", 300), ("/audio", 70_000)]:
        assert talk(lambda s, p=path, n=size: shout(s, p, n)) == 1009


def test_half_open_connections_do_not_hold_up_the_end() -> None:
    server = PreviewServer(metrics=str, control=dict)
    server.open()
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    idle[0].sendall(b"GET /frames HTT")
    begun = time.monotonic()
    server.close()
    assert time.monotonic() - begun < 5.0
    for one in idle:
        one.close()


def test_a_bucket_gives_so_much_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("vasa_cam.output.preview_guard.time.monotonic", lambda: now[0])
    bucket = Bucket(rate=10.0, burst=5.0)
    assert [bucket.take() for _ in range(6)] == [0.0] * 5 + [pytest.approx(0.1)]
    now[0] += 0.25
    assert [bucket.take() == 0.0 for _ in range(3)] == [True, True, False]
