"""What the preview server refuses: strangers, other web pages, paths, sizes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import aiohttp
import pytest
from preview_client import (
    WAIT_S,
    Daemon,
    address,
    get,
    post,
    serving,
    talk,
)

from vasa_cam.output.preview import PreviewServer
from vasa_cam.output.preview_guard import Bucket
from vasa_cam.output.preview_routes import COMMAND_BYTES


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def server(daemon: Daemon) -> Iterator[PreviewServer]:
    with serving(daemon) as server:
        yield server


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
