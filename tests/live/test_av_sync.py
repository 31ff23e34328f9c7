"""Voice and picture stay together for hours: the drift control, alone and with the delay line."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_support import Voice

from vasa_cam.audio.delay_line import DelayLine
from vasa_cam.errors import InputError
from vasa_cam.live.av_sync import OFFSET_LIMIT_MS, DriftConfig, DriftController

HOUR_S = 3600.0


def simulate(
    drift: np.ndarray, noise_s: np.ndarray, step_s: float, start_s: float = 0.0
) -> tuple[np.ndarray, np.ndarray, DriftController]:
    """The error and the speed, step by step, of a voice whose clocks drift apart by `drift`."""
    controller = DriftController()
    error_s, errors, speeds = start_s, np.zeros(len(drift)), np.zeros(len(drift))
    for k in range(len(drift)):
        speeds[k] = controller.speed(error_s + noise_s[k], step_s)
        error_s += (drift[k] - (speeds[k] - 1.0)) * step_s
        errors[k] = error_s
    return errors, speeds, controller


@pytest.mark.parametrize("drift_ppm", [300.0, -300.0, 0.0])
def test_eight_hours_of_drift_and_jitter(drift_ppm: float, rng: np.random.Generator) -> None:
    step_s = 0.1
    count = round(8 * HOUR_S / step_s)
    # Both clocks warm up and cool down, and wander besides.
    hours = np.arange(count) * step_s / HOUR_S
    wander = np.cumsum(rng.normal(0.0, 5e-8, count)) + 50e-6 * np.sin(2 * np.pi * hours)
    noise_s = rng.exponential(0.002, count)
    errors, speeds, _ = simulate(2e-6 * drift_ppm + wander, noise_s, step_s)
    assert 1000.0 * np.abs(errors).max() < 0.5 * OFFSET_LIMIT_MS
    # A semitone is 60,000 ppm; what is heard as out of tune begins near 3,000.
    assert np.abs(speeds - 1.0).max() < 0.002


@given(
    drift_ppm=st.floats(-600, 600),
    noise_ms=st.floats(0.0, 3.0),
    step_ms=st.integers(2, 100),
    start_ms=st.floats(-15.0, 15.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_it_settles_from_anywhere_and_never_rushes(
    drift_ppm: float, noise_ms: float, step_ms: int, start_ms: float, seed: int
) -> None:
    step_s = step_ms / 1000.0
    count = round(120.0 / step_s)
    noise_s = np.random.default_rng(seed).normal(0.0, noise_ms / 1000.0, count)
    drift = np.full(count, drift_ppm * 1e-6)
    errors, speeds, controller = simulate(drift, noise_s, step_s, start_ms / 1000.0)
    config = DriftConfig()
    assert 1000.0 * np.abs(errors).max() < OFFSET_LIMIT_MS
    assert 1000.0 * np.abs(errors[count // 2 :]).max() < 1.0 + noise_ms
    assert np.abs(speeds - 1.0).max() <= config.limit + 1e-12
    assert np.abs(np.diff(speeds)).max() <= config.slew_per_s * step_s + 1e-12
    assert controller.drift * 1e6 == pytest.approx(drift_ppm, abs=60.0 + 100.0 * noise_ms)


def test_an_error_that_cannot_be_corrected_is_not_learnt_as_drift() -> None:
    controller = DriftController()
    for _ in range(1000):
        controller.speed(0.5, 0.1)
    assert controller.speed(0.5, 0.1) == pytest.approx(1.005)
    assert abs(controller.drift) < 2e-3
    assert controller.speed(0.0, 0.0) == pytest.approx(1.005)


@pytest.mark.parametrize("name", ["settle_s", "integral_s", "smooth_s", "limit", "slew_per_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, nan])
def test_settings_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        DriftConfig(**{name: value})
    with pytest.raises(InputError, match="at most"):
        DriftConfig(limit=inf)


def clicks(times: np.ndarray) -> np.ndarray:
    """A pulse at every full second, wide enough for 8 kHz."""
    away = (times + 0.5) % 1.0 - 0.5
    return np.exp(-((away / 0.001) ** 2))


def run_for_hours(hours: float, mic_ppm: float, out_ppm: float, rng: np.random.Generator) -> None:
    """Every click of `hours` of real resampling is heard within 20 ms of its time."""
    rate_hz, delay_s = 8_000, 0.3
    line = DelayLine(rate_hz, delay_s, DriftController())
    voice = Voice(
        line, clicks, rng, rate_hz=rate_hz, block_s=0.1,
        mic_ppm=mic_ppm, out_ppm=out_ppm, jitter_s=0.004,
    )  # fmt: skip
    heard = 0
    for _ in range(round(hours * 60)):
        voice.run(60.0)
        y, t = voice.heard, voice.heard_s
        peaks = np.flatnonzero((y[1:-1] > 0.5) & (y[1:-1] >= y[:-2]) & (y[1:-1] > y[2:])) + 1
        offsets_ms = 1000.0 * ((t[peaks] - delay_s + 0.5) % 1.0 - 0.5)
        heard += len(peaks)
        assert np.abs(offsets_ms).max() < 0.5 * OFFSET_LIMIT_MS
        voice.forget()
    assert heard == pytest.approx(hours * HOUR_S, abs=2)
    assert line.resyncs == 1 and line.output.underruns == 0


def test_twenty_minutes_of_sound(rng: np.random.Generator) -> None:
    run_for_hours(1 / 3, 300.0, -300.0, rng)


@pytest.mark.soak
@pytest.mark.parametrize("ppm", [(300.0, -300.0), (-300.0, 300.0), (0.0, 0.0)])
def test_four_hours_of_sound(ppm: tuple[float, float], rng: np.random.Generator) -> None:
    run_for_hours(4.0, *ppm, rng)
