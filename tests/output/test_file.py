"""Video files, judged by ffprobe and ffmpeg: codecs, timing, length, colours, alpha, failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.errors import InputError
from vasa_cam.output.file import VideoFile, VideoFileConfig

Tool = Callable[..., bytes]
SIZE = (160, 96)
OPAQUE = ["out.mp4", "out.mov", "out.mkv", "out.webm"]
CODECS = {
    ".mp4": ("h264", "aac"),
    ".mov": ("h264", "aac"),
    ".mkv": ("h264", "aac"),
    ".webm": ("vp9", "opus"),
}


def frames(count: int, channels: int = 3, size: tuple[int, int] = SIZE) -> Iterator[np.ndarray]:
    """A smooth coloured picture with a moving soft disc as alpha."""
    width, height = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for k in range(count):
        wave = 127 + 100 * np.sin((x + 2 * k) / 12) * np.cos(y / 15)
        alpha = np.clip(12 * (height / 3 - np.hypot(x - width / 2 - k, y - height / 2)), 0, 255)
        layers = [255 * x / width, 255 * y / height, wave, alpha]
        yield np.stack(layers[:channels], axis=-1).astype(np.uint8)


def tone(rate_hz: int, seconds: float, block: int = 777) -> Iterator[np.ndarray]:
    """440 Hz left, 660 Hz right, in blocks of an odd size."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    both = 0.4 * np.sin(2 * np.pi * np.outer(t, [440.0, 660.0])).astype(np.float32)
    for start in range(0, len(both), block):
        yield both[start : start + block]


def write(
    path: Path, count: int, sound_s: float | None = None, **options: object
) -> VideoFileConfig:
    """A clip of `count` frames at 40 fps unless the options say otherwise."""
    settings = {"size_px": SIZE, "fps": Fraction(40), **options}
    if sound_s is not None:
        settings.setdefault("source_rate_hz", 44_100)
    config = VideoFileConfig(path, **settings)
    sound = None if sound_s is None else tone(config.rate_hz or 0, sound_s)
    with VideoFile(config, sound) as video:
        for frame in frames(count, 4 if config.transparent else 3, config.size_px):
            video.write(frame)
    return config


def probe(ffprobe: Tool, path: Path) -> dict[str, dict]:
    """ffprobe's view of the file: {"video": ..., "audio": ..., "format": ...}."""
    report = json.loads(
        ffprobe("-count_packets", "-show_streams", "-show_format", "-of", "json", path)
    )
    return {"format": report["format"]} | {s["codec_type"]: s for s in report["streams"]}


def packet_times(ffprobe: Tool, path: Path, stream: str) -> np.ndarray:
    """[n, 2]: presentation time and duration of every packet of a stream, in seconds."""
    entries = "packet=pts_time,duration_time"
    text = ffprobe("-select_streams", stream, "-show_entries", entries, "-of", "csv=p=0", path)
    rows = [line.strip(",").split(",")[:2] for line in text.decode().split()]
    return np.array(sorted([float(a), float(b)] for a, b in rows))


@pytest.mark.parametrize("name", OPAQUE)
def test_codecs_frame_rate_and_equal_length(tmp_path: Path, ffprobe: Tool, name: str) -> None:
    path = tmp_path / name
    write(path, 53, sound_s=1.3)
    seen = probe(ffprobe, path)
    video, audio = seen["video"], seen["audio"]
    assert (video["codec_name"], audio["codec_name"]) == CODECS[path.suffix]
    assert (video["width"], video["height"], video["pix_fmt"]) == (*SIZE, "yuv420p")
    assert (video["r_frame_rate"], video["avg_frame_rate"]) == ("40/1", "40/1")
    assert (int(video["nb_read_packets"]), audio["channels"]) == (53, 2)
    # Constant frame rate: every picture exactly one frame after the one before.
    times = packet_times(ffprobe, path, "v:0")[:, 0]
    assert np.allclose(np.diff(times), 1 / 40, atol=1.1e-3)
    assert times[0] == pytest.approx(0.0, abs=1e-6)
    sound = packet_times(ffprobe, path, "a:0")
    assert abs(sound[-1].sum() - 53 / 40) < 1 / 40
    # Codec start-up may be marked as lying before zero, never as a late start.
    assert -0.03 < sound[0, 0] <= 0.0


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30_000, 1001), Fraction(60)])
def test_frame_rates_are_exact(tmp_path: Path, ffprobe: Tool, fps: Fraction) -> None:
    path = tmp_path / "out.mp4"
    write(path, 20, sound_s=0.5, fps=fps)
    video = probe(ffprobe, path)["video"]
    assert Fraction(video["r_frame_rate"]) == Fraction(video["avg_frame_rate"]) == fps


