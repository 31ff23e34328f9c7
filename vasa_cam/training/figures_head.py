"""Figures of the head, the lids and the eyes, against people who were filmed while they talked.

Angles are degrees. How each figure is defined and why: docs/motion-evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.pose import rotation_matrices
from vasa_cam.motion.space import INDEX, ROTATION, Motion
from vasa_cam.training.figures_lips import SMOOTH_HZ, acceleration
from vasa_cam.training.signals import (
    RATE_HZ,
    band_pass,
    ks_critical,
    ks_distance,
    low_pass,
    pearson,
    runs,
)

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Figures = dict[str, Any]

AXES: Final = ("yaw", "pitch", "roll")
WINDOW_S: Final = 3.0
LEAST_PROSODY_S: Final = 3.5
_BLINK_RISE: Final = 0.25
_BLINK_LONGEST_S: Final = 0.6
_PROMINENCE_HZ: Final = (0.2, 5.0)
_SPEED_HZ: Final = 1.0
_LARGEST_LAG: Final = 10
_SHUFFLES: Final = 40
_GAZE_JUMP: Final = 0.2  # of 35 degrees
_GAZE_FRAMES: Final = 4
_GAZE_REST: Final = 12
_BLINK_REACH: Final = 6
_LOOKS: Final = [
    INDEX[f"eyeLook{name}"]
    for name in ("OutLeft", "InLeft", "InRight", "OutRight", "UpLeft", "DownLeft", "UpRight",
                 "DownRight")
]  # fmt: skip


def angles_deg(motion: Motion) -> Doubles:
    """Yaw, pitch and roll (in this order the head turns), float64 [T, 3]."""
    r = rotation_matrices(motion.frames[:, ROTATION])
    yaw = np.arctan2(r[:, 0, 2], r[:, 2, 2])
    pitch = np.arcsin(np.clip(-r[:, 1, 2], -1.0, 1.0))
    roll = np.arctan2(r[:, 1, 0], r[:, 1, 1])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)))


def head_movement(motions: Sequence[Motion]) -> Figures:
    """How much and how smoothly heads move after a 5 Hz low-pass, weighted by the clips' lengths.

    step: mean change a frame (delta-P), [3]. range: of whole clips, range_3s and std_3s: within
    windows of 3 s, [3]. acceleration: mean second difference, a number.
    """
    rows, weights = [], []
    for motion in motions:
        angles = low_pass(angles_deg(motion), SMOOTH_HZ)
        count = max(1, len(angles) // round(WINDOW_S * RATE_HZ))
        windows = np.array_split(angles, count)
        rows.append(
            np.concatenate([
                np.abs(np.diff(angles, axis=0)).mean(axis=0),
                np.ptp(angles, axis=0),
                np.mean([np.ptp(w, axis=0) for w in windows], axis=0),
                np.mean([w.std(axis=0) for w in windows], axis=0),
                [acceleration(angles_deg(motion))],
            ])
        )  # fmt: skip
        weights.append(len(angles))
    mean = np.average(rows, axis=0, weights=weights)
    return {
        "step_deg": mean[:3].tolist(),
        "range_deg": mean[3:6].tolist(),
        "range_3s_deg": mean[6:9].tolist(),
        "std_3s_deg": mean[9:12].tolist(),
        "acceleration_deg": float(mean[12]),
    }


def against(ours: Figures, real: Figures) -> Figures:
    """Ratios of two `head_movement` results, axis by axis and of their means over the axes."""
    ratios: Figures = {}
    for name, value in ours.items():
        a, b = np.atleast_1d(value), np.atleast_1d(real[name])
        key = name.removesuffix("_deg")
        ratios[key] = float(a.mean() / b.mean())
        if len(a) == len(AXES):
            ratios[f"{key}_by_axis"] = dict(zip(AXES, (a / b).tolist(), strict=True))
    return ratios


def lids(motion: Motion) -> Doubles:
    """Mean closure of both eyes, float64 [T]."""
    both = motion.frames[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]]
    return np.asarray(both.mean(axis=1), np.float64)


def blink_peaks(closure: Doubles) -> list[int]:
    """Frames of blinks: peaks at least 0.25 above both sides, at most 0.6 s wide at half height."""
    peaks = []
    reach = round(_BLINK_LONGEST_S * RATE_HZ)
    rising = np.diff(closure, prepend=np.inf) >= 0.0
    for peak in (stop - 1 for _, stop in runs(rising)):
        # Of two equally high peaks the first one counts.
        left = _foot(closure[: peak + 1][::-1], closure[:peak][::-1] >= closure[peak])
        right = _foot(closure[peak:], closure[peak + 1 :] > closure[peak])
        base = max(closure[peak - left], closure[peak + right])
        half = base + 0.5 * (closure[peak] - base)
        wide = _width(closure[: peak + 1][::-1], half) + _width(closure[peak:], half)
        if closure[peak] - base >= _BLINK_RISE and wide <= reach:
            peaks.append(peak)
    return peaks


def _foot(side: Doubles, higher: npt.NDArray[np.bool_]) -> int:
    """Where the lowest point before the next higher one is; side[0] is the peak."""
    until = np.flatnonzero(higher)
    return int(np.argmin(side[: int(until[0]) + 1 if len(until) else len(side)]))


def _width(side: Doubles, level: float) -> float:
    """Frames from the peak, side[0], until the signal falls below the level."""
    below = np.flatnonzero(side < level)
    if not len(below):
        return float(len(side))
    after = int(below[0])
    return after - 1 + float((side[after - 1] - level) / (side[after - 1] - side[after]))


def blinks(motions: Sequence[Motion]) -> Figures:
    """Blinks a minute, and the seconds between neighbours of one motion."""
    peaks = [blink_peaks(lids(motion)) for motion in motions]
    seconds = sum(motion.duration_s for motion in motions)
    return {
        "a_minute": 60.0 * sum(map(len, peaks)) / seconds,
        "count": sum(map(len, peaks)),
        "intervals_s": [float(gap) / RATE_HZ for found in peaks for gap in np.diff(found)],
    }


def equal_windows(motion: Motion, lengths: Sequence[int]) -> list[Motion]:
    """A long motion cut into pieces of these lengths (frames), again and again to its end.

    Intervals in short clips are short: only pieces of the same lengths compare.
    """
    pieces, at, turn = [], 0, 0
    while at + lengths[turn % len(lengths)] <= len(motion.frames):
        length = lengths[turn % len(lengths)]
        pieces.append(Motion(motion.frames[at : at + length], motion.rate_hz))
        at, turn = at + length, turn + 1
    return pieces


def interval_distance(ours: Sequence[float], real: Sequence[float]) -> Figures:
    """KS distance of blink intervals, and what chance gives for samples of these sizes."""
    return {
        "ks": ks_distance(ours, real),
        "ks_5_percent": ks_critical(len(ours), len(real)),
        "counts": [len(ours), len(real)],
    }


def gaze_shifts_a_minute(motions: Sequence[Motion]) -> float:
    """Jumps of the eyes in the head by 7 degrees or more within 0.16 s; blinks do not count."""
    count = sum(len(gaze_shifts(motion)) for motion in motions)
    return 60.0 * count / sum(motion.duration_s for motion in motions)


def gaze_shifts(motion: Motion) -> list[int]:
    """Frames in which the eyes jump; what follows within half a second belongs to the same jump."""
    columns = motion.frames[:, _LOOKS].astype(np.float64)
    right = columns[:, 0] - columns[:, 1] + columns[:, 2] - columns[:, 3]
    up = columns[:, 4] - columns[:, 5] + columns[:, 6] - columns[:, 7]
    look = 0.5 * np.stack([right, up], axis=1)
    far = np.linalg.norm(look[_GAZE_FRAMES:] - look[:-_GAZE_FRAMES], axis=1) >= _GAZE_JUMP
    for peak in blink_peaks(lids(motion)):
        far[max(0, peak - _BLINK_REACH - _GAZE_FRAMES) : peak + _BLINK_REACH + 1] = False
    found: list[int] = []
    last = -_GAZE_REST
    for start, stop in runs(far):
        if start - last >= _GAZE_REST:
            found.append(start)
        last = stop
    return found


def prominence(motions: Sequence[Motion], loud_db: Sequence[Doubles], seed: int = 0) -> Figures:
    """Correlation of the head with the voice's level, against the same with the voice moved.

    nod: pitch, nose up positive, and level, both 0.2-5 Hz. speed: log of the head's speed, and
    level, both below 1 Hz. The lag (at most 0.4 s either way, one for all clips) is the best one,
    for the moved voices, too; those are turned by a random part of each clip. Clips under 3.5 s are
    left out: one sentence between two silences correlates with everything that is one.
    """
    rng = np.random.default_rng(seed)
    figures: Figures = {}
    long = [k for k, motion in enumerate(motions) if motion.duration_s >= LEAST_PROSODY_S]
    motions, loud_db = [motions[k] for k in long], [loud_db[k] for k in long]
    for name, pair in (("nod", _nod), ("speed", _speed)):
        signals = [pair(motion, loud) for motion, loud in zip(motions, loud_db, strict=True)]
        chance = []
        for _ in range(_SHUFFLES):
            moved = []
            for head, voice in signals:
                turn = rng.integers(len(voice) // 4, max(2, 3 * len(voice) // 4))
                moved.append((head, np.roll(voice, int(turn))))
            chance.append(_best_lag_r(moved))
        figures[name] = {
            "r": _best_lag_r(signals),
            "shuffled_mean": float(np.mean(chance)),
            "shuffled_95": float(np.percentile(chance, 95.0)),
        }
    return figures


def _nod(motion: Motion, loud_db: Doubles) -> tuple[Doubles, Doubles]:
    count = min(len(loud_db), len(motion.frames))
    pitch = -angles_deg(motion)[:count, 1]
    return band_pass(pitch, *_PROMINENCE_HZ), band_pass(loud_db[:count], *_PROMINENCE_HZ)


def _speed(motion: Motion, loud_db: Doubles) -> tuple[Doubles, Doubles]:
    count = min(len(loud_db), len(motion.frames))
    angles = low_pass(angles_deg(motion)[:count], SMOOTH_HZ)
    speed = np.linalg.norm(np.gradient(angles, axis=0), axis=1) * RATE_HZ
    return low_pass(np.log(speed + 0.5), _SPEED_HZ), low_pass(loud_db[:count], _SPEED_HZ)


def _best_lag_r(signals: Sequence[tuple[Doubles, Doubles]]) -> float:
    """The largest correlation over lags, of all clips joined after their means are taken off."""
    best = -1.0
    for lag in range(-_LARGEST_LAG, _LARGEST_LAG + 1):
        heads, voices = [], []
        for head, voice in signals:
            a = head[max(0, lag) : len(head) + min(0, lag)]
            b = voice[max(0, -lag) : len(voice) + min(0, -lag)]
            heads.append(a - a.mean())
            voices.append(b - b.mean())
        if heads:
            best = max(best, pearson(np.concatenate(heads), np.concatenate(voices)))
    return best if best > -1.0 else math.nan


def different_heads(first: Sequence[Motion], second: Sequence[Motion]) -> Figures:
    """Correlation of two performances' head angles (mean over the axes), and how far apart."""
    a, b = (
        np.concatenate([x - x.mean(axis=0) for x in map(angles_deg, side)])
        for side in (first, second)
    )
    return {
        "r": float(np.mean([pearson(a[:, axis], b[:, axis]) for axis in range(len(AXES))])),
        "rms_deg": float(np.sqrt(np.mean((a - b) ** 2))),
    }
