"""Sounds that are not speech: the lips rest in most of them, and nobody can say in the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.training.phones import Phone
from vasa_cam.training.samples import music_sound, noise_sound
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance

Floats = npt.NDArray[np.float32]


def _coloured(rng: np.random.Generator, count: int, low_hz: float, high_hz: float) -> Floats:
    """Noise between two frequencies, unit power, float32 [count]."""
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, count))
    hz = np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE_HZ) + 1.0
    spectrum /= (1.0 + (low_hz / hz) ** 4) * (1.0 + (hz / high_hz) ** 4)
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / (np.std(noise) + 1e-9), np.float32)


def _at_level(rng: np.random.Generator, sound: Floats, low_db: float, high_db: float) -> Floats:
    loud = float(np.sqrt(np.percentile(sound**2, 98))) + 1e-9
    return np.asarray(sound / loud * 10.0 ** (rng.uniform(low_db, high_db) / 20.0), np.float32)


def typing_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """Key strokes in bursts, with the thump of the table, float32 [16000 seconds]."""
    count = int(seconds * SAMPLE_RATE_HZ)
    sound = 0.003 * _coloured(rng, count, 50.0, 4000.0)
    click_hz, at = rng.uniform(1500.0, 5000.0), rng.uniform(0.0, 0.5)
    while at < seconds - 0.2:
        for gap, strength in ((0.0, 1.0), (rng.uniform(0.05, 0.11), rng.uniform(0.2, 0.6))):
            start = int((at + gap) * SAMPLE_RATE_HZ)
            length = min(count - start, int(rng.uniform(0.008, 0.03) * SAMPLE_RATE_HZ))
            hit = _coloured(rng, length + 16, 0.4 * click_hz, 2.0 * click_hz)[:length]
            fall = np.exp(-np.arange(length) / (0.25 * length + 1.0))
            sound[start : start + length] += strength * rng.uniform(0.4, 1.0) * hit * fall
        at += rng.uniform(0.07, 0.25) if rng.random() < 0.88 else rng.uniform(0.4, 1.2)
    return _at_level(rng, sound.astype(np.float32), -45.0, -14.0)


def breathing_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """Slow breaths in and out, float32 [16000 seconds]."""
    count = int(seconds * SAMPLE_RATE_HZ)
    sound = np.zeros(count, np.float32)
    at = rng.uniform(0.0, 0.8)
    while at < seconds - 0.4:
        length = min(count - int(at * SAMPLE_RATE_HZ), int(rng.uniform(0.5, 1.5) * SAMPLE_RATE_HZ))
        low_hz = rng.uniform(150.0, 700.0)
        air = _coloured(rng, length, low_hz, rng.uniform(1500.0, 5000.0))
        swell = np.sin(np.pi * np.linspace(0.0, 1.0, length) ** rng.uniform(0.6, 1.6)) ** 1.5
        start = int(at * SAMPLE_RATE_HZ)
        sound[start : start + length] += (rng.uniform(0.3, 1.0) * swell * air).astype(np.float32)
        at += length / SAMPLE_RATE_HZ + rng.uniform(0.1, 1.5)
    return _at_level(rng, sound, -50.0, -22.0)


def hum_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """Fans, mains hum and engines: steady harmonics in noise, float32 [16000 seconds]."""
    count = int(seconds * SAMPLE_RATE_HZ)
    t = np.arange(count) / SAMPLE_RATE_HZ
    base_hz = rng.choice([50.0, 60.0, rng.uniform(70.0, 300.0)])
    drift = 1.0 + 0.02 * np.sin(2.0 * np.pi * rng.uniform(0.05, 0.6) * t)
    phase = 2.0 * np.pi * base_hz * np.cumsum(drift) / SAMPLE_RATE_HZ
    tones = sum(rng.uniform(0.0, 1.0) / k * np.sin(k * phase) for k in range(1, 9))
    noise = _coloured(rng, count, 40.0, rng.uniform(300.0, 3000.0))
    return _at_level(rng, np.asarray(tones + rng.uniform(0.1, 1.0) * noise, np.float32), -50, -18)


def _voiced_burst(rng: np.random.Generator, length: int, pitch_hz: float) -> Floats:
    """An open vowel of falling pitch with breath in it, float32 [length]."""
    falling = np.linspace(1.1, 0.85, length)
    phase = 2.0 * np.pi * pitch_hz * np.cumsum(falling) / SAMPLE_RATE_HZ
    voice = np.zeros(length)
    for harmonic in range(1, max(2, int(3800.0 / pitch_hz))):
        hz = harmonic * pitch_hz
        shape = sum(
            np.exp(-(((hz - peak) / width) ** 2)) for peak, width in ((750, 260), (1300, 320))
        )
        voice += (0.05 + shape) / harmonic**0.5 * np.sin(harmonic * phase)
    voice += rng.uniform(0.2, 0.8) * _coloured(rng, length, 400.0, 3000.0)
    return np.asarray(voice * np.sin(np.pi * np.linspace(0.02, 1.0, length) ** 0.6), np.float32)


def laughing_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """Peals of ha-ha-ha, float32 [16000 seconds]."""
    count = int(seconds * SAMPLE_RATE_HZ)
    sound = np.zeros(count, np.float32)
    at, pitch_hz = rng.uniform(0.1, 0.5), rng.uniform(120.0, 380.0)
    while at < seconds - 1.0:
        rate, start_hz = rng.uniform(4.0, 6.0), pitch_hz * rng.uniform(0.9, 1.5)
        for index in range(int(rng.integers(3, 10))):
            start = int(at * SAMPLE_RATE_HZ)
            length = min(count - start, int(rng.uniform(0.4, 0.7) / rate * SAMPLE_RATE_HZ))
            if length < 400:
                break
            burst = _voiced_burst(rng, length, start_hz * 0.97**index)
            sound[start : start + length] += burst * np.float32(0.93**index)
            at += 1.0 / rate
        at += rng.uniform(0.3, 1.2)
    return _at_level(rng, sound, -30.0, -12.0)


def coughing_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """A few coughs, float32 [16000 seconds]."""
    count = int(seconds * SAMPLE_RATE_HZ)
    sound = np.zeros(count, np.float32)
    at = rng.uniform(0.2, 1.0)
    while at < seconds - 0.8:
        for _ in range(int(rng.integers(1, 4))):
            start = int(at * SAMPLE_RATE_HZ)
            length = min(count - start, int(rng.uniform(0.12, 0.3) * SAMPLE_RATE_HZ))
            if length < 400:
                break
            fall = np.exp(-np.arange(length) / (0.3 * length)) * np.minimum(
                1.0, np.arange(length) / 60.0
            )
            burst = _coloured(rng, length, rng.uniform(250.0, 700.0), rng.uniform(1500.0, 4000.0))
            sound[start : start + length] += (burst * fall).astype(np.float32)
            at += rng.uniform(0.25, 0.5)
        at += rng.uniform(0.8, 2.5)
    return _at_level(rng, sound, -30.0, -10.0)


RESTING: Final[dict[str, Callable[[np.random.Generator, float], Floats]]] = {
    "noise": noise_sound,
    "music": music_sound,
    "typing": typing_sound,
    "breathing": breathing_sound,
    "hum": hum_sound,
}
"""Kind -> sound with the mouth at rest: (generator, seconds) -> float32 [16000 seconds]."""

UNKNOWN: Final[dict[str, Callable[[np.random.Generator, float], Floats]]] = {
    "laughing": laughing_sound,
    "coughing": coughing_sound,
}
"""Kind -> sound whose lips are not known; nothing may be learnt from them but that it is sound."""


def other_sound(rng: np.random.Generator, kind: str, seconds: float) -> Utterance:
    """One sound of RESTING or UNKNOWN, as an utterance that is silence throughout."""
    make = RESTING.get(kind) or UNKNOWN[kind]
    audio = make(rng, seconds)
    phones: list[Phone] = [(0.0, len(audio) / SAMPLE_RATE_HZ, "SIL")]
    return Utterance(kind, audio, phones)
