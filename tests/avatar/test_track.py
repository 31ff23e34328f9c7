"""Tracking: what was put into a render comes back; gaps, losses and bad files."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.avatar.file import load_avatar
from vasa_cam.avatar.track import continuous, motion_of_landmarks, track_video
from vasa_cam.avatar.video_faces import VideoFaces, find_faces
from vasa_cam.cli.track import track
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.csv import read_motion_csv
from vasa_cam.motion.pose import rotation_matrices
from vasa_cam.motion.space import INDEX, MOTION_SIZE, neutral
from vasa_cam.output.file import VideoFile, VideoFileConfig
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

Tool = Callable[..., bytes]
RATE_HZ = 25


def gestures() -> np.ndarray:
    """Two seconds: the jaw opens twice, a smile, brows, a blink, a glance, and the head moves."""
    frames = neutral(50)
    t = np.arange(50) / RATE_HZ
    frames[:, INDEX["jawOpen"]] = 0.5 * np.clip(np.sin(2 * np.pi * t), 0, 1)
    frames[12:26, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 0.8
    frames[28:40, [INDEX["browInnerUp"], INDEX["browOuterUpLeft"]]] = 0.8
    frames[28:40, INDEX["browOuterUpRight"]] = 0.8
    frames[6:10, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 1.0
    frames[14:24, [INDEX["eyeLookOutLeft"], INDEX["eyeLookInRight"]]] = 0.6
    frames[:, 52] = 0.1 * np.sin(2 * np.pi * t)
    frames[:, 53] = 0.15 * np.sin(np.pi * t)
    frames[:, 54] = 0.1 * np.cos(np.pi * t)
    frames[:, 55] = 0.1 * np.sin(2 * np.pi * t + 1)
    return frames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped portrait doing `gestures`."""
    path = tmp_path_factory.mktemp("film") / "face.mp4"
    avatar = Path(str(resources.files("vasa_cam") / "assets" / "astronaut.vasa"))
    renderer = LayeredRenderer(RenderConfig(384, 384))
    state = renderer.prepare(load_avatar(avatar))
    with VideoFile(VideoFileConfig(path, (384, 384), Fraction(RATE_HZ))) as video:
        for frame in gestures():
            video.write(renderer.render(state, frame))
    return path


@pytest.fixture(scope="module")
def models(shared: Path) -> Path:
    return shared / "models"


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_a_render_comes_back(tmp_path: Path, film: Path, models: Path) -> None:
    """Through the command itself and its CSV; docs/tracking.md has the full table."""
    track(film, tmp_path / "track.csv", models)
    seen = read_motion_csv(tmp_path / "track.csv")
    assert seen.rate_hz == RATE_HZ
    assert seen.frames.shape == (50, MOTION_SIZE)
    truth = gestures()
    floors = {
        "jawOpen": 0.9, "mouthSmileLeft": 0.85, "mouthSmileRight": 0.85, "browInnerUp": 0.8,
        "eyeBlinkLeft": 0.8, "eyeBlinkRight": 0.8, "eyeLookOutLeft": 0.85, "eyeLookInRight": 0.85,
    }  # fmt: skip
    for name, floor in floors.items():
        k = INDEX[name]
        assert correlation(truth[:, k], seen.frames[:, k]) > floor, name
    for axis, floor in ((52, 0.9), (53, 0.95), (54, 0.95), (55, 0.85)):
        assert correlation(truth[:, axis], seen.frames[:, axis]) > floor, axis
        slope = np.polyfit(truth[:, axis], seen.frames[:, axis], 1)[0]
        assert 0.5 < slope < 1.3, axis
    # What does not move stays near zero.
    for name in ("cheekPuff", "jawLeft", "mouthFrownLeft", "tongueOut"):
        assert seen.frames[:, INDEX[name]].mean() < 0.15, name


def turned_faces(vectors: np.ndarray) -> np.ndarray:
    """The canonical face with irises, turned by rotation vectors [T, 3], in pixels."""
    vertices = load_face_model().vertices
    irises = [vertices[[a, b]].mean(0) for a, b in ((33, 133), (362, 263)) for _ in range(5)]
    points = np.concatenate([vertices, irises]).astype(np.float64)
    return (points @ rotation_matrices(vectors).transpose(0, 2, 1) * 20 + 300).astype(np.float32)


def test_head_rotation_keeps_its_signs_and_size() -> None:
    t = np.linspace(0, 2 * np.pi, 41)
    vectors = np.stack([0.1 * np.sin(t), 0.2 * np.sin(2 * t), 0.15 * np.sin(3 * t)], axis=1)
    faces = turned_faces(vectors)
    motion = motion_of_landmarks(faces, np.zeros((41, 52), np.float32), 25.0)
    assert np.abs(motion.frames[:, 52:55] - vectors).max() < 0.02
    assert np.abs(motion.frames[:, 55:]).max() < 0.02
    # The canonical mouth is a little open: whatever that is taken for, it must not change.
    assert np.ptp(motion.frames[:, :52], axis=0).max() < 0.01


