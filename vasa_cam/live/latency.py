"""Latency out of what was seen and heard, by correlation; no time stamp of the daemon is used.

Three signals on one clock: what was played, as the microphone's own path hears it; how bright each
block of the picture was, at the times at which frames were read; and the delayed voice, where there
is one. The mouth is found as the block of the picture that follows the test signal best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.space import INDEX, MOTION_RATE_HZ

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE_HZ: Final = 16_000
"""Of every sound here."""

_GRID_HZ: Final = 100.0
_LONGEST_S: Final = 3.0
_FOLLOWS: Final = 0.62  # frames of another voice reach 0.54, found anywhere in the picture
_HEARD: Final = 0.1
_LIVELY: Final = 300
_BLOCKS: Final = 12
_PARTS: Final = 3


@dataclass(frozen=True, eq=False)
class Recording:
    """Sound that was heard. samples: float32 [n] at 16 kHz. start_s: when the first was heard."""

    samples: Floats
    start_s: float


@dataclass(frozen=True, eq=False)
class Sighting:
    """Frames that were read. times_s: float64 [T]. blocks: float32 [T, B], mean of each block."""

    times_s: Doubles
    blocks: Floats


@dataclass(frozen=True)
class LatencyReport:
    """What was measured; times in milliseconds.

    picture_ms: from the sound at the microphone to the frame that shows it being read.
    picture_spread_ms: half the range over parts of the signal. follows: correlation of the mouth
    with what it should do, 0..1. voice_ms: from the microphone to the delayed voice being heard;
    None without one. offset_ms: picture_ms - voice_ms; positive when the picture is late. frames,
    fps: that were read.
    """

    picture_ms: float
    picture_spread_ms: float
    follows: float
    voice_ms: float | None
    offset_ms: float | None
    frames: int
    fps: float


def measure(
    signal: Floats, opening: Floats, reference: Recording, seen: Sighting, voice: Recording | None
) -> LatencyReport:
    """Compare what was seen and heard with the test signal.

    signal: float32 [n], what was played. opening: float32 [m] at 25 Hz, what the mouth does to it:
    `mouth_opening` of what the motion model makes of it, or its `loudness`.
    Raises InputError when the signal was not heard, or nothing in the picture follows it.
    """
    played_s = _heard_at(signal, reference, "the test signal was not heard at the microphone")
    if len(seen.times_s) < 2 * _BLOCKS:
        raise InputError(
            f"only {len(seen.times_s)} frames were read; is another program reading the camera?"
        )
    lag_s, spread_s, follows = _picture_lag(opening, played_s, seen)
    if follows < _FOLLOWS:
        raise InputError(
            f"nothing in the picture follows the test signal (correlation {follows:.2f}); is the "
            "avatar paused, muted or in panic, or does it listen to something else?"
        )
    voice_ms = offset_ms = None
    if voice is not None:
        heard_s = _heard_at(signal, voice, "the delayed voice was not heard")
        voice_ms = 1e3 * (heard_s - played_s)
        offset_ms = 1e3 * lag_s - voice_ms
    span_s = float(seen.times_s[-1] - seen.times_s[0])
    return LatencyReport(
        picture_ms=1e3 * lag_s,
        picture_spread_ms=1e3 * spread_s,
        follows=follows,
        voice_ms=voice_ms,
        offset_ms=offset_ms,
        frames=len(seen.times_s),
        fps=(len(seen.times_s) - 1) / span_s,
    )


def loudness(signal: Floats) -> Floats:
    """Root of the mean square of sound float32 [n] at 16 kHz, 25 times a second: float32 [m]."""
    samples = round(RATE_HZ / MOTION_RATE_HZ)
    parts = signal[: len(signal) // samples * samples].reshape(-1, samples)
    return np.asarray(np.sqrt(np.square(parts).mean(axis=1)), np.float32)


def mouth_opening(motion: Floats) -> Floats:
    """How far the lips are apart, float32 [T], of motion frames float32 [T, 58]."""
    lowered = motion[:, INDEX["mouthLowerDownLeft"]] + motion[:, INDEX["mouthLowerDownRight"]]
    opened = motion[:, INDEX["jawOpen"]] - motion[:, INDEX["mouthClose"]]
    return np.asarray(opened + 0.25 * lowered, np.float32)


def _heard_at(signal: Floats, heard: Recording, failure: str) -> float:
    """When the first sample of the signal was heard. Raises InputError when it was not."""
    count = len(heard.samples)
    if count < len(signal):
        raise InputError(f"{failure}; the recording is too short.")
    size = 1 << (count + len(signal)).bit_length()
    spectrum = np.fft.rfft(heard.samples, size) * np.conj(np.fft.rfft(signal, size))
    match = np.fft.irfft(spectrum, size)[: count - len(signal) + 1]
    place = int(np.argmax(np.abs(match)))
    part = heard.samples[place : place + len(signal)]
    norm = float(np.linalg.norm(part) * np.linalg.norm(signal))
    if norm == 0.0 or abs(match[place]) / norm < _HEARD:
        raise InputError(f"{failure}; check the devices and their volume.")
    return heard.start_s + (place + _peak(np.abs(match), place)) / RATE_HZ


def _picture_lag(opening: Floats, played_s: float, seen: Sighting) -> tuple[float, float, float]:
    """Lag of the picture, half its range over parts, and the correlation at that lag."""
    duration_s = len(opening) / MOTION_RATE_HZ
    grid_s = np.arange(0.0, duration_s + _LONGEST_S, 1.0 / _GRID_HZ)
    lively = np.argsort(seen.blocks.std(axis=0))[-_LIVELY:]
    blocks = np.stack(
        [np.interp(grid_s, seen.times_s - played_s, seen.blocks[:, block]) for block in lively]
    )
    # Slow changes of light and pose say nothing about the lips.
    blocks = _fast_part(blocks)
    wanted_s = np.arange(0.0, duration_s, 1.0 / _GRID_HZ)
    frames_s = np.arange(len(opening)) / MOTION_RATE_HZ
    wanted = _fast_part(np.interp(wanted_s, frames_s, opening)[np.newaxis])[0]
    match = _correlations(blocks, wanted)  # [B, lags]
    best = np.argsort(np.abs(match).max(axis=1))[::-1][:_BLOCKS]
    signs = np.sign(match[best, np.abs(match[best]).argmax(axis=1)])
    weights = np.abs(match[best]).max(axis=1)
    mouth = (signs * weights / np.maximum(1e-9, blocks[best].std(axis=1))) @ blocks[best]
    curve = _correlations(mouth[np.newaxis], wanted)[0]
    place = int(np.argmax(curve))
    lag_s = (place + _peak(curve, place)) / _GRID_HZ
    return lag_s, _spread(mouth, wanted, place), float(curve[place])


def _spread(mouth: Doubles, wanted: Doubles, place: int) -> float:
    """Half the range of the lag over parts of the signal, in seconds."""
    length = len(wanted) // _PARTS
    reach = round(0.5 * _GRID_HZ)
    lags = []
    for part in range(_PARTS):
        first = part * length
        low = max(0, place - reach)
        window = mouth[first + low : first + length + place + reach]
        curve = _correlations(window[np.newaxis], wanted[first : first + length])[0]
        lags.append((low + int(np.argmax(curve))) / _GRID_HZ)
    return (max(lags) - min(lags)) / 2


def _fast_part(values: Doubles) -> Doubles:
    """Values [N, T] less their mean over the second around each moment."""
    width = round(_GRID_HZ)
    padded = np.pad(values, ((0, 0), (width // 2, width - width // 2)), mode="edge")
    sums = np.cumsum(padded, axis=1)
    return values - (sums[:, width:] - sums[:, :-width]) / width


def _correlations(rows: Doubles, wanted: Doubles) -> Doubles:
    """Pearson's correlation of each row [N, T] with `wanted` [M] at all lags: [N, T - M + 1]."""
    count, length = rows.shape[1] - len(wanted) + 1, len(wanted)
    size = 1 << (rows.shape[1] + length).bit_length()
    centred = wanted - wanted.mean()
    products = np.fft.irfft(np.fft.rfft(rows, size) * np.conj(np.fft.rfft(centred, size)), size)
    ones = np.pad(np.cumsum(rows, axis=1), ((0, 0), (1, 0)))
    squares = np.pad(np.cumsum(rows**2, axis=1), ((0, 0), (1, 0)))
    means = (ones[:, length:] - ones[:, :-length]) / length
    variances = (squares[:, length:] - squares[:, :-length]) / length - means**2
    norm = np.sqrt(np.maximum(variances, 1e-12)) * length * max(1e-9, float(centred.std()))
    result: Doubles = products[:, :count] / norm
    return result


def _peak(curve: npt.NDArray[np.float64], place: int) -> float:
    """Where a parabola through a maximum and its neighbours peaks, relative to it."""
    if not 0 < place < len(curve) - 1:
        return 0.0
    left, middle, right = (float(curve[place + step]) for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    return 0.0 if bend == 0.0 else 0.5 * (left - right) / bend
