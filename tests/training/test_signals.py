"""The evaluation's signal measures, on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from vasa_cam.training.signals import (
    band_pass,
    ks_critical,
    ks_distance,
    low_pass,
    pearson,
    pooled_correlation,
    pooled_lag,
    runs,
)


def _sine(hz: float, frames: int = 500, late: float = 0.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * (np.arange(frames) - late) / 25.0)


def test_low_pass_keeps_halves_and_removes() -> None:
    for hz, gain in ((1.0, 1.0), (5.0, 0.5), (11.0, 0.002)):
        kept = low_pass(_sine(hz), 5.0)[100:400]
        assert np.abs(kept).max() == pytest.approx(gain, abs=0.03)
    both = np.stack([_sine(1.0), _sine(11.0)], axis=1)
    np.testing.assert_allclose(low_pass(both, 5.0)[:, 0], low_pass(both[:, 0], 5.0), atol=1e-12)


def test_low_pass_is_a_butterworth_there_and_back(rng: np.random.Generator) -> None:
    noise = rng.normal(size=2000)
    wanted = signal.sosfiltfilt(signal.butter(4, 5.0, fs=25.0, output="sos"), noise)
    ours = low_pass(noise, 5.0)
    assert np.corrcoef(ours, wanted)[0, 1] > 0.99
    assert ours.std() / wanted.std() == pytest.approx(1.0, abs=0.05)


def test_band_pass_takes_the_band() -> None:
    mixed = _sine(0.05, 2500) + _sine(1.0, 2500) + _sine(10.0, 2500)
    np.testing.assert_allclose(
        band_pass(mixed, 0.2, 5.0)[300:-300], _sine(1.0, 2500)[300:-300], atol=0.03
    )


def test_pearson_is_numpys_and_zero_for_a_still_side(rng: np.random.Generator) -> None:
    a = rng.normal(size=100)
    b = a + rng.normal(size=100)
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert pearson(a, np.full(100, 3.0)) == 0.0


@given(st.floats(-3.0, 3.0))
@settings(max_examples=30)
def test_a_lag_is_found_to_a_part_of_a_frame(late: float) -> None:
    real = [_sine(1.1, 200) + _sine(2.3, 200), _sine(0.7, 150) + _sine(1.9, 150)]
    ours = [
        3.0 * (_sine(1.1, 200, late) + _sine(2.3, 200, late)) + 5.0,
        _sine(0.7, 150, late) + _sine(1.9, 150, late),
    ]
    assert pooled_lag(ours, real, [(10, 190), (10, 140)]) == pytest.approx(late, abs=0.1)


def test_no_lag_where_nothing_moves() -> None:
    still = [np.zeros(100)]
    assert np.isnan(pooled_lag(still, [_sine(1.0, 100)], [(0, 100)]))


def test_pooled_correlation_looks_at_the_span_and_the_lag_alone() -> None:
    real = _sine(1.0, 100)
    ours = np.roll(real, 2)
    ours[:20] = ours[80:] = 9.0
    assert pooled_correlation([ours], [real], [(25, 75)], 2) == pytest.approx(1.0)
    assert pooled_correlation([ours], [real], [(25, 75)], 0) < 0.95
    assert pooled_correlation([ours], [real], [(0, 100)], 2) < 0.6


def test_ks_is_scipys(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=60), rng.normal(0.5, 1.0, size=45)
    assert ks_distance(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)
    assert np.isnan(ks_distance([], b))
    same = [
        ks_distance(rng.normal(size=60), rng.normal(size=45)) > ks_critical(60, 45)
        for _ in range(400)
    ]
    assert 0.01 < np.mean(same) < 0.09


def test_runs() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, bool)) == []
