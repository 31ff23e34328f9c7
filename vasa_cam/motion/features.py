"""Causal speech features: log-mel bands relative to a running loudness level.

The same code runs in training and live. Feature frame j covers samples [160 j - 240, 160 j + 160),
so it is complete the moment its hop has arrived; nothing ahead of it is used. The level that the
bands are measured against is a slew-limited follower (it rises fast and falls slowly), which makes
the features nearly independent of microphone gain without looking at the rest of the utterance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_POWER_FLOOR = 1e-10
_BLOCK_FRAMES: Final = 4096


@dataclass(frozen=True)
class FeatureConfig:
    """What a feature frame is made of; stored in the header of every weight file.

    sample_rate_hz, window, hop, fft: samples. low_hz, high_hz: the outer mel edges. level_*:
    decibels relative to a full-scale sine; rise and fall are decibels a frame (10 ms). range_db:
    how far below the level the features still see.
    """

    sample_rate_hz: int = 16000
    window: int = 400
    hop: int = 160
    fft: int = 512
    bands: int = 40
    low_hz: float = 80.0
    high_hz: float = 7600.0
    level_start_db: float = -24.0
    level_floor_db: float = -46.0
    level_rise_db: float = 1.0
    level_fall_db: float = 0.012
    range_db: float = 60.0


DEFAULT_FEATURES = FeatureConfig()


def hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The HTK mel scale."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0))


@lru_cache(maxsize=4)
def mel_matrix(config: FeatureConfig = DEFAULT_FEATURES) -> Floats:
    """Triangular mel filters (HTK mel scale, peak 1), float32 [fft / 2 + 1, bands]."""

    low, high = hz_to_mel([config.low_hz, config.high_hz])
    edges = np.linspace(low, high, config.bands + 2)
    bins = hz_to_mel(np.arange(config.fft // 2 + 1) * (config.sample_rate_hz / config.fft))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), np.float32)


@lru_cache(maxsize=4)
def _window(config: FeatureConfig) -> Floats:
    hann = np.hanning(config.window + 1)[:-1]
    # A full-scale sine then gives 0 dB in its band.
    return np.asarray(hann * 2.0 / hann.sum(), np.float32)


def mel_power(samples: Floats, config: FeatureConfig = DEFAULT_FEATURES) -> Floats:
    """Mel band powers of consecutive frames, float32 [frames, bands], full-scale sine = 1.

    samples: float32 [window + hop (frames - 1) + rest], 16 kHz; the rest (< hop) is ignored.
    """
    count = max(0, (len(samples) - config.window) // config.hop + 1)
    if count == 0:
        return np.zeros((0, config.bands), np.float32)
    views = np.lib.stride_tricks.sliding_window_view(samples, config.window)
    views = views[:: config.hop][:count]
    bands = np.empty((count, config.bands), np.float32)
    # In blocks, because the spectra of an hour of speech would fill gigabytes.
    for start in range(0, count, _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        spectrum = np.fft.rfft(views[block] * _window(config), config.fft)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        bands[block] = power @ mel_matrix(config)
    return bands


def follow_level(
    frame_db: npt.NDArray[np.floating], level_db: float, config: FeatureConfig = DEFAULT_FEATURES
) -> tuple[Floats, float]:
    """Run the level follower over frame loudness; returns (levels float32 [frames], last level).

    frame_db: [frames], dB of the summed band power. level_db: the level before the first frame.
    """
    levels = np.empty(len(frame_db), np.float32)
    rise, fall, floor = config.level_rise_db, config.level_fall_db, config.level_floor_db
    for index, loudness in enumerate(frame_db.tolist()):
        level_db = min(max(loudness, level_db - fall), level_db + rise)
        level_db = max(level_db, floor)
        levels[index] = level_db
    return levels, level_db


def relative_bands(
    bands_db: Floats, levels_db: Floats, config: FeatureConfig = DEFAULT_FEATURES
) -> Floats:
    """Bands in dB against the level, mapped to -1 (range_db below the level or quieter) .. +1."""
    half = 0.5 * config.range_db
    relative = (bands_db - levels_db[..., None] + config.range_db) / half - 1.0
    return np.asarray(np.clip(relative, -1.0, 1.5), np.float32)


def loudness(rows: Floats, config: FeatureConfig = DEFAULT_FEATURES) -> Floats:
    """How loud feature frames are against the running level: 0 (range_db below) .. 1 (at it).

    rows: float32 [frames, bands], output of FeatureStream. Returns float32 [frames].
    """
    bands_db = (rows + 1.0) * (0.5 * config.range_db) - config.range_db
    total_db = decibels((10.0 ** (bands_db / 10.0)).sum(axis=1))
    return np.asarray(np.clip(1.0 + total_db / config.range_db, 0.0, 1.0), np.float32)


def decibels(power: npt.NDArray[np.floating]) -> Floats:
    """10 log10(power), floored at -100 dB."""
    return np.asarray(10.0 * np.log10(np.maximum(power, _POWER_FLOOR)), np.float32)


def loud_level_db(samples: Floats, config: FeatureConfig = DEFAULT_FEATURES) -> float:
    """The level that a whole recording's loud frames reach (95th percentile), dB.

    For recordings, where the voice's level is known before the first frame; live starts from
    FeatureConfig.level_start_db instead.
    """
    power = mel_power(np.asarray(samples, np.float32), config)
    if len(power) == 0:
        return config.level_start_db
    return max(config.level_floor_db, float(np.percentile(decibels(power.sum(axis=1)), 95.0)))


class FeatureStream:
    """Feeds audio in blocks of any size, gives feature frames; the blocking changes nothing.

    push(samples float32 [n], 16 kHz mono) -> float32 [frames, bands]. level_db: where the level
    follower starts, dB (FeatureConfig.level_start_db when None).
    """

    def __init__(
        self, config: FeatureConfig = DEFAULT_FEATURES, level_db: float | None = None
    ) -> None:
        self.config = config
        self.level_db = config.level_start_db if level_db is None else level_db
        self._pending: Floats = np.zeros(config.window - config.hop, np.float32)

    def push(self, samples: Floats) -> Floats:
        """Take samples float32 [n], return the frames that they complete, float32 [m, bands]."""
        config = self.config
        self._pending = np.concatenate([self._pending, np.asarray(samples, np.float32)])
        power = mel_power(self._pending, config)
        self._pending = self._pending[len(power) * config.hop :]
        levels, self.level_db = follow_level(decibels(power.sum(axis=1)), self.level_db, config)
        return relative_bands(decibels(power), levels, config)


def features(
    audio: Floats, config: FeatureConfig = DEFAULT_FEATURES, level_db: float | None = None
) -> Floats:
    """Features of a whole recording, float32 [n // hop, bands]; FeatureStream gives the same."""
    return FeatureStream(config, level_db).push(audio)
