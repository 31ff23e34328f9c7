"""The evaluation as a whole: what it reads, and that good and bad models come out as such."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli

from vasa_cam.errors import InputError
from vasa_cam.motion.space import INDEX, Motion, neutral
from vasa_cam.training.evaluate import Evaluation, evaluate_system
from vasa_cam.training.evaluate_table import COLUMNS, table
from vasa_cam.training.evaluation_data import (
    EvalClip,
    indices,
    load_evaluation,
    loudness_db,
    speech_span,
    spoken,
    voiced,
)
from vasa_cam.training.figures_lips import gap
from vasa_cam.training.motion_sources import (
    MotionSystem,
    another_voice,
    mean_face,
    voice_system,
)
from vasa_cam.training.signals import pearson


def _tone(seconds: float, hz: float, amplitude: float) -> np.ndarray:
    t = np.arange(round(16000 * seconds)) / 16000.0
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


@pytest.fixture(scope="module")
def small(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of other people as somebody else would make one: no meta.json, no train split.

    Six sentences said to be of two speakers, and three clips of people who talk freely.
    """
    source, folder = shared / "data" / "talk", tmp_path_factory.mktemp("people")
    (folder / "wild").mkdir()
    for name in ("val_000.npz", "val_000.flac.tar"):
        (folder / name).symlink_to(source / name)
    for name in ("wild_000.npz", "wild_000.flac.tar"):
        (folder / "wild" / name).symlink_to(source / "wild" / name)
    records = [json.loads(line) for line in (source / "val.jsonl").read_text().splitlines()][:6]
    for number, record in enumerate(records):
        record["speaker"] = f"s{2 + number % 2}"
    (folder / "readers.jsonl").write_text("\n".join(map(json.dumps, records)))
    lines = (source / "wild" / "wild.jsonl").read_text().splitlines()
    (folder / "wild" / "wild.jsonl").write_text("\n".join([lines[0], lines[3], lines[6]]))
    return folder


@pytest.fixture(scope="module")
def clips(small: Path) -> list[EvalClip]:
    return load_evaluation(small)


def test_every_index_but_the_training_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "wild").mkdir()
    for name in ("train.jsonl", "val.jsonl", "wild/web.jsonl", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in indices(tmp_path)] == ["val.jsonl", "web.jsonl"]


@pytest.mark.parametrize("only", [None, "train.jsonl"])
def test_a_folder_without_clips_is_refused(tmp_path: Path, only: str | None) -> None:
    if only:
        (tmp_path / only).touch()
    with pytest.raises(InputError, match="holds no index"):
        load_evaluation(tmp_path)


def test_clips_know_who_speaks_when_and_in_time(clips: list[EvalClip]) -> None:
    assert [clip.split for clip in clips] == ["readers"] * 6 + ["wild"] * 3
    assert [clip.person for clip in clips[:4]] == ["s2", "s3", "s2", "s3"]
    first = clips[0]
    words = [phone for phone in first.talk.phones or [] if phone[2] != "SIL"]
    assert first.span == (math.ceil(words[0][0] * 25), math.ceil(words[-1][1] * 25))
    assert first.pauses[0] == (0, first.span[0])
    assert [clip.lips for clip in clips if clip.split == "wild"] == [False, True, True]
    assert clips[-1].talk.phones is None
    start, stop = clips[-1].span
    assert stop - start > 0.8 * clips[-1].frames


def test_real_motion_opens_as_the_tracker_saw(clips: list[EvalClip]) -> None:
    for clip in clips:
        assert pearson(gap(clip.real.frames), clip.real_gap) > 0.99
        assert clip.real.frames[:, INDEX["eyeBlinkLeft"]].max() > 0.05
        assert np.abs(np.median(clip.real.frames[:, 52:55], axis=0)).max() < 0.03


def test_loudness_is_in_time_and_hears_no_rumble() -> None:
    quiet = np.zeros(16000, np.float32)
    quiet[8000:8640] = _tone(0.04, 400.0, 0.5)
    level = loudness_db(quiet, 25)
    assert int(np.argmax(level)) in (12, 13)
    assert level[5] < -60.0
    steady = loudness_db(_tone(1.0, 400.0, 1.0), 25)
    assert steady[12] == pytest.approx(-3.0, abs=0.1)
    assert loudness_db(_tone(1.0, 30.0, 1.0), 25)[12] < -30.0


def test_speech_is_found_without_phones() -> None:
    sound = np.concatenate([_tone(1.0, 300.0, 1e-4), _tone(2.0, 300.0, 0.3),
                            _tone(1.0, 300.0, 1e-4)])  # fmt: skip
    first, last = speech_span(voiced(loudness_db(sound, 100)))
    assert abs(first - 25) <= 4 and abs(last - 75) <= 4
    phones = [(0.0, 0.5, "SIL"), (0.5, 0.7, "AA"), (0.7, 1.0, "SIL"), (1.0, 1.2, "B")]
    assert speech_span(spoken(phones, 50)) == (13, 30)
    assert speech_span(np.zeros(7, bool)) == (0, 7)


