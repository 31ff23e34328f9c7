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

    least_correlation: below it the fit is weak; for a video of T seconds it is also weak below
    short_correlation / sqrt(T), because short pieces of any two voices may look alike. least_lead:
    a fit further than apart_s away must be worse by this much (syllables repeat), and so must the
    fit with any other part of the video (the voice may be somebody else's).
    """

    longest_s: float = 0.4
    step_s: float = 0.01
    least_correlation: float = 0.35
    short_correlation: float = 1.2
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
    seen: Array = opening[:frames].astype(np.float64)
    heard: Array = expected[:frames].astype(np.float64)
    times = np.arange(frames) / MOTION_RATE_HZ
    steps = round(config.longest_s / config.step_s)
    lags = np.arange(-steps, steps + 1, dtype=np.float64) * config.step_s
    inner = valid[:frames] & (times >= config.longest_s) & (times <= times[-1] - config.longest_s)
    if inner.sum() < 2 * MOTION_RATE_HZ or seen[inner].std() < 1e-4:
        return Sync(0.0, 0.0, strong=False)
    fits = np.array(
        [_correlation(seen[inner], np.interp(times + lag, times, heard)[inner]) for lag in lags]
    )
    best = int(np.argmax(fits))
    far = np.abs(lags - lags[best]) > config.apart_s
    others = max(
        float(fits[far].max()), _fit_elsewhere(seen, heard, valid[:frames], config.longest_s)
    )
    seconds = float(inner.sum()) / MOTION_RATE_HZ
    strong = fits[best] >= max(config.least_correlation, config.short_correlation / seconds**0.5)
    strong &= fits[best] - others >= config.least_lead
    strong &= 0 < best < len(lags) - 1
    return Sync(_peak(lags, fits, best), float(fits[best]), bool(strong))


def _fit_elsewhere(
    opening: Array, expected: Array, valid: npt.NDArray[np.bool_], longest_s: float
) -> float:
    """The best correlation with the voice moved around by more than longest_s."""
    seen = np.where(valid, opening - opening[valid].mean(), 0.0)
    heard = expected - expected.mean()
    count = len(seen)
    product = np.fft.rfft(seen) * np.conj(np.fft.rfft(heard))
    fits = np.fft.irfft(product, count) / (np.linalg.norm(seen) * np.linalg.norm(heard) + 1e-12)
    apart = np.minimum(np.arange(count), count - np.arange(count)) / MOTION_RATE_HZ
    return float(fits[apart > longest_s + 0.2].max(initial=-1.0))


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
