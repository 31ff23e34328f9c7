"""Recordings, judged by ffprobe and ffmpeg: timing, sound, breaks, full disks and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasa_cam.errors import InputError
from vasa_cam.output.recording import RecordingConfig, RecordingSink
from vasa_cam.output.sink import BackgroundSink, Sink, SinkError, VoiceSink

Tool = Callable[..., bytes]
START = 5_000_000_000
SIZE = (160, 96)


def picture(k: int, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    """Grey whose level counts: 40, 44, ... 196, 40, ..."""
    return np.full((size[1], size[0], channels), 40 + 4 * (k % 40), np.uint8)


def send(sink: RecordingSink, frame: np.ndarray, at_s: float, sequence: int = 0) -> None:
    frame.setflags(write=False)
    shown_ns = START + round(at_s * 1e9)
    sink.send(frame, shown_ns - 150_000_000, shown_ns, sequence)


def record(sink: RecordingSink, seconds: float, fps: float = 40.0, first_s: float = 0.0) -> None:
    for k in range(round(seconds * fps)):
        send(sink, picture(k), first_s + k / fps, k)


def opened(path: Path, **options: object) -> RecordingSink:
    sink = RecordingSink(RecordingConfig(path, **{"voice": False, **options}))
    sink.open()
    return sink


def probe(ffprobe: Tool, path: Path) -> dict[str, dict]:
    report = json.loads(
        ffprobe("-count_packets", "-show_streams", "-show_format", "-of", "json", path)
    )
    return {"format": report["format"]} | {s["codec_type"]: s for s in report["streams"]}


def levels(ffmpeg: Tool, path: Path, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The mean grey of every frame, as the decoder gives them."""
    # Passed through as decoded: by default ffmpeg adds a frame where the sound starts earlier.
    raw = ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, size[0] * size[1]).mean(axis=1)


def sound(ffmpeg: Tool, path: Path) -> np.ndarray:
    return np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-ac", "1", "-"), "<f4")


def test_it_is_a_sink(tmp_path: Path) -> None:
    sink = RecordingSink(RecordingConfig(tmp_path / "a.mp4"))
    assert isinstance(sink, Sink) and isinstance(sink, VoiceSink)
    assert isinstance(sink, BackgroundSink)


@pytest.mark.parametrize("name", ["talk.mp4", "talk.mkv"])
def test_picture_and_delayed_voice_are_in_time(
    tmp_path: Path, ffprobe: Tool, ffmpeg: Tool, name: str
) -> None:
    """A flash and a beep at the same times, the beep pushed before, after and in odd pieces."""
    sink = opened(tmp_path / name, voice=True)
    beeps_s = (0.5, 1.5, 2.25)
    t = np.arange(3 * 16_000) / 16_000
    on = np.any([(t >= b) & (t < b + 0.1) for b in beeps_s], axis=0)
    voice = (0.5 * np.sin(2 * np.pi * 1000 * t) * on).astype(np.float32)
    for k in range(120):
        flash = any(b <= k / 40 < b + 0.1 for b in beeps_s)
        send(sink, np.full((96, 160, 3), 230 if flash else 20, np.uint8), k / 40, k)
        for first in range(k * 400, (k + 1) * 400, 133):
            piece = voice[first : min(first + 133, (k + 1) * 400)]
            sink.voice(piece, 16_000, START + round(first / 16_000 * 1e9))
    sink.close()
    seen = probe(ffprobe, tmp_path / name)
    assert (seen["video"]["codec_name"], seen["audio"]["codec_name"]) == ("h264", "aac")
    assert (seen["video"]["width"], seen["video"]["height"]) == SIZE
    assert seen["video"]["avg_frame_rate"] == "40/1"
    assert int(seen["video"]["nb_read_packets"]) == 120
    assert (seen["audio"]["sample_rate"], seen["audio"]["channels"]) == ("48000", 1)
    assert float(seen["format"]["duration"]) == pytest.approx(3.0, abs=0.05)
    assert float(seen["video"]["start_time"]) == pytest.approx(0.0, abs=0.002)
    assert float(seen["audio"]["start_time"]) == pytest.approx(0.0, abs=0.002)
    bright = levels(ffmpeg, tmp_path / name) > 120
    heard = sound(ffmpeg, tmp_path / name)
    loud = np.abs(heard) > 0.1
    for beep_s in beeps_s:
        window = slice(round((beep_s - 0.2) * 40), round((beep_s + 0.3) * 40))
        assert np.flatnonzero(bright[window])[0] / 40 == pytest.approx(0.2, abs=0.013)
        first = round((beep_s - 0.2) * 48_000)
        onset = np.flatnonzero(loud[first : first + 24_000])[0] / 48_000
        assert onset == pytest.approx(0.2, abs=0.005)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(("shown_fps", "written"), [(25.0, 80), (40.0, 80), (60.0, 80)])
