"""The control socket, over real connections: what it does, and what nobody can do to it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vasa_cam.errors import InputError
from vasa_cam.live.command_desk import CommandDesk
from vasa_cam.live.control import CLIENTS, LINE_BYTES, ControlServer
from vasa_cam.live.control_client import ControlClient

PATIENCE_S = 30.0


class Daemon:
    """What the commands would reach."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.threads: set[str] = set()

    def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(command)
        self.threads.add(threading.current_thread().name)
        if command["command"] == "avatar":
            raise InputError("no file there; name another one.")
        if command["command"] == "background":
            raise RuntimeError("a defect")
        return {"frames": 7} if command["command"] == "status" else {}


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def server(daemon: Daemon, tmp_path: Path) -> Iterator[ControlServer]:
    about = {"preview": "http://127.0.0.1/"}
    with ControlServer(daemon.handle, folder=tmp_path, about=about) as running:
        yield running


def _wait(condition: Any) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.01)


def _raw(server: ControlServer, trusted: bool = True) -> tuple[socket.socket, Any]:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    file = connection.makefile("rwb")
    if trusted:
        file.write(json.dumps({"token": server.token}).encode() + b"\n")
        file.flush()
        assert json.loads(file.readline()) == {"ok": True}
    return connection, file


def test_commands_reach_the_daemon_and_answers_come_back(
    server: ControlServer, daemon: Daemon, tmp_path: Path
) -> None:
    with ControlClient(tmp_path) as client:
        assert client.send({"command": "gaze", "x": 10, "y": -5}) == {"ok": True}
        assert client.send({"command": "status", "id": 3}) == {"ok": True, "frames": 7, "id": 3}
        with pytest.raises(InputError, match="no file there; name another"):
            client.send({"command": "avatar", "path": "none.vasa"})
        with pytest.raises(InputError, match="failed inside vasa-cam"):
            client.send({"command": "background", "spec": "blur"})
        with pytest.raises(InputError, match="did you mean gaze"):
            client.send({"command": "gaz"})
        assert client.send({"command": "pause"}) == {"ok": True}
    assert daemon.seen[0] == {"command": "gaze", "x": 10.0, "y": -5.0}
    assert daemon.threads == {"control"}


def test_port_and_token_are_for_this_user_only_and_go_with_the_daemon(
    server: ControlServer, tmp_path: Path
) -> None:
    path = tmp_path / "control.json"
    assert path.stat().st_mode & 0o777 == 0o600
    told = {"port": server.port, "token": server.token, "preview": "http://127.0.0.1/"}
    assert json.loads(path.read_text()) == told
    server.stop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="vasa-cam live is not running"), ControlClient(tmp_path):
        pass


