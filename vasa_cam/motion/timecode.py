"""Timecodes of face recordings: hours:minutes:seconds:frames, the frames with a fraction.

The number of frames in a second is written nowhere in such a file. It shows where one second turns
into the next: the frame number falls back by exactly that number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_FRAMES = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2})[:;](\d{1,6}(?:\.\d{1,9})?)")
_CLOCK = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
# A measured rate this near to a whole number or to an NTSC rate is taken to be that rate.
_RATE_TOLERANCE: Final = 5e-4


@dataclass(frozen=True)
class Timecode:
    """One timecode: whole or fractional seconds, and frames within the second (0 if unused)."""

    seconds: float
    frames: float


def parse(text: str) -> Timecode | None:
    """HH:MM:SS:FF[.fff], HH:MM:SS.sss or plain seconds; None for anything else."""
    text = text.strip()
    if match := _FRAMES.fullmatch(text):
        hours, minutes, seconds = (int(part) for part in match.groups()[:3])
        return Timecode(hours * 3600 + minutes * 60 + seconds, float(match[4]))
    if match := _CLOCK.fullmatch(text):
        return Timecode(int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]), 0.0)
    if _SECONDS.fullmatch(text):
        return Timecode(float(text), 0.0)
    return None


def to_seconds(codes: list[Timecode]) -> npt.NDArray[np.float64] | None:
    """Times float64 [T] in seconds; None when the codes do not tell how many frames a second has.

    That is so for recordings that never pass from one second to the next.
    """
    seconds = np.array([code.seconds for code in codes])
    frames = np.array([code.frames for code in codes])
    if not frames.any():
        return seconds
    per_second = _frames_per_second(seconds, frames)
    return None if per_second is None else seconds + frames / per_second


def _frames_per_second(
    seconds: npt.NDArray[np.float64], frames: npt.NDArray[np.float64]
) -> int | None:
    step_s, step_frames = np.diff(seconds), np.diff(frames)
    within = step_frames[step_s == 0]
    turns = step_s == 1
    if not turns.any():
        return None
    # With one row a second or less, nothing inside a second says how far apart the rows are.
    stride = float(np.median(within)) if len(within) else 0.0
    # Most turns agree; rows lost just there are outvoted. Never less than the frames seen.
    counted = float(np.median(stride - step_frames[turns]))
    return max(round(counted), math.floor(float(frames.max())) + 1)


def rate_of(times_s: npt.NDArray[np.float64]) -> float | None:
    """Rows a second from rising times, lost rows ignored; None when there are fewer than two."""
    steps = np.diff(times_s)
    if not len(steps):
        return None
    step = float(np.median(steps))
    # The median of rounded timecodes is coarse: count rows over the whole length with it.
    rows = float(np.rint(steps / step).sum())
    rate_hz = rows / float(times_s[-1] - times_s[0])
    nominal = round(rate_hz)
    for candidate in (float(nominal), nominal * 1000 / 1001):
        if candidate > 0 and abs(rate_hz / candidate - 1) < _RATE_TOLERANCE:
            return candidate
    return rate_hz


def write(index: int, rate_hz: float) -> str:
    """The timecode of row `index`, HH:MM:SS:FF.fff with ceil(rate) frames in a second."""
    per_second = math.ceil(rate_hz - 1e-9)
    # In thousandths of a frame, so that rounding carries into the seconds.
    thousandths = round(index / rate_hz * per_second * 1000)
    second, rest = divmod(thousandths, per_second * 1000)
    frame, fraction = divmod(rest, 1000)
    minutes, second = divmod(second, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}:{frame:02d}.{fraction:03d}"
