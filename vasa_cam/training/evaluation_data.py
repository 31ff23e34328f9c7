"""What `vasa-cam evaluate` measures on: tracked clips of any people, as motion and as sound.

A folder has the layout of docs/motion-evaluation.md. Every index in it but train.jsonl is measured,
also those in its sub-folder wild/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.lips import controls_to_coefficients
from vasa_cam.motion.pose import relative_to_median
from vasa_cam.motion.space import ARKIT_NAMES, COEFFICIENTS, INDEX, Motion, neutral
from vasa_cam.training.phones import Phone
from vasa_cam.training.signals import RATE_HZ, low_pass, runs
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, TalkClip, load_talk, read_index
from vasa_cam.training.targets import LIP_JAW, aperture, clip_movement, fit_controls

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SPEECH_RANGE_DB: Final = 25.0
"""Sound this far below a clip's loud frames (98th percentile) or further is no speech."""
LEAST_SYNC_R: Final = 0.35
"""Clips whose measured audio-video sync correlation (`sync_r`) is lower do not test lips."""

_HIGH_PASS_HZ: Final = 80.0
_WINDOW_S: Final = 0.04
_CLOSED_IOD: Final = 0.02
_TRAINING_INDEX: Final = "train.jsonl"
_SILENCE: Final = "SIL"


@dataclass(frozen=True)
class EvalClip:
    """A tracked clip ready to be measured.

    split: name of its index. person: who. talk: the recording. real: the tracked face as motion.
    real_gap: float64 [T], tracked lip opening, inter-ocular distances. loud_db: float64 [T]. span:
    frames [first, last) from speech onset to offset. pauses: frame ranges without speech between,
    before and after words. lips: False where the sound is too loosely synchronised to test lips.
    """

    split: str
    person: str
    talk: TalkClip
    real: Motion
    real_gap: Doubles
    loud_db: Doubles
    span: tuple[int, int]
    pauses: list[tuple[int, int]]
    lips: bool

    @property
    def frames(self) -> int:
        """T, the number of tracked frames."""
        return len(self.real_gap)


def indices(folder: Path) -> list[Path]:
    """The index files to measure. Raises InputError when there is none."""
    found = [*sorted(folder.glob("*.jsonl")), *sorted((folder / "wild").glob("*.jsonl"))]
    found = [path for path in found if path.name != _TRAINING_INDEX]
    if not found:
        raise InputError(
            f"{folder} holds no index such as val.jsonl: give a folder of tracked clips (see "
            "docs/motion-evaluation.md)."
        )
    return found


def load_evaluation(folder: Path) -> list[EvalClip]:
    """All clips to measure in a folder, each read once. Raises InputError when there are none."""
    clips: list[EvalClip] = []
    for index in indices(folder):
        records = read_index(index)
        names = score_names(index.parent)
        talks = load_talk(index.parent, index.name)
        people = [str(record.get("speaker", "unknown")) for record in records]
        rests = {
            person: resting_face([t for t, p in zip(talks, people, strict=True) if p == person])
            for person in dict.fromkeys(people)
        }
        for talk, person, record in zip(talks, people, records, strict=True):
            synchronous = float(record.get("sync_r", 1.0)) >= LEAST_SYNC_R
            clips.append(_clip(index.stem, person, talk, rests[person], names, synchronous))
    return clips


def _clip(
    split: str, person: str, talk: TalkClip, rest: Floats, names: Sequence[str], lips: bool
) -> EvalClip:
    loud = loudness_db(talk.audio, len(talk.pose))
    phones = talk.phones
    speech = voiced(loud) if phones is None else spoken(phones, len(loud))
    real_gap = aperture(talk.landmarks[:, :20]).astype(np.float64)
    real = real_motion(talk, rest, names)
    return EvalClip(
        split, person, talk, real, real_gap, loud, speech_span(speech), runs(~speech), lips
    )


def score_names(folder: Path) -> Sequence[str]:
    """Names of the tracker's scores: from meta.json, there or one above, else MediaPipe's."""
    for place in (folder, folder.parent):
        meta = place / "meta.json"
        if meta.is_file():
            names: list[str] = json.loads(meta.read_text())["blendshape_names"]
            return names
    return ["_neutral", *sorted(name for name in ARKIT_NAMES if name != "tongueOut")]


def loudness_db(audio: Floats, frames: int) -> Doubles:
    """Level of the sound above 80 Hz in 40 ms around each frame's time, dB, float64 [frames]."""
    spectrum = np.fft.rfft(audio)
    hz = np.fft.rfftfreq(len(audio), 1.0 / SAMPLE_RATE_HZ)
    power = np.fft.irfft(spectrum * (hz >= _HIGH_PASS_HZ), len(audio)) ** 2
    total = np.concatenate([[0.0], np.cumsum(power)])
    half = round(_WINDOW_S * SAMPLE_RATE_HZ / 2)
    middle = np.arange(frames) * round(SAMPLE_RATE_HZ / RATE_HZ)
    first, last = (np.clip(middle + side, 0, len(audio)) for side in (-half, half))
    mean = (total[last] - total[first]) / np.maximum(last - first, 1)
    return np.asarray(10.0 * np.log10(np.maximum(mean, 1e-10)))


def voiced(loud_db: Doubles) -> npt.NDArray[np.bool_]:
    """Where a clip without phones speaks, bool [T]: within 25 dB of its loud frames, smoothed."""
    smooth = low_pass(loud_db, 3.0)
    return np.asarray(smooth > np.percentile(loud_db, 98.0) - SPEECH_RANGE_DB)


def spoken(phones: Sequence[Phone], frames: int) -> npt.NDArray[np.bool_]:
    """Where phones other than silence are, bool [frames]."""
    times = np.arange(frames) / RATE_HZ
    speech = np.zeros(frames, bool)
    for start, end, symbol in phones:
        if symbol != _SILENCE:
            speech |= (times >= start) & (times < end)
    return speech


def speech_span(speech: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Frames [first, last) from the first to the last speech; the whole clip if there is none."""
    where = np.flatnonzero(speech)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, len(speech))


def resting_face(talks: Sequence[TalkClip]) -> Floats:
    """A person's face with closed lips, float32 [48, 3]: the median over frames that are closed.

    Who never closes the lips for the tracker is taken at the smallest tenth of the openings.
    """
    points = np.concatenate([talk.landmarks[:, LIP_JAW] for talk in talks])
    gap = aperture(points)
    closed = gap <= max(_CLOSED_IOD, float(np.percentile(gap, 10.0)))
    return np.asarray(np.median(points[closed], axis=0), np.float32)


def real_motion(talk: TalkClip, rest: Floats, names: Sequence[str]) -> Motion:
    """The tracked face as motion: mouth fitted to landmarks, the rest the tracker's own scores."""
    frames = neutral(len(talk.pose))
    for column, name in enumerate(names):
        if name in INDEX:
            frames[:, INDEX[name]] = talk.scores[:, column]
    mouth = controls_to_coefficients(fit_controls(clip_movement(talk, rest)))
    moved = [i for name, i in INDEX.items() if name.startswith(("jaw", "mouth"))]
    frames[:, moved] = mouth[:, moved]
    frames[:, :COEFFICIENTS] = np.clip(frames[:, :COEFFICIENTS], 0.0, 1.0)
    frames[:, COEFFICIENTS:] = relative_to_median(talk.pose)
    return Motion(frames)
