"""Commands, figures and sound through the preview server, also from clients without manners."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from preview_client import (
    Daemon,
    address,
    get,
    post,
    serving,
    talk,
)

from vasa_cam.output.preview import PreviewServer
from vasa_cam.output.preview_routes import AUDIO_MESSAGE_BYTES


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def server(daemon: Daemon) -> Iterator[PreviewServer]:
    with serving(daemon) as server:
        yield server


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
