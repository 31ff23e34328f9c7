"""`vasa-cam render` and `demo` from end to end, as processes: what a person runs and sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.core import TyperCommand

from vasa_cam.cli.render import parse_fps, parse_size, render
from vasa_cam.errors import InputError
from vasa_cam.motion.controls import Controls
from vasa_cam.motion.csv import write_motion_csv
from vasa_cam.motion.gaze import gaze_of
from vasa_cam.motion.space import INDEX, Motion, neutral
from vasa_cam.render_video import RenderJob, make_motion

Tool = Callable[..., bytes]
SIZE = "128x128"
# What the command asks about options that were written down: here none was.
NOTHING_WRITTEN = typer.Context(TyperCommand("render"))


@pytest.fixture(scope="module")
def avatar() -> Path:
    """The shipped portrait: no model file is needed for it."""
    return Path(str(resources.files("vasa_cam") / "assets" / "astronaut.vasa"))


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A second of the demo's speech."""
    from vasa_cam.audio import read_speech

    speech = read_speech(Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac")))
    path = tmp_path / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((speech[8_000:24_000] * 32767).astype("<i2").tobytes())
    return path


def vasa_cam(*arguments: object, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "vasa_cam", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def streams(ffprobe: Tool, path: Path) -> dict[str, dict]:
    report = json.loads(ffprobe("-show_streams", "-count_packets", "-of", "json", path))
    return {s["codec_type"]: s for s in report["streams"]}


def picture(ffmpeg: Tool, path: Path, size: int = 128) -> np.ndarray:
    """All frames of a video, uint8 [T, H, W, 3]."""
    raw = ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, size, size, 3)


def test_a_portrait_and_a_voice_become_a_video(
    tmp_path: Path, avatar: Path, voice: Path, ffprobe: Tool, ffmpeg: Tool
) -> None:
    out = tmp_path / "talk.mp4"
    done = vasa_cam("render", avatar, voice, "-o", out, "--size", SIZE, "--fps", "30")
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    assert "x real time" in done.stdout
    seen = streams(ffprobe, out)
    assert (seen["video"]["codec_name"], seen["audio"]["codec_name"]) == ("h264", "aac")
    assert seen["video"]["avg_frame_rate"] == "30/1"
    assert int(seen["video"]["nb_read_packets"]) == 30
    assert abs(float(seen["video"]["duration"]) - float(seen["audio"]["duration"])) < 1 / 30
    # It moves, and only where the person is: the corner shows the still background.
    frames = picture(ffmpeg, out).astype(float)
    motion = np.abs(np.diff(frames, axis=0)).mean(axis=(0, 3))
    assert motion[40:100, 40:90].mean() > 0.3
    assert {p.name for p in tmp_path.iterdir()} == {"talk.mp4", "voice.wav"}


def test_the_seed_decides_and_repeats(tmp_path: Path, avatar: Path, voice: Path) -> None:
    seen = []
    for name, seed in (("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 2)):
        out = tmp_path / name
        done = vasa_cam(
            "render", avatar, voice, "-o", out, "--size", SIZE, "--fps", "25", "--seed", seed
        )
        assert done.returncode == 0, done.stderr
        seen.append(out.read_bytes())
    assert seen[0] == seen[1] != seen[2]


def test_a_motion_track_drives_without_sound(
    tmp_path: Path, avatar: Path, ffprobe: Tool, ffmpeg: Tool
) -> None:
    frames = neutral(40)
    frames[10:30, INDEX["jawOpen"]] = 0.7
    write_motion_csv(tmp_path / "track.csv", Motion(frames, 20.0))
    out = tmp_path / "track.mkv"
    done = vasa_cam(
        "render", avatar, "--motion", tmp_path / "track.csv", "-o", out, "--size", SIZE,
        "--fps", "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = streams(ffprobe, out)
    assert "audio" not in seen
    assert int(seen["video"]["nb_read_packets"]) == 40
    shown = picture(ffmpeg, out).astype(float)
    # Where the open mouth differs most, the closed one before and after it is the same again.
    change = np.abs(shown[20] - shown[2]).mean(axis=2)
    mouth = change > np.quantile(change, 0.99)
    assert change[mouth].mean() > 30
    assert np.abs(shown[37] - shown[2]).mean(axis=2)[mouth].mean() < 0.2 * change[mouth].mean()


def test_controls_reach_the_picture(
    tmp_path: Path, avatar: Path, voice: Path, ffmpeg: Tool
) -> None:
    """Far away, the head's top edge leaves the upper rows to the background; brows go up."""
    plain, steered = tmp_path / "plain.mp4", tmp_path / "steered.mp4"
    options = ["--distance", "1.2", "--gaze", "20,0", "--emotion", "surprised=0.8,happy=0.1"]
    options += ["--head", "0.5", "--lips", "1.2", "--face", "1.5", "--blinks", "0"]
    for out, extra in ((plain, []), (steered, options)):
        command = ["render", avatar, voice, "-o", out, "--size", SIZE, "--fps", "10", *extra]
        done = vasa_cam(*command)
        assert done.returncode == 0, done.stderr
    hair = [picture(ffmpeg, out)[:, 10:14, 55:75].mean() for out in (plain, steered)]
    assert hair[1] > hair[0] + 30


def test_controls_act_on_recorded_motion(tmp_path: Path, avatar: Path, voice: Path) -> None:
    track = tmp_path / "track.csv"
    frames = neutral(30)
    frames[:, INDEX["jawOpen"]] = 0.2
    write_motion_csv(track, Motion(frames, 20.0))
    job = RenderJob(tmp_path / "x.mp4", track=track, fps=Fraction(20))
    np.testing.assert_array_equal(make_motion(job), frames)
    controls = Controls((10.0, 0.0), 1.1, {"happy": 1.0}, lips=2.0)
    steered = make_motion(replace(job, controls=controls))
    np.testing.assert_allclose(steered[:, INDEX["jawOpen"]], 0.4, atol=1e-6)
    np.testing.assert_allclose(gaze_of(steered), [[10.0, 0.0]] * 30, atol=1e-4)
    assert (steered[:, INDEX["mouthSmileLeft"]] > 0.3).all()
    np.testing.assert_allclose(steered[:, 57], 1.2, atol=1e-5)
    with pytest.raises(InputError, match="recorded"):
        make_motion(replace(job, controls=Controls(blinks=2.0)))


def test_a_persons_style_changes_the_lips(tmp_path: Path, voice: Path) -> None:
    speech = Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac"))
    job = RenderJob(tmp_path / "x.mp4", voice=speech, fps=Fraction(25))
    track = tmp_path / "me.csv"
    wide = replace(job, controls=Controls(lips=1.5))
    write_motion_csv(track, Motion(make_motion(wide), 25.0))
    plain, styled = (make_motion(one) for one in (job, replace(job, style=track)))
    jaw = INDEX["jawOpen"]
    assert 1.1 < styled[:, jaw].mean() / plain[:, jaw].mean() < 1.6
    with pytest.raises(InputError, match="two or three sentences"):
        write_motion_csv(track, Motion(neutral(100), 25.0))
        make_motion(replace(job, style=track))


def test_transparent_video_has_alpha(tmp_path: Path, avatar: Path, ffmpeg: Tool) -> None:
    write_motion_csv(tmp_path / "track.csv", Motion(neutral(3), 25.0))
    out = tmp_path / "cut.webm"
    done = vasa_cam(
        "render", avatar, "--motion", tmp_path / "track.csv", "--motion-fps", "25", "-o", out,
        "--size", SIZE, "--background", "transparent",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    raw = ffmpeg("-c:v", "libvpx-vp9", "-i", out, "-f", "rawvideo", "-pix_fmt", "rgba", "-")
    alpha = np.frombuffer(raw, np.uint8).reshape(-1, 128, 128, 4)[0, ..., 3]
    assert alpha[50:80, 50:80].min() > 250
    assert alpha.min() < 5


def test_bad_requests_are_refused_and_leave_nothing(
    tmp_path: Path, avatar: Path, voice: Path
) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    out = tmp_path / "out.mp4"
    good = {"portrait": avatar, "audio": voice, "out": out}
    cases: list[tuple[dict[str, object], str]] = [
        ({"audio": None}, "--motion"),
        ({"audio": tmp_path / "none.wav"}, "does not exist"),
        ({"audio": tmp_path / "empty.wav"}, "0 bytes"),
        ({"out": tmp_path / "no" / "out.mp4"}, "does not exist"),
        ({"out": tmp_path / "out.xyz"}, "not a video format"),
        ({"background": "transparent"}, ".webm"),
        ({"size": "511x512"}, "512x512"),
        ({"size": "big"}, "512x512"),
        ({"fps": "0"}, "1 to 240"),
        ({"fps": "fast"}, "not a frame rate"),
        ({"background": str(tmp_path / "none.png")}, "background"),
        ({"gaze": "left"}, "right,up"),
        ({"gaze": "50,0"}, "-35 to 35"),
        ({"distance": 0.0}, "distance must be"),
        ({"emotion": "bored"}, "no emotion 'bored'"),
        ({"emotion": "happy=2"}, "0 to 1"),
        ({"emotion": "happy=very"}, "happy=0.5"),
        ({"head": 4.0}, "head must be"),
        ({"style": tmp_path / "none.csv"}, "none.csv does not exist"),
        ({"out": voice}, "the input itself"),
        ({"portrait": tmp_path / "none.vasa"}, "none.vasa"),
        ({"motion": voice}, "voice.wav"),
    ]
    before = {p.name for p in tmp_path.iterdir()}
    for change, words in cases:
        with pytest.raises(InputError) as caught:
            render(NOTHING_WRITTEN, **{**good, **change})
        assert words in str(caught.value)
        assert {p.name for p in tmp_path.iterdir()} == before


def test_the_command_line_says_it_in_one_line_and_exits_with_2(tmp_path: Path) -> None:
    done = vasa_cam("render", tmp_path / "none.vasa", tmp_path / "none.wav")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "none.wav does not exist" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_leaves_no_half_file(
    tmp_path: Path, avatar: Path, number: signal.Signals
) -> None:
    write_motion_csv(tmp_path / "long.csv", Motion(neutral(15_000), 50.0))
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "vasa_cam", "render", str(avatar)]
    command += ["--motion", str(tmp_path / "long.csv"), "-o", str(out), "--size", SIZE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        give_up = time.monotonic() + 60
        while not list(tmp_path.glob(".out.mp4*")) and time.monotonic() < give_up:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == ["long.csv"]


def test_rendering_needs_neither_tracker_nor_torch(
    tmp_path: Path, avatar: Path, voice: Path
) -> None:
    """An enrolled avatar must start at once: no torch, no mediapipe, no cv2, no scipy."""
    out = tmp_path / "out.mp4"
    code = (
        "import sys\n"
        "from vasa_cam.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "print([m for m in ('torch', 'mediapipe', 'cv2', 'scipy') if m in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, "render", str(avatar), str(voice), "-o", str(out)]
    command += ["--size", SIZE, "--fps", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_demo_writes_both_files_and_says_where(tmp_path: Path, ffprobe: Tool) -> None:
    done = vasa_cam("demo", "-o", tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "demo.mp4") in done.stdout
    assert str(tmp_path / "demo.png") in done.stdout
    assert "first frame after" in done.stdout
    assert "frames a second" in done.stdout
    seen = streams(ffprobe, tmp_path / "demo.mp4")
    assert (seen["video"]["width"], seen["video"]["height"]) == (512, 512)
    assert abs(float(seen["video"]["duration"]) - float(seen["audio"]["duration"])) < 1 / 40
    assert streams(ffprobe, tmp_path / "demo.png")["video"]["codec_name"] == "png"
    assert sorted(os.listdir(tmp_path)) == ["demo.mp4", "demo.png"]


def test_frame_rates_and_sizes_as_people_write_them() -> None:
    assert parse_fps("40") == 40
    assert parse_fps("29.97") == parse_fps("30000/1001") == Fraction(30_000, 1001)
    assert parse_fps("23.976") == Fraction(24_000, 1001)
    assert parse_fps("12.5") == Fraction(25, 2)
    assert parse_size("640x480") == (640, 480)
    for text in ("", "x", "-5", "1e999999999", "nan", "30/0", "2x2"):
        with pytest.raises(InputError):
            parse_fps(text)
    for text in ("", "512", "x", "5x", "-5x5", "5.5x5", "5x5x5"):
        with pytest.raises(InputError):
            parse_size(text)
