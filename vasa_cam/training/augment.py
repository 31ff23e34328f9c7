"""Augmentation of log-mel features: the microphone, the room and the voice of somebody else.

Everything works on mel band powers [T, bands] (100 frames a second), before the loudness follower,
so one cached analysis serves many variants: vocal-tract length, spectral tilt and band limits, room
reverberation (an exponential tail of band power), background noise and gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.features import (
    DEFAULT_FEATURES,
    FeatureConfig,
    decibels,
    follow_level,
    hz_to_mel,
    relative_bands,
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Chances and ranges. warp: largest relative formant shift. *_db: decibels; chances 0..1."""

    warp: float = 0.14
    tilt_db: float = 9.0
    gain_db: float = 14.0
    start_level_db: float = 8.0
    band_limit_chance: float = 0.15
    reverb_chance: float = 0.35
    noise_chance: float = 0.5
    noise_snr_db: tuple[float, float] = (6.0, 40.0)
    gate_chance: float = 0.15


MILD = Augmentation()
"""Another microphone, another room and a somewhat different speaker."""

LIGHT = Augmentation(
    warp=0.06,
    tilt_db=4.0,
    gain_db=10.0,
    band_limit_chance=0.0,
    reverb_chance=0.1,
    noise_chance=0.2,
    noise_snr_db=(20.0, 40.0),
    gate_chance=0.05,
)
"""The same speaker on another day: keeps what is exact about tracked lips."""


def warp_bands(power: Floats, factor: float) -> Floats:
    """Move spectral shapes up (factor > 1) or down the mel axis, as a shorter vocal tract does."""
    bands = power.shape[1]
    low_mel, high_mel = (
        hz_to_mel(hz) for hz in (DEFAULT_FEATURES.low_hz, DEFAULT_FEATURES.high_hz)
    )
    mel = np.linspace(low_mel, high_mel, bands + 2)[1:-1]
    source = hz_to_mel(700.0 * (10.0 ** (mel / 2595.0) - 1.0) / factor)
    at = np.clip(np.interp(source, mel, np.arange(bands)), 0, bands - 1.001)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)
    log = np.log(power + 1e-10)
    return np.asarray(np.exp(log[:, low] * (1.0 - part) + log[:, low + 1] * part), np.float32)


def reverberate(power: Floats, decay_s: float, wet: float) -> Floats:
    """Add an exponentially decaying tail of band power (60 dB in decay_s), wet = its share."""
    keep = 10.0 ** (-6.0 * 0.01 / decay_s)
    tail = np.empty_like(power)
    state = np.zeros(power.shape[1], np.float32)
    for index, row in enumerate(power):
        state = keep * state + row
        tail[index] = state
    return np.asarray(power + wet * (1.0 - keep) * tail, np.float32)


def gated(power: Floats, below_db: float) -> Floats:
    """Silence frames that are more than below_db under the loud ones, as a noise gate does."""
    total = power.sum(axis=1)
    loud = float(np.percentile(total, 95))
    return np.where((total > loud * 10.0 ** (-below_db / 10.0))[:, None], power, np.float32(0.0))


def noise_power(rng: np.random.Generator, frames: int, bands: int) -> Floats:
    """Band powers of a steady or breathing coloured noise, mean summed power 1."""
    colour_db = np.cumsum(rng.normal(0.0, 1.6, bands)) + rng.uniform(-0.5, 0.25) * np.arange(bands)
    shape = 10.0 ** (colour_db / 10.0)
    # A band of noise power fluctuates from frame to frame like a chi-square variable.
    ripple = rng.gamma(3.0, 1.0 / 3.0, (frames, bands))
    knots = np.arange(0, frames + 25, 25)
    slow = np.interp(np.arange(frames), knots, rng.normal(0.0, 2.5, len(knots)))
    power = shape * ripple * (10.0 ** (slow / 10.0))[:, None]
    return np.asarray(power / power.sum(axis=1).mean(), np.float32)


def normalised(
    power: Floats, start_level_db: float, config: FeatureConfig = DEFAULT_FEATURES
) -> Floats:
    """Band powers -> features, exactly as FeatureStream does at run time."""
    levels, _ = follow_level(decibels(power.sum(axis=1)), start_level_db, config)
    return relative_bands(decibels(power), levels, config)


def augmented(power: Floats, rng: np.random.Generator, how: Augmentation) -> Floats:
    """One random variant of a clip: band powers [T, bands] -> features float32 [T, bands]."""
    bands = power.shape[1]
    if how.warp > 0.0:
        power = warp_bands(power, float(np.exp(rng.uniform(-how.warp, how.warp))))
    if rng.random() < how.reverb_chance:
        power = reverberate(power, rng.uniform(0.15, 0.7), rng.uniform(0.2, 1.6))
    speech = float(np.percentile(power.sum(axis=1), 90)) + 1e-9
    if rng.random() < how.noise_chance:
        ratio = 10.0 ** (-rng.uniform(*how.noise_snr_db) / 10.0)
        power = power + speech * ratio * noise_power(rng, len(power), bands)
    if rng.random() < how.gate_chance:
        power = gated(power, rng.uniform(22.0, 45.0))
    knots = rng.uniform(-1.0, 1.0, 4) * how.tilt_db
    shape_db = np.interp(np.linspace(0, 3, bands), np.arange(4), knots)
    if rng.random() < how.band_limit_chance:
        shape_db[: rng.integers(1, 5)] -= 35.0
        shape_db[rng.integers(26, 36) :] -= 35.0
    power = power * (10.0 ** (shape_db / 10.0)).astype(np.float32)
    # The voice ends up at a random level, and the follower starts near, not at, that level.
    level_db = float(decibels(np.array([np.percentile(power.sum(axis=1), 95) + 1e-9]))[0])
    target_db = DEFAULT_FEATURES.level_start_db + rng.uniform(-1.0, 1.0) * how.gain_db
    if how.gain_db > 0.0:
        power = power * np.float32(10.0 ** ((target_db - level_db) / 10.0))
    start_db = DEFAULT_FEATURES.level_start_db
    if how.start_level_db > 0.0 and rng.random() < 0.7:
        start_db = max(
            DEFAULT_FEATURES.level_floor_db,
            target_db + rng.uniform(-1.0, 1.0) * how.start_level_db,
        )
    return normalised(power, start_db)
