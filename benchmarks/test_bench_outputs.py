"""What each output takes from a core for one frame, and the ways of sending transparent pictures.

The frames are the demo's own, so that codecs meet a face that moves.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib import resources
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvirtualcam
from PIL import Image

from vasa_cam import ops
from vasa_cam.audio import read_speech
from vasa_cam.avatar.file import load_avatar
from vasa_cam.motion.voice import VoiceMotion
from vasa_cam.output.preview_frames import FrameEncoder, FrameTimes
from vasa_cam.output.recording import RecordingConfig, RecordingSink
from vasa_cam.output.webcam import WebcamConfig, WebcamSink
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

ASSETS = Path(str(resources.files("vasa_cam") / "assets"))
SIZES = [(512, 512), (1280, 720)]
FRAMES = 80


@pytest.fixture(scope="module")
def films() -> Callable[[tuple[int, int], str], list[np.ndarray]]:
    avatar = load_avatar(ASSETS / "astronaut.vasa")
    motion = VoiceMotion(0).motion(read_speech(ASSETS / "demo_speech.flac")).resampled(40).frames
    made: dict[Any, list[np.ndarray]] = {}

    def film(size: tuple[int, int], background: str) -> list[np.ndarray]:
        if (size, background) not in made:
            renderer = LayeredRenderer(RenderConfig(*size, background))
            state = renderer.prepare(avatar)
            made[size, background] = [
                renderer.render(state, one).copy() for one in motion[40 : 40 + FRAMES]
            ]
        return made[size, background]

    return film


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = ops.get_num_threads()
    ops.set_num_threads(1)
    yield
    ops.set_num_threads(before)


def as_jpeg(frame: np.ndarray) -> bytes:
    return FrameEncoder().encode(frame, FrameTimes(0, 0, 0), False).message()


def as_pillow(kind: str, **options: object) -> Callable[[np.ndarray], bytes]:
    def encode(frame: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


WAYS: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "opaque, JPEG": ("photo", as_jpeg),
    "opaque, WebP": ("photo", as_pillow("WEBP", quality=80, method=0)),
    "alpha, JPEG and deflated plane": ("transparent", as_jpeg),
    "alpha, WebP": ("transparent", as_pillow("WEBP", quality=80, method=0)),
    "alpha, PNG": ("transparent", as_pillow("PNG", compress_level=1)),
    "alpha, raw": ("transparent", lambda frame: frame.tobytes()),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("way", WAYS)
def test_frames_for_a_browser(
    benchmark: Any, films: Callable[..., list[np.ndarray]], size: tuple[int, int], way: str
) -> None:
    background, encode = WAYS[way]
    frames = cycle(films(size, background))
    sizes = [len(encode(next(frames))) for _ in range(8)]
    benchmark.extra_info["kilobytes"] = round(float(np.mean(sizes)) / 1e3, 1)
    benchmark.pedantic(lambda: encode(next(frames)), rounds=60, warmup_rounds=3)


class Taker:
    """A camera that takes whatever it is given."""

    def __init__(self, **_: object) -> None:
        pass

    def send(self, frame: np.ndarray) -> None:
        pass

    def close(self) -> None:
        pass

    def device(self) -> str:
        return "taker"

    def native_fourcc(self) -> int | None:
        return None


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("background", ["photo", "transparent"])
def test_webcam(
    benchmark: Any, films: Callable[..., list[np.ndarray]], size: tuple[int, int], background: str
) -> None:
    """Up to the hand-over: background, I420, pyvirtualcam's own work."""
    pyvirtualcam.register_backend("taker", Taker)
    sink = WebcamSink(WebcamConfig(*size, 40.0, backend="taker"))
    sink.open()
    frames = cycle(films(size, background))
    benchmark.pedantic(lambda: sink.send(next(frames), 0, 0, 0), rounds=100, warmup_rounds=5)
    sink.close()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_recording(
    benchmark: Any, films: Callable[..., list[np.ndarray]], size: tuple[int, int]
) -> None:
    """H.264 and AAC into an MKV, with a voice beside the picture."""
    frames, count = cycle(films(size, "photo")), iter(range(1_000_000))
    voice = np.random.default_rng(0).normal(0, 0.1, 400).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        sink = RecordingSink(RecordingConfig(Path(folder) / "talk.mkv", Fraction(40)))
        sink.open()

        def one() -> None:
            at_ns = next(count) * 25_000_000
            sink.voice(voice, 16_000, at_ns)
            sink.send(next(frames), 0, at_ns, 0)

        benchmark.pedantic(one, rounds=FRAMES, warmup_rounds=40)
        sink.close()
        assert sink.finished is not None
        seconds = (FRAMES + 40) / 40
        benchmark.extra_info["megabytes_an_hour"] = round(
            sink.finished.stat().st_size * 3600 / seconds / 1e6
        )