def test_the_rate_is_constant_whatever_comes(
    tmp_path: Path, ffprobe: Tool, ffmpeg: Tool, shown_fps: float, written: int
) -> None:
    path = tmp_path / "talk.mp4"
    sink = opened(path)
    record(sink, 2.0, shown_fps)
    sink.close()
    count = int(probe(ffprobe, path)["video"]["nb_read_packets"])
    assert abs(count - written) <= 1
    seen = levels(ffmpeg, path)[:60]
    times = np.arange(60) / 40
    wanted = 40 + 4 * (np.round(times * shown_fps) % 40)
    late = 40 + 4 * (np.floor(times * shown_fps) % 40)
    assert np.minimum(np.abs(seen - wanted), np.abs(seen - late)).max() < 4.0


def test_gaps_are_filled_and_breaks_are_cut(tmp_path: Path, ffmpeg: Tool) -> None:
    path = tmp_path / "talk.mkv"
    sink = opened(path)
    send(sink, picture(0), 0.0)
    send(sink, picture(10), 1.0)
    send(sink, picture(20), 601.0)
    send(sink, picture(25), 600.0)
    send(sink, picture(30), 601.025)
    sink.close()
    seen = levels(ffmpeg, path)
    wanted = [40.0] * 40 + [80.0, 120.0, 160.0]
    assert len(seen) == 43 and np.abs(seen - wanted).max() < 4.0


def test_the_voice_of_a_break_is_left_out(tmp_path: Path, ffmpeg: Tool) -> None:
    path = tmp_path / "talk.mkv"
    sink = opened(path, voice=True)
    for k in range(40):
        send(sink, picture(k), k / 40)
    for second in range(10):
        loud = np.full(16_000, 0.5 if 1 <= second < 9 else 0.0, np.float32)
        loud *= np.sin(np.arange(16_000) / 5).astype(np.float32)
        sink.voice(loud, 16_000, START + second * 1_000_000_000)
    for k in range(40):
        send(sink, picture(k), 9 + k / 40)
    sink.close()
    heard = sound(ffmpeg, path)
    assert len(heard) / 48_000 == pytest.approx(2.0, abs=0.05)
    assert np.sqrt(np.mean(heard**2)) < 0.003, "an edge at most: the break itself is 0.35"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"an older film")
    (tmp_path / "talk.part.mp4").write_bytes(b"what a crash left")
    for _ in range(2):
        sink = opened(tmp_path / "talk.mp4")
        record(sink, 0.2)
        sink.close()
    assert sink.finished == tmp_path / "talk-3.mp4"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["talk-2.mp4", "talk-3.mp4", "talk.mp4", "talk.part.mp4"]
    assert (tmp_path / "talk.mp4").read_bytes() == b"an older film"


def test_open_and_close_may_be_repeated_and_no_frame_is_no_file(tmp_path: Path) -> None:
    sink = opened(tmp_path / "talk.mp4", voice=True)
    sink.open()
    sink.voice(np.zeros(160, np.float32), 16_000, START)
    sink.close()
    sink.close()
    assert not list(tmp_path.iterdir()) and sink.finished is None
    sink.voice(np.zeros(160, np.float32), 16_000, START)
    with pytest.raises(SinkError, match="not open"):
        send(sink, picture(0), 0.0)