def test_it_listens_on_this_machine_only(server: ControlServer) -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in addresses - {"127.0.0.1", "::1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, server.port), timeout=2)


def test_a_left_over_endpoint_file_means_that_nothing_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    for content in (json.dumps({"port": port, "token": "x"}), "{}", "", '{"port": 99999999}'):
        (tmp_path / "control.json").write_text(content)
        with pytest.raises(InputError, match="not running"), ControlClient(tmp_path):
            pass


@pytest.mark.parametrize(
    "first",
    [
        b'{"command": "pause"}\n',
        b'{"command": "pause", "token": "guess"}\n',
        b'{"command": "pause", "token": 7}\n',
        b'{"token": "\\ud800"}\n',
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + b'{"command": "pause"}\n',
        b"x" * (LINE_BYTES + 1),
        b"\n",
    ],
)
def test_without_the_token_nothing_is_done(
    server: ControlServer, daemon: Daemon, first: bytes
) -> None:
    connection, file = _raw(server, trusted=False)
    file.write(first)
    file.flush()
    reply = json.loads(file.readline())
    assert not reply["ok"]
    # Closed: the end of the stream, or a reset when it had sent more than was read.
    with contextlib.suppress(ConnectionResetError):
        assert file.readline() == b""
    connection.close()
    assert daemon.seen == []


def test_malformed_lines_are_answered_and_it_goes_on(server: ControlServer, daemon: Daemon) -> None:
    connection, file = _raw(server)
    for line in (b"{", b"[1, 2", b"\xff\xfe", b"null", b"[]", b'"pause"', b"[" * 5000, b"NaN"):
        file.write(line + b"\n")
        file.flush()
        assert not json.loads(file.readline())["ok"]
    file.write(b'{"command": "pause"}\n')
    file.flush()
    assert json.loads(file.readline()) == {"ok": True}
    connection.close()
    assert [one["command"] for one in daemon.seen] == ["pause"]
    assert server.counts()["malformed"] == 8


def test_a_flood_is_coalesced_and_its_last_word_counts(
    server: ControlServer, daemon: Daemon
) -> None:
    connection, file = _raw(server)
    count = 10_000
    lines = b"".join(
        json.dumps({"command": "gaze", "x": number % 30, "y": 0}).encode() + b"\n"
        for number in range(count)
    )
    sender = threading.Thread(target=connection.sendall, args=(lines,))
    sender.start()
    replies = [json.loads(file.readline()) for _ in range(count)]
    sender.join()
    assert all(reply["ok"] for reply in replies)
    _wait(lambda: daemon.seen and daemon.seen[-1]["x"] == (count - 1) % 30)
    counts = server.counts()
    assert counts["done"] == len(daemon.seen)
    assert counts["done"] + counts["coalesced"] == count
    assert len(daemon.seen) < count / 2
    # Another client is served as if nothing had been.
    other, other_file = _raw(server)
    other_file.write(b'{"command": "panic", "mode": "black"}\n')
    other_file.flush()
    assert json.loads(other_file.readline())["ok"]
    _wait(lambda: daemon.seen[-1] == {"command": "panic", "mode": "black"})
    for one in (connection, other):
        one.close()


def test_a_client_that_never_reads_holds_up_nobody(server: ControlServer, daemon: Daemon) -> None:
    deaf, _ = _raw(server)
    deaf.setblocking(False)
    sent = 0
    line = b'{"command": "status", "id": "' + b"x" * 200 + b'"}\n'
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            sent += deaf.send(line * 50)
        except BlockingIOError:
            break
    assert sent > 0
    connection, file = _raw(server)
    file.write(b'{"command": "mute"}\n')
    file.flush()
    assert json.loads(file.readline())["ok"]
    _wait(lambda: {"command": "mute"} in daemon.seen)
    for one in (deaf, connection):
        one.close()


def test_connections_are_limited_and_come_free_again(server: ControlServer) -> None:
    taken = [_raw(server) for _ in range(CLIENTS)]
    one_more, file = _raw(server, trusted=False)
    assert "connections" in json.loads(file.readline())["error"]
    one_more.close()
    for connection, talk in taken:
        talk.close()
        connection.close()
    _wait(lambda: server.counts()["clients"] == 0)
    connection, _ = _raw(server)
    connection.close()


def test_the_handler_may_stop_the_server(tmp_path: Path) -> None:
    def handle(command: dict[str, Any]) -> dict[str, Any]:
        server.stop()
        return {}

    server = ControlServer(handle, folder=tmp_path)
    server.start()
    with ControlClient(tmp_path) as client:
        assert client.send({"command": "stop"}) == {"ok": True}
    server.stop()
    assert not (tmp_path / "control.json").exists()


class _Clock:
    def __init__(self) -> None:
        self.now_ns = 10**15

    def __call__(self) -> int:
        return self.now_ns


def test_the_desk_lets_panic_through_first_and_drops_nothing_that_counts() -> None:
    done: list[dict[str, Any]] = []
    clock = _Clock()
    desk = CommandDesk(lambda command: done.append(command) or {}, 10, clock)  # type: ignore[func-returns-value]
    for number in range(20):
        desk.answer({"command": "gaze", "x": number, "y": 0})
    desk.answer({"command": "emotion", "name": "happy"})
    desk.answer({"command": "expressiveness", "part": "lips", "value": 2})
    desk.answer({"command": "expressiveness", "part": "head", "value": 2})
    desk.answer({"command": "pause"})
    desk.answer({"command": "resume"})
    assert desk.answer({"command": "panic"}) == {"ok": True, "queued": True}
    assert len(done) == 5 and desk.busy
    desk.catch_up()  # no time has passed, but panic needs none
    assert done[5:] == [{"command": "panic"}]
    clock.now_ns += 10**9
    desk.catch_up()
    assert [one["command"] for one in done[6:]] == [
        "resume", "gaze", "emotion", "expressiveness", "expressiveness",
    ]  # fmt: skip
    assert done[7]["x"] == 19
    assert not desk.busy
    assert desk.counts.coalesced == 14 + 1


def test_the_desk_refuses_what_it_cannot_coalesce_and_takes_it_later() -> None:
    clock = _Clock()
    desk = CommandDesk(lambda command: {}, 10, clock)
    answers = [desk.answer({"command": "status"})["ok"] for _ in range(50)]
    assert answers == [True] * 10 + [False] * 40
    assert desk.counts.refused == 40
    clock.now_ns -= 10**12  # a clock that jumps back takes nothing away for good
    assert not desk.answer({"command": "status"})["ok"]
    clock.now_ns += 10**9
    assert desk.answer({"command": "status"})["ok"]
