"""How late the sound of a face video is, from the lips that the sound makes us expect.

The shipped voice-to-motion model has no lag of its own, so the shift at which its lips fit the
tracked ones best is the video's. Measured on the tracked training data; see docs/motion-model.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS, MOTION_RATE_HZ
from vasa_cam.motion.voice import VoiceMotion

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

SAMPLES_A_FRAME: Final = 640


@dataclass(frozen=True)
class SyncConfig:
    """longest_s: how far sound and picture are searched apart. step_s: of the search.

    least_correlation: below it the fit is weak. least_lead: a fit further than apart_s away must be
    worse by this much, or the lag is ambiguous (syllables repeat).
    """

    longest_s: float = 0.4
    step_s: float = 0.01
    least_correlation: float = 0.35
    least_lead: float = 0.03
    apart_s: float = 0.12


DEFAULT_SYNC: Final = SyncConfig()


@dataclass(frozen=True)
class Sync:
    """late_s: the sound comes this much after the picture. correlation: of the lips there.

    strong: whether the lag can be trusted.
    """

    late_s: float
    correlation: float
    strong: bool


def expected_opening(audio: Floats) -> Floats:
    """Lip opening that a voice makes us expect, float32 [T] at 25 Hz, inter-ocular distances."""
    frames = VoiceMotion().motion(audio).frames
    opening = frames[:, :COEFFICIENTS] @ lip_opening()
    return np.asarray(np.maximum(0.0, opening), np.float32)


def measure_sync(
    opening: Floats,
    expected: Floats,
    valid: npt.NDArray[np.bool_],
    config: SyncConfig = DEFAULT_SYNC,
) -> Sync:
    """The lag of expected against tracked lips, float32 [T] at 25 Hz; only valid frames count."""
    frames = min(len(opening), len(expected))
    opening, expected = opening[:frames].astype(np.float64), expected[:frames].astype(np.float64)
    times = np.arange(frames) / MOTION_RATE_HZ
    steps = round(config.longest_s / config.step_s)
    lags = np.arange(-steps, steps + 1, dtype=np.float64) * config.step_s
    inner = valid[:frames] & (times >= config.longest_s) & (times <= times[-1] - config.longest_s)
    if inner.sum() < 2 * MOTION_RATE_HZ or opening[inner].std() < 1e-4:
        return Sync(0.0, 0.0, strong=False)
    fits = np.array(
        [
            _correlation(opening[inner], np.interp(times + lag, times, expected)[inner])
            for lag in lags
        ]
    )
    best = int(np.argmax(fits))
    far = np.abs(lags - lags[best]) > config.apart_s
    strong = fits[best] >= config.least_correlation
    strong &= fits[best] - fits[far].max() >= config.least_lead
    strong &= 0 < best < len(lags) - 1
    return Sync(_peak(lags, fits, best), float(fits[best]), bool(strong))


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (np.sqrt((a**2).sum() * (b**2).sum()) + 1e-12))


def _peak(lags: Array, fits: Array, best: int) -> float:
    """The top of the parabola through the best fit and its neighbours 40 ms away."""
    reach = min(4, best, len(lags) - 1 - best)
    if reach == 0:
        return float(lags[best])
    near = slice(best - reach, best + reach + 1)
    curve, slope, _ = np.polyfit(lags[near] - lags[best], fits[near], 2)
    if curve >= 0.0:
        return float(lags[best])
    return float(np.clip(lags[best] - slope / (2.0 * curve), lags[near][0], lags[near][-1]))