@given(st.integers(16, 70), st.integers(16, 70), st.sampled_from([3, 4]))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_size_is_recorded(
    tmp_path: Path, ffprobe: Tool, width: int, height: int, channels: int
) -> None:
    sink = opened(tmp_path / "talk.mkv")
    for k in range(3):
        send(sink, picture(k, (width, height), channels), k / 40)
    send(sink, picture(3, (height, width), channels), 3 / 40)
    sink.close()
    assert sink.finished is not None
    video = probe(ffprobe, sink.finished)["video"]
    assert (video["width"], video["height"]) == (width & ~1, height & ~1)
    assert int(video["nb_read_packets"]) == 4


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("talk.webm", {}, [".mp4", ".mkv"]),
        ("talk", {}, [".mp4"]),
        ("nowhere/talk.mp4", {}, ["does not exist"]),
        ("talk.mp4", {"fps": Fraction(0)}, ["1 to 240"]),
        ("talk.mp4", {"size_px": (161, 96)}, ["even"]),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    tmp_path: Path, name: str, options: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        RecordingConfig(tmp_path / name, **options)
    assert all(word in str(caught.value) for word in words)


LONG_TAKE = """
import sys
from pathlib import Path
import numpy as np
from vasa_cam.output.recording import RecordingConfig, RecordingSink
from vasa_cam.output.sink import SinkError
path, seconds = Path(sys.argv[1]), float(sys.argv[2])
rng = np.random.default_rng(0)
sink = RecordingSink(RecordingConfig(path))
sink.open()
noise = rng.integers(0, 256, (16, 96, 160, 3), np.uint8)
try:
    for k in range(round(seconds * 40)):
        sink.send(noise[k % 16], 0, k * 25_000_000, k)
        sink.voice(rng.normal(0, 0.1, 400).astype(np.float32), 16_000, k * 25_000_000)
        if k % 40 == 0:
            print(k // 40, flush=True)
except SinkError as error:
    print(error)
    sys.exit(3)
"""


def long_take(path: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LONG_TAKE, str(path), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["talk.mp4", "talk.mkv"])
def test_a_killed_recording_can_be_watched(
    tmp_path: Path, ffmpeg: Tool, ffprobe: Tool, name: str
) -> None:
    """All but the last seconds: keyframes, and with them fragments, come every two."""
    path = tmp_path / name
    with long_take(path, 3_600.0) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 9:
                break
        process.send_signal(signal.SIGKILL)
    assert not path.exists()
    left = path.with_suffix(f".part{path.suffix}")
    count = len(levels(ffmpeg, left))
    assert count >= 9 * 40 - 3 * 40
    seen = probe(ffprobe, left)
    assert seen["audio"]["codec_name"] == "aac"
    assert float(seen["video"]["start_time"]) == pytest.approx(0.0, abs=0.002)
    assert float(seen["audio"]["start_time"]) == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize("name", ["talk.mp4", "talk.mkv"])
@pytest.mark.parametrize("size", ["1m", "200k"])
def test_a_full_disk_keeps_what_was_recorded(
    tmp_path: Path, ffmpeg: Tool, name: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real small file system."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    path = tmp_path / name
    try:
        monkeypatch.setattr("vasa_cam.output.recording._ROOM_BYTES", 0)
        sink = opened(path, voice=True)
        noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
        with pytest.raises(SinkError) as caught:
            for k in range(2_000):
                send(sink, np.roll(noise, k, axis=1), k / 40, k)
        sink.close()
        left = list(tmp_path.iterdir())
        if "nothing could be recorded" in str(caught.value):
            assert not left
        else:
            assert str(caught.value) == f"the disk is full; the recording up to then is {path}."
            assert left == [path] and sink.finished == path
            assert len(levels(ffmpeg, path)) >= 20
        assert size == "200k" or left
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_is_full_from_the_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vasa_cam.output.recording._ROOM_BYTES", 1 << 60)
    with pytest.raises(InputError, match="disk is full"):
        opened(tmp_path / "talk.mp4")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat(tmp_path: Path) -> None:
    sink = opened(tmp_path / "talk.mkv", voice=True)
    voice = np.zeros(400, np.float32)
    frame = picture(0, (64, 48))
    frame.setflags(write=False)
    sizes = []
    for k in range(6_000):
        sink.send(frame, 0, k * 25_000_000, k)
        sink.voice(voice, 16_000, k * 25_000_000)
        if k % 1_500 == 1_499:
            sizes.append(resident_bytes())
    sink.close()
    assert sizes[-1] - sizes[0] < 1_500_000
