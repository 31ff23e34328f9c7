"""Features are causal, independent of blocking, and nearly independent of gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import get_window, stft

from vasa_cam.motion.features import (
    DEFAULT_FEATURES,
    FeatureStream,
    decibels,
    features,
    follow_level,
    loudness,
    mel_matrix,
    mel_power,
)


def _speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    """A buzz whose loudness comes and goes four times a second, over faint noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000.0
    buzz = sum(np.sin(2 * np.pi * 120.0 * k * t + k * k) / k for k in range(1, 25))
    envelope = np.clip(np.sin(2 * np.pi * 4.0 * t), 0.0, 1.0)
    return (0.08 * buzz * envelope + 1e-4 * rng.normal(size=len(t))).astype(np.float32)


@given(st.lists(st.integers(0, 3000), max_size=12), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_blocks_of_any_size_give_the_same_features(sizes: list[int], seed: int) -> None:
    audio = _speechlike(0.9, seed % 7)
    whole = features(audio)
    stream = FeatureStream()
    parts, at = [], 0
    for size in [*sizes, len(audio)]:
        parts.append(stream.push(audio[at : at + size]))
        at += size
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-5)
    assert len(whole) == len(audio) // 160


@given(st.integers(1, 89))
@settings(max_examples=20, deadline=None)
def test_a_frame_never_uses_what_comes_after_its_hop(frame: int) -> None:
    audio = _speechlike(0.9)
    changed = audio.copy()
    changed[160 * frame :] = 0.5
    np.testing.assert_array_equal(features(audio)[:frame], features(changed)[:frame])
    assert np.abs(features(audio)[frame:] - features(changed)[frame:]).max() > 0.1


def test_power_agrees_with_an_independent_spectrogram() -> None:
    audio = _speechlike(0.5)
    config = DEFAULT_FEATURES
    window = get_window("hann", config.window)
    _, _, spectrum = stft(
        audio, window=window, nperseg=config.window, noverlap=config.window - config.hop,
        nfft=config.fft, boundary=None, padded=False, scaling="spectrum",
    )  # fmt: skip
    expected = (4.0 * np.abs(spectrum.T) ** 2) @ mel_matrix()
    np.testing.assert_allclose(mel_power(audio), expected, rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hz: float) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(4000) / 16000.0).astype(np.float32)
    edges = np.linspace(*(2595 * np.log10(1 + np.array([80.0, 7600.0]) / 700)), 42)
    centres = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    band = int(np.argmax(mel_power(tone)[5]))
    assert abs(centres[band] - hz) < 0.09 * hz
    assert decibels(mel_power(tone)[5].sum()) == pytest.approx(0.0, abs=3.0)


def test_level_follows_a_louder_voice_quickly_and_a_quieter_one_slowly() -> None:
    up, level = follow_level(np.full(60, -10.0), -40.0)
    assert np.flatnonzero(up > -10.5)[0] <= 30
    assert level == pytest.approx(-10.0)
    down, _ = follow_level(np.full(100, -80.0), -10.0)
    assert -11.5 < down[-1] < -10.5
    endless, _ = follow_level(np.full(100000, -100.0), -10.0)
    assert endless[-1] == pytest.approx(DEFAULT_FEATURES.level_floor_db)


def test_gain_hardly_matters_once_the_level_is_found() -> None:
    audio = _speechlike(6.0)
    loud, quiet = features(2.5 * audio), features(0.25 * audio)
    late = slice(300, None)
    heard = loud[late] > -0.6
    assert heard.mean() > 0.1
    assert np.abs(loud[late] - quiet[late])[heard].mean() < 0.1
    assert np.abs(loudness(loud[late]) - loudness(quiet[late])).mean() < 0.06


def test_silence_sits_at_the_floor() -> None:
    assert (features(np.zeros(8000, np.float32)) == -1.0).all()
    assert (loudness(features(np.zeros(8000, np.float32))) < 0.3).all()
