"""From face videos to training clips: lag, layout, filters, and going on where a run stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.audio import read_speech
from vasa_cam.avatar.video_faces import VideoFaces
from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.render_video import RenderJob, make_motion, render_video
from vasa_cam.training import prepare as command
from vasa_cam.training.audio_sync import expected_opening, measure_sync
from vasa_cam.training.face_clips import DEFAULT_PREPARE, at_times, shots, thinned
from vasa_cam.training.talk_data import decode_flac, load_talk
from vasa_cam.training.talk_writer import SCORE_NAMES, encode_flac
from vasa_cam.training.targets import aperture

Tool = Callable[..., bytes]
_LATE_MS = 120
_FPS = 25


def _job(out: Path) -> RenderJob:
    voice = Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac"))
    return RenderJob(out=out, voice=voice, fps=Fraction(_FPS))


@pytest.fixture(scope="module")
def film(ffmpeg: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped portrait says the shipped sentence, and is heard 120 ms late."""
    from vasa_cam.avatar.file import load_avatar

    folder = tmp_path_factory.mktemp("film")
    avatar = load_avatar(Path(str(resources.files("vasa_cam") / "assets" / "astronaut.vasa")))
    job = _job(folder / "prompt.mp4")
    job = replace(job, render=replace(job.render, width=320, height=320))
    render_video(job, avatar, make_motion(job))
    late = folder / "late.mp4"
    ffmpeg("-i", job.out, "-af", f"adelay={_LATE_MS}:all=1", "-c:v", "copy", late)
    return late


