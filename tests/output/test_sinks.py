"""What every sink keeps to: opened and closed in any order, any frame, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import pyvirtualcam
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasa_cam.output.null import NullSink
from vasa_cam.output.preview import PreviewServer
from vasa_cam.output.recording import RecordingConfig, RecordingSink
from vasa_cam.output.sink import Sink, SinkError
from vasa_cam.output.webcam import WebcamConfig, WebcamSink

Maker = Callable[[Path], Sink]


class Taker:
    """A camera that takes what it is given, once `busy` is over."""

    busy: ClassVar[threading.Event] = threading.Event()

    def __init__(self, **_: object) -> None:
        pass

    def send(self, frame: np.ndarray) -> None:
        Taker.busy.wait(60.0)

    def close(self) -> None:
        pass

    def device(self) -> str:
        return "taker"

    def native_fourcc(self) -> None:
        pass


@pytest.fixture(autouse=True)
def camera() -> Iterator[None]:
    pyvirtualcam.register_backend("taker", Taker)
    Taker.busy.set()
    yield
    del pyvirtualcam.camera.BACKENDS["taker"]


MAKERS: dict[str, Maker] = {
    "null": lambda folder: NullSink(),
    "webcam": lambda folder: WebcamSink(WebcamConfig(64, 48, backend="taker")),
    "recording": lambda folder: RecordingSink(RecordingConfig(folder / "talk.mkv")),
    "preview": lambda folder: PreviewServer(metrics=str, control=dict),
}
every_sink = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def frame(width: int, height: int, channels: int) -> np.ndarray:
    made = np.full((height, width, channels), 77, np.uint8)
    made.setflags(write=False)
    return made


@every_sink
def test_any_order_of_opening_and_closing(make: Maker, tmp_path: Path) -> None:
    sink = make(tmp_path)
    assert isinstance(sink, Sink) and sink.name in MAKERS
    sink.close()
    for k in range(2):
        sink.open()
        sink.open()
        sink.send(frame(64, 48, 3), 0, k, k)
        sink.close()
        sink.close()
    try:
        sink.send(frame(64, 48, 3), 0, 9, 9)
    except SinkError as error:
        assert str(error).endswith("not open.")


@every_sink
@given(st.integers(16, 65), st.integers(16, 65), st.sampled_from([3, 4]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frame_is_taken(
    make: Maker, tmp_path: Path, width: int, height: int, channels: int
) -> None:
    sink = make(tmp_path)
    sink.open()
    try:
        for k in range(3):
            sink.send(frame(width, height, channels), 0, k * 25_000_000, k)
            sink.send(frame(height, width, 7 - channels), 0, k * 25_000_000, k)
    finally:
        sink.close()


@every_sink
def test_another_thread_may_close_it_between_frames(make: Maker, tmp_path: Path) -> None:
    """As at the end of the program: the sink's thread may still have a frame in hand."""
    sink = make(tmp_path)
    sink.open()
    ended: list[BaseException | None] = []

    def feed() -> None:
        try:
            for k in range(100_000):
                sink.send(frame(64, 48, 3), 0, k * 25_000_000, k)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    feeder = threading.Thread(target=feed)
    feeder.start()
    time.sleep(0.05)
    begun = time.monotonic()
    sink.close()
    assert time.monotonic() - begun < 10.0
    feeder.join(60.0)
    assert not feeder.is_alive()
    assert all(end is None or isinstance(end, SinkError) for end in ended)
    sink.close()


def test_a_camera_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vasa_cam.output.webcam._PATIENCE_S", 0.2)
    sink = MAKERS["webcam"](tmp_path)
    sink.open()
    Taker.busy.clear()
    feeder = threading.Thread(target=sink.send, args=(frame(64, 48, 3), 0, 0, 0))
    feeder.start()
    begun = time.monotonic()
    sink.close()
    assert time.monotonic() - begun < 10.0 and feeder.is_alive()
    Taker.busy.set()
    feeder.join(60.0)
    sink.close()
    with pytest.raises(SinkError, match="not open"):
        sink.send(frame(64, 48, 3), 0, 0, 0)
