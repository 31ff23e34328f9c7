"""A small source-filter vocoder: other throats, whispers and song from any recording.

Linear prediction gives the spectral envelope of every 5 ms. The envelope can be moved along the
frequency axis (the length of the vocal tract), excited by noise (whisper) or by pulses at any pitch
and at any speed (song). Lip movement belongs to the envelope, so phone times stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from vasa_cam.training.phones import VOWELS, Phone
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance

Floats = npt.NDArray[np.float32]

_ORDER = 18
_HOP = 80
_WINDOW = 480
_FFT = 1024
_BINS = _FFT // 2 + 1
_PRE_EMPHASIS = 0.97


@dataclass(frozen=True)
class Analysis:
    """envelope: float32 [F, 513] amplitude of a filter for unit-power excitation, every 5 ms.

    voiced: float32 [F], 0 (noise) .. 1 (periodic).
    """

    envelope: Floats
    voiced: Floats


def _frames(audio: Floats) -> Floats:
    """Windowed frames around every 5 ms, float32 [n // 80, 480]."""
    count = max(1, len(audio) // _HOP)
    half = _WINDOW // 2
    padded = np.concatenate([np.zeros(half, np.float32), audio, np.zeros(_WINDOW, np.float32)])
    views = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    return np.asarray(views * np.hanning(_WINDOW).astype(np.float32), np.float32)


def _predictors(lags: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Levinson-Durbin for all frames at once: autocorrelation [F, 19] -> filters, errors."""
    filters = np.zeros_like(lags)
    filters[:, 0] = 1.0
    error = lags[:, 0].copy()
    for order in range(1, lags.shape[1]):
        reached = np.einsum("fk,fk->f", filters[:, :order], lags[:, order:0:-1])
        reflection = -reached / error
        mirrored = filters[:, order - 1 :: -1] if order > 0 else filters[:, :0]
        filters[:, 1 : order + 1] += reflection[:, None] * mirrored[:, :order]
        error *= 1.0 - reflection**2
    return filters, error


def analyse(audio: Floats) -> Analysis:
    """Envelope and voicing of 16 kHz audio, float32 [n]."""
    emphasised = np.append(audio[:1], audio[1:] - _PRE_EMPHASIS * audio[:-1]).astype(np.float32)
    spectrum = np.fft.rfft(_frames(emphasised), _FFT)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, _FFT)[:, : _ORDER + 1].astype(np.float64)
    lags[:, 0] = lags[:, 0] * (1.0 + 1e-4) + 1e-9
    filters, error = _predictors(lags)
    response = np.abs(np.fft.rfft(filters, _FFT))
    pitch_free = np.abs(np.fft.rfft([1.0, -_PRE_EMPHASIS], _FFT))
    # A frame of unit noise has the window's energy; the filter error is per frame, not per sample.
    power = np.sqrt(error / float((np.hanning(_WINDOW) ** 2).sum()))
    envelope = power[:, None] / (response * pitch_free)
    return Analysis(envelope.astype(np.float32), _voicing(audio))


def _voicing(audio: Floats) -> Floats:
    """How periodic every 5 ms is at 70 to 400 Hz, float32 [F]."""
    spectrum = np.abs(np.fft.rfft(_frames(audio), _FFT)) ** 2
    lags = np.fft.irfft(spectrum, _FFT)
    window = np.hanning(_WINDOW)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, _FFT)) ** 2, _FFT)
    low, high = SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 70
    ratio = (lags[:, low:high] / own[low:high]) / (lags[:, :1] / own[0] + 1e-9)
    return np.asarray(np.clip((ratio.max(axis=1) - 0.35) / 0.3, 0.0, 1.0), np.float32)


def _filtered(excitation: Floats, envelope: Floats) -> Floats:
    """Shape an excitation float32 [80 F] by an amplitude response per 5 ms, float32 [F, 513]."""
    frames = _frames(excitation)
    shaped = np.fft.irfft(np.fft.rfft(frames, _FFT) * envelope[: len(frames)], _FFT)
    # The responses have zero phase, so their tails reach before the frame: centre them.
    shaped = np.roll(shaped, (_FFT - _WINDOW) // 2, axis=1)
    out = np.zeros(len(frames) * _HOP + _FFT, np.float64)
    for offset in range(0, _FFT, _HOP):
        part = shaped[:, offset : offset + _HOP]
        width = part.shape[1]
        block = out[offset : offset + len(frames) * _HOP].reshape(len(frames), _HOP)
        block[:, :width] += part
    # Frames overlap six times; a Hann window's mean is one half.
    centre = _FFT // 2
    kept = out[centre : centre + len(excitation)] / (0.5 * _WINDOW / _HOP)
    return np.asarray(kept, np.float32)


def faster(utterance: Utterance, factor: float) -> Utterance:
    """The same voice played `factor` times faster: higher pitch, shorter phones."""
    audio = np.asarray(
        soxr.resample(utterance.audio, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ), np.float32
    )
    phones = [(a / factor, b / factor, s) for a, b, s in utterance.phones]
    return Utterance(utterance.name, audio, phones)


def moved_formants(audio: Floats, factor: float) -> Floats:
    """The same pitch from a vocal tract `factor` times shorter, float32 [n]."""
    envelope = analyse(audio).envelope
    source = np.clip(np.arange(_BINS) / factor, 0, _BINS - 1)
    low = np.minimum(source.astype(np.int64), _BINS - 2)
    part = (source - low).astype(np.float32)
    moved = envelope[:, low] * (1.0 - part) + envelope[:, low + 1] * part
    whole = np.zeros(len(envelope) * _HOP, np.float32)
    whole[: min(len(whole), len(audio))] = audio[: len(whole)]
    gain = np.clip(moved / (envelope + 1e-7), 0.05, 20.0)
    return _filtered(whole, gain)


def whispered(audio: Floats, rng: np.random.Generator) -> Floats:
    """The recording whispered: noise through its envelope, voiced sounds weaker, float32 [n]."""
    analysis = analyse(audio)
    noise = rng.normal(0.0, 1.0, len(analysis.voiced) * _HOP).astype(np.float32)
    hz = np.arange(_BINS) * (SAMPLE_RATE_HZ / _FFT)
    breathy = np.clip(hz / 900.0, 0.08, 1.0) ** 0.7
    weaker = 10.0 ** (-rng.uniform(8.0, 16.0) / 20.0)
    voiced = analysis.voiced[:, None]
    response = analysis.envelope * (1.0 - voiced + voiced * weaker * breathy)
    return _filtered(noise, response.astype(np.float32))


def sung(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """The utterance as song: long vowels, one note each, vibrato; consonants keep their length."""
    phones, times = _stretched(utterance.phones, rng)
    total = len(utterance.audio) / SAMPLE_RATE_HZ
    times = np.vstack([times, times[-1] + max(0.0, total - times[-1, 0])])
    count = max(1, int(times[-1, 1] * SAMPLE_RATE_HZ / _HOP))
    at = np.interp(np.arange(count) * _HOP / SAMPLE_RATE_HZ, times[:, 1], times[:, 0])
    analysis = analyse(utterance.audio)
    rows = np.clip((at * SAMPLE_RATE_HZ / _HOP).astype(np.int64), 0, len(analysis.voiced) - 1)
    voiced = np.repeat(analysis.voiced[rows], _HOP)
    excitation = voiced * _pulses(_melody_hz(phones, count * _HOP, rng))
    excitation += (1.0 - voiced + 0.05) * rng.normal(0.0, 1.0, len(voiced))
    audio = _filtered(excitation.astype(np.float32), analysis.envelope[rows])
    return Utterance(f"{utterance.name}-sung", audio, phones)


def _stretched(
    phones: list[Phone], rng: np.random.Generator
) -> tuple[list[Phone], npt.NDArray[np.float64]]:
    """Phones with long vowels, and knots [K, 2] of old against new time."""
    slower = rng.uniform(1.3, 2.6)
    knots, now, out = [(0.0, 0.0)], 0.0, []
    for start, end, symbol in phones:
        now += start - knots[-1][0]
        knots.append((start, now))
        factor = slower * rng.uniform(0.7, 1.6) if symbol in VOWELS else rng.uniform(1.0, 1.2)
        length = (end - start) * (1.0 if symbol == "SIL" else max(1.0, factor))
        out.append((now, now + length, symbol))
        now += length
        knots.append((end, now))
    return out, np.array(knots)


def _melody_hz(phones: list[Phone], samples: int, rng: np.random.Generator) -> Floats:
    """A pitch per sample, float32 [samples]: a pentatonic note per vowel, glides and vibrato."""
    scale = np.array([0, 2, 4, 7, 9, 12, 14, 16])
    root_hz, degree = rng.uniform(95.0, 260.0), int(rng.integers(0, 5))
    knots, notes = [0.0], [float(scale[degree])]
    for start, end, symbol in phones:
        if symbol in VOWELS:
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, len(scale) - 1))
            knots += [start, max(start + 1e-3, end)]
            notes += [float(scale[degree])] * 2
    seconds = np.arange(samples) / SAMPLE_RATE_HZ
    tone = np.interp(seconds, knots, notes)
    tone += rng.uniform(0.0, 0.45) * np.sin(2.0 * np.pi * rng.uniform(4.8, 6.5) * seconds)
    return np.asarray(root_hz * 2.0 ** (tone / 12.0), np.float32)


def _pulses(pitch_hz: Floats) -> Floats:
    """A pulse at every period, unit power, float32 [n]."""
    phase = np.cumsum(pitch_hz.astype(np.float64) / SAMPLE_RATE_HZ)
    wrapped = np.flatnonzero(np.diff(np.floor(phase)) > 0) + 1
    train = np.zeros(len(pitch_hz), np.float32)
    train[wrapped] = np.sqrt(SAMPLE_RATE_HZ / pitch_hz[wrapped])
    return train