def _oracle(clips: list[EvalClip]) -> MotionSystem:
    """Cheats: knows every clip by its sound and gives the real face."""
    known = {clip.talk.audio.tobytes(): clip.real for clip in clips}

    def source(audio: np.ndarray, seed: int) -> Motion:
        count = -(-len(audio) // 640)
        fallback = Motion(neutral(count))
        return known.get(audio.tobytes(), fallback)

    return MotionSystem("oracle", source)


def _deaf(audio: np.ndarray, seed: int) -> Motion:
    """Moves mouth and head by chance, whatever is said; another seed, another mouth."""
    rng = np.random.default_rng(seed)
    frames = neutral(-(-len(audio) // 640))
    frames[:, INDEX["jawOpen"]] = rng.uniform(0.1, 0.5, len(frames))
    frames[:, 52:55] = rng.normal(0.0, 0.1, (len(frames), 3))
    return Motion(frames)


def _verdicts(evaluation: Evaluation) -> dict[tuple[str, str], bool]:
    return {(r.group, r.figure): r.met for r in table(evaluation) if r.met is not None}


def test_the_real_face_meets_what_a_real_face_must(clips: list[EvalClip]) -> None:
    evaluation = evaluate_system(_oracle(clips), clips)
    met = _verdicts(evaluation)
    expected = [
        ("readers", "lip opening, r in speech, mean of clips"),
        ("readers", "the same, mean of people"),
        ("readers", "lips late by, frames"),
        ("readers", "m b p closed"),
        ("readers", "lips, second difference against real"),
        ("wild", "lip opening, r in speech, mean of clips"),
        ("wild", "head, change a frame against real, yaw / pitch / roll"),
        ("wild", "head, range against real"),
        ("wild", "head, second difference against real"),
    ]
    assert all(met[key] for key in expected), {key: met[key] for key in expected}
    assert evaluation.rows["model"]["wild"]["lips"]["correlation"]["clips"] == 2
    for name in ("model", "real"):
        figures = evaluation.rows[name]["readers"]["lips"]
        assert figures == evaluation.rows["real"]["readers"]["lips"]
    assert set(evaluation.rows["model"]["readers"]["people"]["by"]) == {"s2", "s3"}
    still = evaluation.rows["mean face"]["readers"]["lips"]
    assert still["correlation"]["r_mean"] == 0.0 and still["closures"]["closed"] == 0.0
    other = evaluation.rows["another voice"]["readers"]["lips"]["correlation"]["r_mean"]
    assert other < 0.6


def test_a_deaf_model_fails_nearly_everything(clips: list[EvalClip]) -> None:
    evaluation = evaluate_system(MotionSystem("deaf", _deaf, _deaf), clips)
    met = _verdicts(evaluation)
    missed = {figure for (_, figure), good in met.items() if not good}
    assert {
        "lip opening, r in speech, mean of clips",
        "silence: frames closed",
        "silence: variance against speech",
        "lip shapes, macro F1",
        "lips, second difference against real",
        "head, change a frame against real, yaw / pitch / roll",
        "head, second difference against real",
        "r of the lips of two seeds",
        "blinks a minute",
        "largest opening in 30 s, IOD",
    } <= missed


def test_the_shipped_model_live_and_whole(clips: list[EvalClip]) -> None:
    evaluation = evaluate_system(voice_system(), clips)
    plain = evaluation.as_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    figures = evaluation.rows["model"]["readers"]["lips"]
    assert figures["correlation"]["r_mean"] > 0.6
    assert figures["closures"]["closed"] > 0.9
    levels = evaluation.extra["levels"]
    assert {"known", "0 dB", "-30 dB", "largest_loss"} <= set(levels)
    assert evaluation.extra["seeds"]["lips_r"] > 0.9
    assert evaluation.extra["long_run"]["blinks"]["count"] > 5
    rows = table(evaluation)
    assert all(len(row.cells) in (1, len(COLUMNS)) for row in rows)
    assert {row.group for row in rows} == {"readers", "wild", "levels", "seeds", "long run",
                                           "silence"}  # fmt: skip


def test_another_voice_is_never_ones_own(clips: list[EvalClip]) -> None:
    motions = [Motion(np.full((clip.frames, 58), k / 100, np.float32))
               for k, clip in enumerate(clips)]  # fmt: skip
    for k, motion in enumerate(another_voice(clips, motions)):
        assert len(motion.frames) == clips[k].frames
        other = round(100 * float(motion.frames[0, 0]))
        assert other != k and clips[other].split == clips[k].split
    faces = mean_face(clips)
    assert all((face.frames == faces[0].frames[0]).all() for face in faces)


def test_the_command_needs_no_torch_and_writes_every_figure(small: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom vasa_cam.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "bad = {'torch', 'scipy', 'cv2', 'mediapipe'} & set(sys.modules)\nassert not bad, bad\n"
    )
    out = tmp_path / "figures.json"
    command = [sys.executable, "-c", code, "evaluate", "--data", str(small), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "lip opening, r in speech, mean of clips" in done.stdout
    assert "6 of readers, 3 of wild" in done.stdout
    figures = json.loads(out.read_text())
    assert set(figures["rows"]) == set(COLUMNS)
    assert len(figures["rows"]["model"]["readers"]["lips"]["correlation"]["r_by_clip"]) == 6


def test_the_command_refuses_in_one_line(tmp_path: Path, small: Path) -> None:
    broken = tmp_path / "weights.safetensors"
    broken.write_bytes(b"not weights")
    for arguments, words in (
        (["--data", str(tmp_path)], "holds no index"),
        (["--data", str(small), "--weights", str(broken)], "weights"),
        (["--data", str(small), "--json", str(tmp_path / "no" / "x.json")], "does not exist"),
    ):
        done = run_cli("evaluate", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr and len(done.stderr.splitlines()) == 1
