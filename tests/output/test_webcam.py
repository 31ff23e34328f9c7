"""The webcam's frames, caught by a backend that pyvirtualcam drives as it drives a device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest
import pyvirtualcam
from hypothesis import given
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam.errors import InputError
from vasa_cam.ops import pixel, reference_pixel
from vasa_cam.output.canvas import GREY
from vasa_cam.output.sink import BackgroundSink, Sink, SinkError
from vasa_cam.output.webcam import WebcamConfig, WebcamSink


class Caught:
    """A pyvirtualcam backend that keeps what it is given. broken: it fails from now on."""

    opened: ClassVar[list[Caught]] = []
    refuse: ClassVar[bool] = False

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: object) -> None:
        if Caught.refuse:
            raise RuntimeError("virtual camera output could not be started")
        self.size, self.fps, self.fourcc, self.name = (width, height), fps, fourcc, device
        self.frames: list[np.ndarray] = []
        self.closed = 0
        self.broken = False
        Caught.opened.append(self)

    def send(self, frame: np.ndarray) -> None:
        if self.broken:
            raise OSError(19, "No such device")
        self.frames.append(frame.copy())

    def close(self) -> None:
        self.closed += 1

    def device(self) -> str:
        return str(self.name)

    def native_fourcc(self) -> int:
        return self.fourcc


@pytest.fixture(autouse=True)
def backends() -> Iterator[None]:
    known = pyvirtualcam.camera.BACKENDS
    before = dict(known)
    for name in ("caught", "unitycapture"):
        pyvirtualcam.register_backend(name, Caught)
    Caught.opened, Caught.refuse = [], False
    yield
    known.clear()
    known.update(before)


def opened(**settings: object) -> tuple[WebcamSink, Caught]:
    sink = WebcamSink(WebcamConfig(**{"backend": "caught", "device": "cam", **settings}))
    sink.open()
    return sink, Caught.opened[-1]


def show(sink: WebcamSink, frame: np.ndarray) -> None:
    frame.setflags(write=False)
    sink.send(frame, capture_ns=1, shown_ns=2, sequence=3)


def test_it_is_a_sink() -> None:
    sink = WebcamSink()
    assert isinstance(sink, Sink) and isinstance(sink, BackgroundSink)
    assert not sink.wants_alpha
    assert (sink.config.width, sink.config.height, sink.config.fps) == (1280, 720, 40.0)


@pytest.mark.parametrize("size", [(1280, 720), (512, 512), (640, 718)])
def test_frames_arrive_as_the_standard_says(
    rng: np.random.Generator, size: tuple[int, int]
) -> None:
    """Every byte that our own operation makes, and BT.709 from 720 lines up."""
    width, height = size
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    sink, camera = opened(width=width, height=height)
    show(sink, frame)
    matrix = "bt709" if height >= 720 else "bt601"
    standard = reference_pixel.pixel(frame, "i420", matrix).ravel()
    assert camera.size == size
    assert camera.fourcc == int.from_bytes(b"I420", "little")
    assert np.array_equal(camera.frames[0], pixel(frame, "i420", matrix).ravel())
    allowed = tolerance("pixel.yuv")
    error = np.abs(camera.frames[0].astype(int) - standard)
    assert error.max() <= allowed.absolute and np.mean(error > 0) <= allowed.share


@given(st.integers(8, 60), st.integers(8, 60), st.integers(1, 140), st.integers(1, 140), st.data())
def test_every_frame_size_and_alpha_gives_a_full_picture(
    half_width: int, half_height: int, width: int, height: int, data: st.DataObject
) -> None:
    frame = np.full((height, width, data.draw(st.sampled_from([3, 4]))), 255, np.uint8)
    sink, camera = opened(width=2 * half_width, height=2 * half_height)
    show(sink, frame)
    luma = camera.frames[0][: 4 * half_width * half_height]
    assert camera.frames[0].size == 6 * half_width * half_height
    assert luma.max() == 235


def test_alpha_is_laid_over_the_background(rng: np.random.Generator) -> None:
    frame = np.zeros((64, 64, 4), np.uint8)
    behind = rng.integers(0, 256, (64, 64, 3), np.uint8)
    sink, camera = opened(width=64, height=64)
    show(sink, frame)
    sink.set_background(behind)
    show(sink, frame)
    for got, want in zip(camera.frames, [np.full_like(behind, GREY), behind], strict=True):
        assert np.array_equal(got, pixel(want, "i420").ravel())


def test_unity_capture_keeps_transparency(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (64, 64, 4), np.uint8)
    sink, camera = opened(width=64, height=64, backend="unitycapture")
    assert sink.wants_alpha
    show(sink, frame)
    assert np.array_equal(camera.frames[0], frame.ravel())
    show(sink, np.ascontiguousarray(frame[..., :3]))
    assert (camera.frames[1].reshape(64, 64, 4)[..., 3] == 255).all()


def test_open_and_close_may_be_repeated() -> None:
    sink, camera = opened(width=64, height=64)
    sink.open()
    assert len(Caught.opened) == 1 and sink.device == "cam"
    sink.close()
    sink.close()
    assert camera.closed == 1 and sink.device is None
    with pytest.raises(SinkError, match="not open"):
        show(sink, np.zeros((64, 64, 3), np.uint8))


def test_a_lost_camera_is_told_and_can_be_opened_again() -> None:
    sink, camera = opened(width=64, height=64)
    frame = np.zeros((64, 64, 3), np.uint8)
    show(sink, frame)
    camera.broken = True
    with pytest.raises(SinkError, match=r"webcam cam takes no more frames: No such device\."):
        show(sink, frame)
    sink.close()
    sink.open()
    show(sink, frame)
    assert len(Caught.opened[-1].frames) == 1 and camera.closed == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 641}, ["odd", "642x720"]),
        ({"height": 8}, ["16 to 4096"]),
        ({"width": 5000}, ["16 to 4096"]),
        ({"fps": 0.0}, ["1 to 240"]),
        ({"fps": float("nan")}, ["1 to 240"]),
    ],
)
def test_what_no_camera_has_is_refused(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        WebcamConfig(**settings)
    assert all(word in str(caught.value) for word in words)


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="'magic' here; expected caught"):
        WebcamSink(WebcamConfig(backend="magic")).open()


@pytest.mark.parametrize(
    ("platform", "backend", "words"),
    [
        ("win32", None, ["Windows", "OBS Studio", "could not be started"]),
        ("darwin", None, ["macOS", "OBS Studio 30", "System Settings"]),
        ("win32", "unitycapture", ["Unity Capture", "Install.bat"]),
    ],
)
def test_other_systems_are_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, platform: str, backend: str | None, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    pyvirtualcam.register_backend("obs", Caught)
    Caught.refuse = True
    with pytest.raises(InputError) as caught:
        WebcamSink(WebcamConfig(backend=backend)).open()
    assert all(word in str(caught.value) for word in words)


def test_the_frame_rate_reaches_the_camera() -> None:
    _, camera = opened(width=64, height=64, fps=float(Fraction(30_000, 1001)))
    assert camera.fps == pytest.approx(29.97, abs=0.001)