@pytest.mark.parametrize("sound_s", [0.05, 5.0])
def test_sound_is_filled_or_cut_to_the_picture(
    tmp_path: Path, ffprobe: Tool, ffmpeg: Tool, sound_s: float
) -> None:
    path = tmp_path / "out.mp4"
    write(path, 40, sound_s=sound_s)
    seen = probe(ffprobe, path)
    assert float(seen["audio"]["duration"]) == pytest.approx(1.0, abs=1 / 40)
    pcm = np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-"), "<f4").reshape(-1, 2)
    loud = np.abs(pcm[44_100 // 2 : 44_100 * 9 // 10]).max()
    assert loud > 0.3 if sound_s > 1 else loud < 1e-3


def test_sound_keeps_its_channels_and_its_place(tmp_path: Path, ffmpeg: Tool) -> None:
    path = tmp_path / "out.mp4"
    write(path, 40, sound_s=1.0)
    pcm = np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-"), "<f4").reshape(-1, 2)
    want = np.concatenate(list(tone(44_100, 1.0)))
    middle = slice(4_000, 40_000)
    for side in (0, 1):
        noise = np.mean((pcm[middle, side] - want[middle, side]) ** 2)
        assert 10 * np.log10(np.mean(want[middle, side] ** 2) / noise) > 20.0


@pytest.mark.parametrize(
    ("source_rate_hz", "stored_hz"),
    [(8_000, 48_000), (16_000, 16_000), (44_100, 44_100), (96_000, 48_000), (192_000, 48_000)],
)
def test_sample_rates_the_codec_lacks_are_replaced(
    tmp_path: Path, ffprobe: Tool, source_rate_hz: int, stored_hz: int
) -> None:
    path = tmp_path / "out.mp4"
    config = write(path, 10, sound_s=0.2, source_rate_hz=source_rate_hz)
    assert config.rate_hz == stored_hz
    assert int(probe(ffprobe, path)["audio"]["sample_rate"]) == stored_hz


def test_a_silent_file_has_no_audio_stream(tmp_path: Path, ffprobe: Tool) -> None:
    write(tmp_path / "out.mp4", 10)
    assert "audio" not in probe(ffprobe, tmp_path / "out.mp4")


def to_rgb(planes: np.ndarray, size: tuple[int, int], kr: float, kb: float) -> np.ndarray:
    """Limited-range I420 [H * 3 / 2 * W] to float RGB, by the standards' own formulae."""
    width, height = size
    y = (planes[: width * height].reshape(height, width) - 16.0) / 219
    chroma = planes[width * height :].reshape(2, height // 2, width // 2)
    pb, pr = ((c.repeat(2, 0).repeat(2, 1) - 128.0) / 224 for c in chroma)
    red, blue = y + 2 * (1 - kr) * pr, y + 2 * (1 - kb) * pb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)


@pytest.mark.parametrize(
    ("size", "matrix", "space"),
    [((160, 96), (0.299, 0.114), "smpte170m"), ((1280, 720), (0.2126, 0.0722), "bt709")],
)
def test_decoded_colours_are_the_frames(
    tmp_path: Path,
    ffprobe: Tool,
    ffmpeg: Tool,
    size: tuple[int, int],
    matrix: tuple[float, float],
    space: str,
) -> None:
    path = tmp_path / "out.mp4"
    write(path, 4, size_px=size)
    video = probe(ffprobe, path)["video"]
    assert (video["color_space"], video["color_range"]) == (space, "tv")
    raw = np.frombuffer(ffmpeg("-i", path, "-f", "rawvideo", "-"), np.uint8).reshape(4, -1)
    for planes, frame in zip(raw, frames(4, size=size), strict=True):
        error = np.mean((to_rgb(planes.astype(np.float64), size, *matrix) - frame) ** 2)
        assert 10 * np.log10(255**2 / error) > 34.0
        wrong = (0.2126, 0.0722) if matrix[0] == 0.299 else (0.299, 0.114)
        assert error < 0.5 * np.mean((to_rgb(planes.astype(float), size, *wrong) - frame) ** 2)


@pytest.mark.parametrize(
    ("name", "decoder", "pixels"),
    [("out.webm", ["-c:v", "libvpx-vp9"], "vp9"), ("out.mov", [], "prores")],
)
def test_transparency_survives(
    tmp_path: Path, ffprobe: Tool, ffmpeg: Tool, name: str, decoder: list[str], pixels: str
) -> None:
    path = tmp_path / name
    write(path, 10, sound_s=0.25, transparent=True)
    seen = probe(ffprobe, path)
    assert seen["video"]["codec_name"] == pixels
    assert abs(packet_times(ffprobe, path, "a:0")[-1].sum() - 10 / 40) < 1 / 40
    raw = ffmpeg(*decoder, "-i", path, "-pix_fmt", "rgba", "-f", "rawvideo", "-")
    got = np.frombuffer(raw, np.uint8).reshape(10, SIZE[1], SIZE[0], 4)
    want = np.stack(list(frames(10, 4)))
    assert np.abs(got[..., 3].astype(int) - want[..., 3]).mean() < 2.0
    solid = want[..., 3] == 255
    assert np.abs(got[..., :3].astype(int) - want[..., :3])[solid].mean() < 6.0


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    seen = set()
    for _ in range(4):
        write(tmp_path / name, 12, sound_s=0.3, threads=2)
        seen.add((tmp_path / name).read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.gif", {}, [".mp4", ".mkv"]),
        ("out", {}, ["without an ending"]),
        ("out.mp4", {"transparent": True}, [".webm", ".mov"]),
        ("out.mp4", {"size_px": (511, 512)}, ["even", "512x512"]),
        ("out.mp4", {"size_px": (8, 8)}, ["16 to"]),
        ("out.mp4", {"size_px": (9000, 512)}, ["4096"]),
        ("out.mp4", {"fps": Fraction(0)}, ["1 to 240"]),
        ("out.mp4", {"fps": Fraction(1000)}, ["1 to 240"]),
        ("nowhere/out.mp4", {}, ["does not exist"]),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    tmp_path: Path, name: str, options: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        VideoFileConfig(tmp_path / name, **{"size_px": SIZE, "fps": Fraction(40), **options})
    for word in words:
        assert word in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        VideoFileConfig(tmp_path / "out.mp4", SIZE, Fraction(40))


def test_prores_takes_odd_sizes(tmp_path: Path, ffprobe: Tool) -> None:
    write(tmp_path / "out.mov", 3, transparent=True, size_px=(161, 97))
    assert probe(ffprobe, tmp_path / "out.mov")["video"]["width"] == 161


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"an older film")
    config = VideoFileConfig(path, SIZE, Fraction(40), source_rate_hz=44_100)
    with pytest.raises(error), VideoFile(config, tone(44_100, 1.0)) as video:
        for frame in frames(30):
            video.write(frame)
        raise error
    assert path.read_bytes() == b"an older film"
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_frame_is_refused(tmp_path: Path) -> None:
    config = VideoFileConfig(tmp_path / "out.mp4", SIZE, Fraction(40))
    with pytest.raises(ValueError, match="u8"), VideoFile(config) as video:
        video.write(np.zeros((96, 160, 4), np.uint8))
    assert not list(tmp_path.iterdir())


NOISE_FILM = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from vasa_cam.errors import InputError
from vasa_cam.output.file import VideoFile, VideoFileConfig

path, limit, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rng = np.random.default_rng(0)
config = VideoFileConfig(path, (320, 240), Fraction(25))
try:
    with VideoFile(config) as video:
        for _ in range(count):
            video.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
except InputError as error:
    print(error)
    sys.exit(2)
"""


def film(path: Path, limit: int, count: int) -> subprocess.CompletedProcess[str]:
    """Write noise, which no codec makes small, in a process of its own."""
    command = [sys.executable, "-c", NOISE_FILM, str(path), str(limit), str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm"])
def test_a_file_size_limit_leaves_nothing(tmp_path: Path, name: str) -> None:
    done = film(tmp_path / name, 300_000, 60)
    assert done.returncode == 2, done.stderr
    assert "disk is full" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 60])
def test_a_full_disk_leaves_nothing(tmp_path: Path, count: int) -> None:
    """On a real file system of 24 kB, full early and full only when the file is finished."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        done = film(tmp_path / "out.mp4", 0, count)
        left = list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.returncode == 2, done.stderr
    assert "disk is full" in done.stdout
    assert not left