@pytest.fixture(scope="module")
def prepared(film: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film and a file that is no video, prepared by the command."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "letter.mp4").write_text("dear")
    arguments = [str(film), str(folder / "letter.mp4"), "-o", str(folder / "out")]
    code = command.main([*arguments, "--models", str(shared / "models"), "--val", "0"])
    assert code == 0
    return folder


def test_a_late_sound_is_moved_onto_the_lips(prepared: Path, film: Path) -> None:
    records = [json.loads(x) for x in (prepared / "out" / "train.jsonl").read_text().splitlines()]
    assert len(records) == 1
    record = records[0]
    assert record["audio_late_ms_measured"] == pytest.approx(_LATE_MS, abs=20)
    assert record["audio_shift_applied_ms"] == record["audio_late_ms_measured"]
    assert record["sync_r"] > 0.8
    assert record["n_samples"] == 640 * record["n_frames"]
    assert record["tracked"] == record["valid"] == 1.0
    assert record["source_size"] == [320, 320]
    # Beside the sound as it was before it was delayed, by the waveform alone.
    clip = load_talk(prepared / "out", "train.jsonl")[0]
    original = read_speech(_job(film).voice or film)
    count = min(len(original), len(clip.audio))
    product = np.fft.rfft(clip.audio[:count]) * np.conj(np.fft.rfft(original[:count]))
    peak = int(np.argmax(np.fft.irfft(product)))
    left_over = (peak + count // 2) % count - count // 2
    assert abs(left_over) <= 320  # half a frame


def test_training_reads_the_clips(prepared: Path, film: Path) -> None:
    """Lips and head are those that were rendered, in our axes."""
    clip = load_talk(prepared / "out", "train.jsonl")[0]
    truth = make_motion(_job(film))[: len(clip.landmarks)]
    frames = len(clip.landmarks)
    assert frames >= 220
    assert clip.landmarks.shape == (frames, 60, 3)
    assert clip.scores.shape == (frames, 52)
    assert clip.pose.shape == (frames, 6)
    assert clip.audio.shape == (640 * frames,)
    assert clip.phones is None
    opened = np.maximum(0.0, truth[:, :COEFFICIENTS] @ lip_opening())
    assert np.corrcoef(aperture(clip.landmarks), opened)[0, 1] > 0.85
    eyes = [clip.landmarks[:, rows].mean(axis=1) for rows in ([40, 43], [46, 49])]
    # The unit is the clip's median distance; single frames carry the tracker's noise.
    apart = np.linalg.norm(eyes[1] - eyes[0], axis=1)
    assert float(np.median(apart)) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(apart, 1.0, atol=0.1)
    assert abs(float(np.median(eyes[0] + eyes[1]))) < 0.1  # the origin is between the eyes
    assert eyes[0][0, 0] < 0 < eyes[1][0, 0]
    assert clip.landmarks[:, 55, 1].mean() > 1.0  # the chin is below: y down
    for axis in range(3):
        assert np.corrcoef(clip.pose[:, axis], truth[:, COEFFICIENTS + axis])[0, 1] > 0.7
    assert (clip.pose[:, 5] > 0).all()  # away from the camera


def test_layout(prepared: Path) -> None:
    """As the README of the tracked data says."""
    out = prepared / "out"
    shard = json.loads((out / "train.jsonl").read_text())["shard"]
    assert {path.name for path in out.iterdir()} == {
        *(f"{shard}.npz", f"{shard}.flac.tar", "parts", "meta.json"),
        *("train.jsonl", "val.jsonl", "weak.jsonl"),
    }
    with np.load(out / f"{shard}.npz", allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype.kind for name in arrays.files} == {
            "bs": "f", "pose": "f", "lm": "f", "tracked": "b", "valid": "b", "start": "i",
            "length": "i", "ids": "U",
        }  # fmt: skip
        assert arrays["bs"].dtype == arrays["lm"].dtype == np.float16
        assert 0.0 <= arrays["bs"].min() <= arrays["bs"].max() <= 1.0
        assert (arrays["bs"][:, 0] == 0).all()
    meta = json.loads((out / "meta.json").read_text())
    assert meta["blendshape_names"] == list(SCORE_NAMES)
    assert meta["blendshape_names"][:2] == ["_neutral", "browDownLeft"]
    assert len(meta["blendshape_names"]) == 52
    assert len(meta["landmark_indices"]) == 60


def test_a_second_run_tracks_nothing_again(
    prepared: Path,
    film: Path,
    shared: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tracked_again(*_: object) -> None:
        raise AssertionError("the video was tracked again")

    monkeypatch.setattr(command, "prepare_video", tracked_again)
    arguments = [str(film), str(prepared / "letter.mp4"), "-o", str(prepared / "out")]
    assert command.main([*arguments, "--val", "0"]) == 0
    said = capsys.readouterr()
    assert "1 clips (0.2 min) of 1 videos; 0 clips with weak sync" in said.out
    assert said.err.count("left out:") == 1
    assert "letter.mp4 has no sound that can be read" in said.err
    with pytest.raises(AssertionError, match="tracked again"):  # other settings
        command.main([*arguments, "--several"])


def test_wrong_sound_is_not_trained_on(
    prepared: Path, film: Path, speech: Path, shared: Path, ffmpeg: Tool, tmp_path: Path
) -> None:
    """Somebody else's voice over the film."""
    dubbed = tmp_path / "dubbed.mkv"
    voice = speech / "flac" / "LJ001-0009.flac"
    ffmpeg("-i", film, "-i", voice, "-map", "0:v", "-map", "1:a", "-t", "5", "-c:v", "copy", dubbed)
    out = tmp_path / "out"
    command.main([str(dubbed), "-o", str(out), "--models", str(shared / "models")])
    assert not (out / "train.jsonl").read_text()
    assert not (out / "val.jsonl").read_text()
    record = json.loads((out / "weak.jsonl").read_text())
    assert record["split"] == "weak"
    assert record["audio_shift_applied_ms"] == 0


def test_nothing_usable(
    tmp_path: Path, shared: Path, ffmpeg: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    test_picture = tmp_path / "test.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=d=1:s=160x120", "-f", "lavfi", "-i", "sine=d=1"),
        test_picture,
    )
    out = tmp_path / "out"
    assert command.main([str(tmp_path), "-o", str(out), "--models", str(shared / "models")]) == 2
    assert "test.mp4 has no 2 s of one face" in capsys.readouterr().err
    assert command.main([str(tmp_path / "none.mp4"), "-o", str(out)]) == 2
    assert "none.mp4 does not exist" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert command.main([str(empty), "-o", str(out)]) == 2
    assert "holds no video" in capsys.readouterr().err
    assert command.main([str(test_picture), "-o", str(test_picture / "out")]) == 2
    assert "choose another output" in capsys.readouterr().err


@pytest.fixture(scope="module")
def lips() -> tuple[np.ndarray, np.ndarray]:
    """Twenty seconds of moving lips and another speaker's."""
    rng = np.random.default_rng(3)
    kernel = np.hanning(7)
    walk = [np.convolve(rng.normal(0, 1, 600), kernel, "valid")[:500] for _ in range(2)]
    return walk[0], walk[1]


@given(late_ms=st.integers(-330, 330), noise=st.floats(0.0, 1.0))
def test_any_lag_is_found(lips: tuple[np.ndarray, np.ndarray], late_ms: int, noise: float) -> None:
    times = np.arange(500) / 25
    heard = np.interp(times - late_ms / 1000, times, lips[0])
    sync = measure_sync(lips[0] + noise * lips[1], heard, np.ones(500, bool))
    assert sync.strong
    assert sync.late_s == pytest.approx(late_ms / 1000, abs=0.02)


def test_lags_that_cannot_be_told(lips: tuple[np.ndarray, np.ndarray]) -> None:
    everywhere = np.ones(500, bool)
    assert not measure_sync(lips[0], lips[1], everywhere).strong
    assert not measure_sync(np.zeros(500), lips[0], everywhere).strong
    assert not measure_sync(lips[0][:40], lips[0][:40], everywhere[:40]).strong
    assert not measure_sync(lips[0], lips[0], ~everywhere).strong
    steady = np.sin(2 * np.pi * 5 * np.arange(500) / 25)
    assert not measure_sync(steady, steady, everywhere).strong


def test_lag_of_the_tracked_speaker_is_zero(shared: Path) -> None:
    clips = load_talk(shared / "data" / "talk", "val.jsonl")[:8]
    opening = np.concatenate([aperture(clip.landmarks) for clip in clips])
    expected = np.concatenate([expected_opening(clip.audio) for clip in clips])
    sync = measure_sync(opening, expected, np.ones(len(opening), bool))
    assert sync.strong
    assert abs(sync.late_s) <= 0.02


@given(rate=st.floats(20.0, 60.0), start=st.floats(0.0, 0.1))
def test_resampling_in_time(rate: float, start: float) -> None:
    times = start + np.arange(120) / rate
    wanted = np.arange(np.ceil(times[0] * 25), np.floor(times[-1] * 25) + 1) / 25
    values = np.stack([times**2, np.sin(2 * times)], axis=1).astype(np.float32)[:, None]
    got = at_times(values, times, wanted)
    assert got.shape == (len(wanted), 1, 2)
    inner = slice(2, -3)
    np.testing.assert_allclose(got[inner, 0, 0], wanted[inner] ** 2, atol=1e-4)
    np.testing.assert_allclose(got[inner, 0, 1], np.sin(2 * wanted[inner]), atol=1e-3)


def test_frames_in_place_stay_as_they_are(rng: np.random.Generator) -> None:
    values = rng.normal(size=(30, 4)).astype(np.float32)
    times = np.arange(30) / 25
    np.testing.assert_allclose(at_times(values, times, times), values, atol=1e-6)
    np.testing.assert_array_equal(thinned(values, 25.0), values)
    assert np.std(thinned(values, 60.0)) < 0.8 * np.std(values)


def _faces(centres_px: np.ndarray, lost: list[int]) -> VideoFaces:
    rng = np.random.default_rng(1)
    face = rng.uniform(-50, 50, (478, 3)).astype(np.float32)
    points = face + centres_px[:, None, :].astype(np.float32)
    points[lost] = np.nan
    count = len(points)
    return VideoFaces(
        np.arange(count) / 25, points, np.zeros((count, 52), np.float32), (640, 480), several=False
    )


def test_shots() -> None:
    """A short loss is bridged; a long one and a cut end a shot; a moving head does not."""
    centres = np.zeros((100, 3))
    centres[:, 0] = 200 + 5 * np.arange(100)
    centres[60:, 0] += 150  # a cut
    found = shots(_faces(centres, [10, 11, *range(30, 40)]), DEFAULT_PREPARE)
    assert [(int(shot[0]), int(shot[-1]), len(shot)) for shot in found] == [
        (0, 29, 28), (40, 59, 20), (60, 99, 40),
    ]  # fmt: skip
    assert shots(_faces(centres, list(range(100))), DEFAULT_PREPARE) == []


@given(seed=st.integers(0, 20), count=st.integers(1, 5000))
def test_flac_keeps_every_sample(seed: int, count: int) -> None:
    audio = np.random.default_rng(seed).integers(-32768, 32768, count).astype(np.float32) / 32768
    np.testing.assert_array_equal(decode_flac(encode_flac(audio)), audio)


def test_folders_stand_for_their_videos(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("b.MP4", "a/c.mkv", "a/notes.txt"):
        (tmp_path / name).write_text("")
    found = command.videos_in([tmp_path, tmp_path / "b.MP4"])
    assert [path.name for path in found] == ["c.mkv", "b.MP4"]
    shutil.rmtree(tmp_path / "a")
