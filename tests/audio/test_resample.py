"""The short resampler against soxr's best, in pieces of any size, and its promised delay."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.audio.resample import SpeechResampler

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 44099)


def chord(rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    """Tones from 100 Hz to just below what both rates can hold."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    top = 0.9 * min(rate_hz, 16000) / 2
    tones = [np.sin(2 * np.pi * hz * t + hz) for hz in (100.0, 440.0, 1900.0, 3100.0, top)]
    return (0.15 * np.sum(tones, axis=0)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", RATES)
def test_agrees_with_soxr_in_value_and_in_time(rate_hz: int) -> None:
    sound = chord(rate_hz)
    ours = SpeechResampler(rate_hz).push(sound)
    best = soxr.resample(sound, rate_hz, 16000, quality="VHQ")
    inner = slice(400, min(len(ours), len(best)) - 400)
    error = ours[inner] - best[inner]
    assert np.std(error) < 10 ** (-45 / 20) * np.std(best[inner])


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_what_16_khz_cannot_hold_is_gone(rate_hz: int) -> None:
    t = np.arange(rate_hz) / rate_hz
    for hz in (9000.0, 12000.0, 19000.0):
        out = SpeechResampler(rate_hz).push(np.sin(2 * np.pi * hz * t).astype(np.float32))
        assert np.abs(out[400:-400]).max() < 3e-3


@given(
    rate_hz=st.sampled_from(RATES),
    blocks=st.lists(st.integers(0, 700), min_size=1, max_size=12),
)
def test_any_split_gives_the_same_and_the_delay_is_kept(rate_hz: int, blocks: list[int]) -> None:
    sound = chord(rate_hz, sum(blocks) / rate_hz + 0.001)
    resampler = SpeechResampler(rate_hz)
    assert resampler.delay_s < 0.006
    pieces, start = [], 0
    for size in blocks:
        pieces.append(resampler.push(sound[start : start + size]))
        start += size
        out = sum(map(len, pieces))
        # Every output whose time, plus the delay, has been heard must be out.
        due = (start / rate_hz - resampler.delay_s) * 16000
        assert out >= due - 1
        assert out <= start / rate_hz * 16000 + 1
    whole = SpeechResampler(rate_hz).push(sound[:start])
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-6)


def test_a_rate_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        SpeechResampler(0)
