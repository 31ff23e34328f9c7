"""Vocoder, channels and other sounds: voices change, times do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.motion.features import decibels
from vasa_cam.training.channels import CHANNELS, aligned, band_limited, through_codec
from vasa_cam.training.other_sounds import RESTING, UNKNOWN, other_sound
from vasa_cam.training.phones import VOWELS
from vasa_cam.training.samples import analysed
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance
from vasa_cam.training.vocoder import analyse, faster, moved_formants, sung, whispered


def bands_db(audio: np.ndarray) -> np.ndarray:
    return decibels(analysed(audio, len(audio) // 640))


def loudness(audio: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10((10.0 ** (bands_db(audio) / 10.0)).sum(axis=1) + 1e-7)


def lag_frames(changed: np.ndarray, original: np.ndarray) -> int:
    """By how many 10 ms the loudness of `changed` is late."""
    a, b = loudness(changed), loudness(original)
    fits = [np.corrcoef(np.roll(a, -lag)[12:-12], b[12:-12])[0, 1] for lag in range(-10, 11)]
    return int(np.argmax(fits)) - 10


def vowel(formant_hz: float, pitch_hz: float) -> np.ndarray:
    """Two seconds of pulses through one resonance."""
    t = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sound = np.zeros_like(t)
    for k in range(1, int(7000 / pitch_hz)):
        sound += np.sin(2 * np.pi * k * pitch_hz * t) / (
            1 + ((k * pitch_hz - formant_hz) / 90) ** 2
        )
    return (0.1 * sound).astype(np.float32)


def spectrum_peak_hz(audio: np.ndarray) -> float:
    envelope = np.median(analyse(audio).envelope[40:-40], axis=0)
    return float(np.argmax(envelope)) * SAMPLE_RATE_HZ / 1024


def pitch_hz(audio: np.ndarray) -> float:
    middle = audio[8000:16000].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 17))
    lags = np.fft.irfft(spectrum**2)
    low = SAMPLE_RATE_HZ // 300
    return SAMPLE_RATE_HZ / (low + int(np.argmax(lags[low : SAMPLE_RATE_HZ // 70])))


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_formants_move_and_pitch_stays(factor: float) -> None:
    before = vowel(1500.0, 110.0)
    after = moved_formants(before, factor)
    assert spectrum_peak_hz(before) == pytest.approx(1500.0, rel=0.04)
    assert spectrum_peak_hz(after) == pytest.approx(1500.0 * factor, rel=0.05)
    assert pitch_hz(after) == pytest.approx(pitch_hz(before), rel=0.02)
    assert len(after) == len(before)


def test_unmoved_formants_leave_the_sound(spoken: Utterance) -> None:
    same = moved_formants(spoken.audio, 1.0)
    count = len(spoken.audio) // 80 * 80
    error = same[400 : count - 400] - spoken.audio[400 : count - 400]
    assert np.std(error) < 0.02 * np.std(spoken.audio)


def test_whisper_has_no_pitch(spoken: Utterance, rng: np.random.Generator) -> None:
    before, after = analyse(spoken.audio), whispered(spoken.audio, rng)
    loud = np.repeat(loudness(after)[:-2] > loudness(after).max() - 25.0, 2)
    count = min(len(loud), len(before.voiced))
    voiced = analyse(after).voiced
    # Resonances of noise look a little periodic too.
    pitched = before.voiced[:count][loud[:count]].mean()
    assert voiced[:count][loud[:count]].mean() < 0.6 * pitched
    assert abs(lag_frames(after[: len(after) // 640 * 640], spoken.audio[: len(after)])) <= 1


def test_song_keeps_every_sound_at_its_phone(spoken: Utterance, rng: np.random.Generator) -> None:
    """Spectra in the middle of phones are the same ones, and vowels are long."""
    song = sung(spoken, rng)
    assert [s for _, _, s in song.phones] == [s for _, _, s in spoken.phones]
    before, after = bands_db(spoken.audio), bands_db(song.audio)
    fits = []
    for (a, b, symbol), (c, d, _) in zip(spoken.phones, song.phones, strict=True):
        if symbol in VOWELS and b - a > 0.06:
            assert d - c >= 1.0 * (b - a)
            x, y = (
                rows[round(50 * middle) - 2 :][:5].mean(axis=0)
                for rows, middle in ((before, a + b), (after, c + d))
            )
            fits.append(np.corrcoef(x, y)[0, 1])
    assert np.mean(fits) > 0.7
    lengths = [sum(b - a for a, b, s in said.phones if s in VOWELS) for said in (spoken, song)]
    assert lengths[1] > 1.2 * lengths[0]
    assert song.phones[-1][1] <= len(song.audio) / SAMPLE_RATE_HZ + 0.02


def test_faster_scales_times(spoken: Utterance) -> None:
    quick = faster(spoken, 1.25)
    assert len(quick.audio) == pytest.approx(len(spoken.audio) / 1.25, abs=2)
    assert quick.phones[5][0] == pytest.approx(spoken.phones[5][0] / 1.25)


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_keep_length_and_time(
    name: str, spoken: Utterance, rng: np.random.Generator
) -> None:
    audio = spoken.audio[: len(spoken.audio) // 640 * 640]
    for _ in range(3):
        heard = CHANNELS[name](audio, rng)
        assert heard.shape == audio.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        # A room's reverberation adds weight after the sound, never before it.
        assert 0 <= lag_frames(heard, audio) <= (3 if name == "room" else 0)


@pytest.mark.parametrize(
    ("codec", "bit_rate"), [("opus", 16000), ("mp3", 32000), ("amr", 12200), ("g722", 64000)]
)
def test_codecs_lose_detail_but_no_time(codec: str, bit_rate: int, spoken: Utterance) -> None:
    heard = through_codec(spoken.audio, codec, bit_rate)
    assert heard.shape == spoken.audio.shape
    if np.array_equal(heard, spoken.audio):
        pytest.skip(f"PyAV here has no {codec} encoder")
    fit = np.corrcoef(heard, spoken.audio)[0, 1]
    # At 8 kHz nothing is left of the sibilants, which are much of this sentence.
    assert (0.4 if codec == "amr" else 0.8) < fit < 0.99999
    assert lag_frames(heard[: len(heard) // 640 * 640], spoken.audio[: len(heard)]) == 0
    if codec == "amr":
        high = [np.std(band_limited(a, 6500.0, 7900.0)) for a in (heard, spoken.audio)]
        assert high[0] < 0.2 * high[1]


@given(delay=st.integers(0, 3000), seed=st.integers(0, 99))
def test_alignment_finds_any_delay(delay: int, seed: int) -> None:
    sound = np.random.default_rng(seed).normal(0.0, 0.1, 4000).astype(np.float32)
    late = np.concatenate([np.zeros(delay, np.float32), sound])
    np.testing.assert_array_equal(aligned(late, sound), sound)


@pytest.mark.parametrize("kind", [*RESTING, *UNKNOWN])
def test_other_sounds(kind: str, rng: np.random.Generator) -> None:
    for seconds in (5.0, 6.4):
        made = other_sound(rng, kind, seconds)
        assert len(made.audio) == int(seconds * SAMPLE_RATE_HZ)
        assert made.audio.dtype == np.float32
        assert np.isfinite(made.audio).all()
        assert float(np.abs(made.audio).max()) < 4.0
        assert made.phones == [(0.0, len(made.audio) / SAMPLE_RATE_HZ, "SIL")]