def faces_at(times: np.ndarray, found: np.ndarray) -> VideoFaces:
    """A face that moves right by 10 px a second, seen where `found` says."""
    landmarks = np.zeros((len(times), 478, 3), np.float32)
    landmarks[..., 0] = 10 * times[:, None]
    landmarks[~found] = np.nan
    scores = np.zeros((len(times), 52), np.float32)
    return VideoFaces(times, landmarks, scores, (64, 64), False)


def test_short_losses_are_filled_in_time() -> None:
    times = np.arange(50) / 25
    found = np.ones(50, bool)
    found[[0, 1, 20, 21, 22, 49]] = False
    even, rate_hz, notes = continuous(Path("clip.mp4"), faces_at(times, found))
    assert rate_hz == 25.0
    assert len(even.times_s) == 50
    assert np.allclose(even.landmarks_px[2:49, 0, 0], 10 * times[2:49], atol=1e-4)
    assert notes == ["6 of 50 frames were filled in between others."]


def test_long_losses_cut_the_track_and_say_so() -> None:
    times = np.arange(100) / 25
    found = np.ones(100, bool)
    found[30:50] = False
    even, _, notes = continuous(Path("clip.mp4"), faces_at(times, found))
    assert len(even.times_s) == 50
    assert even.landmarks_px[0, 0, 0] == pytest.approx(20.0)
    assert "2.00-3.96" in notes[0]


def test_uneven_times_become_an_even_rate() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(300) * 1001 / 30_000
    times = np.round(times + rng.uniform(-2e-4, 2e-4, 300), 3)  # Matroska counts milliseconds
    even, rate_hz, _ = continuous(Path("clip.mkv"), faces_at(times, np.ones(300, bool)))
    assert rate_hz == pytest.approx(30_000 / 1001, rel=1e-3)
    assert np.abs(even.landmarks_px[:, 0, 0] - 10 * even.times_s).max() < 0.02


@pytest.mark.parametrize("seen", [0, 3])
def test_a_face_that_is_hardly_there_is_refused(seen: int) -> None:
    found = np.arange(50) < seen
    with pytest.raises(InputError, match=r"clip\.mp4"):
        continuous(Path("clip.mp4"), faces_at(np.arange(50) / 25, found))


def test_videos_without_a_face_or_pictures_are_refused(
    tmp_path: Path, models: Path, ffmpeg: Tool
) -> None:
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a film")
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.5:s=128x128:r=10", tmp_path / "bars.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", tmp_path / "sound.mp4")
    for name, words in (
        ("zero.mp4", "0 bytes"),
        ("text.mp4", "not a video"),
        ("bars.mp4", "no face"),
        ("sound.mp4", "no pictures"),
        ("none.mp4", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            track_video(tmp_path / name, models)
    with pytest.raises(InputError, match="does not exist"):
        track(tmp_path / "bars.mp4", tmp_path / "no" / "track.csv", models)


@pytest.mark.parametrize("turn", ["transpose=1", "transpose=2"])
def test_a_phone_video_is_turned_upright(
    tmp_path: Path, film: Path, models: Path, ffmpeg: Tool, turn: str
) -> None:
    """Phones store the sensor's picture and a matrix that says how to turn it; ffmpeg judges."""
    ffmpeg("-i", film, "-vf", turn, "-frames:v", 6, "-crf", 10, tmp_path / "lying.mp4")
    data = bytearray((tmp_path / "lying.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44  # ISO 14496-12: version 0, 40 bytes of fields before it
    assert data[matrix : matrix + 4] == (1 << 16).to_bytes(4, "big")
    quarter = (1 << 16) if turn == "transpose=2" else -(1 << 16)
    numbers = [0, quarter, 0, -quarter, 0]
    data[matrix : matrix + 20] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    (tmp_path / "phone.mp4").write_bytes(bytes(data))
    ffmpeg("-i", tmp_path / "phone.mp4", "-crf", 10, tmp_path / "judge.mp4")
    phone, judge = (find_faces(tmp_path / name, models) for name in ("phone.mp4", "judge.mp4"))
    upright = find_faces(film, models)
    for seen in (phone, judge):
        assert seen.found.all()
        distance = seen.landmarks_px[:, :468, :2] - upright.landmarks_px[:6, :468, :2]
        assert np.abs(distance).mean() < 2.0
