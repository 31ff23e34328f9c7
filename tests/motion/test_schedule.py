"""Noise schedule and solver: on a Gaussian, where the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.motion.schedule import SolverTable, alpha_sigma, ddim_table, time_features


def _solve(table: SolverTable, noise: np.ndarray, mean: float, spread: float) -> np.ndarray:
    """DDIM with the exact prediction of x_0 for data that is normal(mean, spread)."""
    x, clean = noise.astype(np.float64), noise
    for time, (keep, step) in zip(table.times, table.coefficients, strict=True):
        alpha, sigma = alpha_sigma(np.float64(time))
        gain = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)
        clean = mean + gain * (x - alpha * mean)
        x = keep * x + step * clean
    return clean


def test_signal_and_noise_keep_the_variance() -> None:
    alpha, sigma = alpha_sigma(np.linspace(0.0, 1.0, 11))
    np.testing.assert_allclose(alpha**2 + sigma**2, 1.0)
    assert (alpha[0], sigma[0]) == (1.0, 0.0)


def test_many_steps_map_noise_to_the_data() -> None:
    noise = np.random.default_rng(0).standard_normal(4000)
    drawn = _solve(ddim_table(400), noise, 1.5, 0.4)
    np.testing.assert_allclose(drawn, 1.5 + 0.4 * noise, atol=0.01)


def test_more_steps_come_closer() -> None:
    noise = np.linspace(-2.0, 2.0, 41)
    errors = [
        np.abs(_solve(ddim_table(n), noise, 0.3, 0.5) - 0.3 - 0.5 * noise).max()
        for n in (2, 4, 8, 16, 32)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_no_noise_gives_the_mean(steps: int) -> None:
    """What mouth_noise = 0 relies on: the deterministic solver started at zero ends at the mean."""
    np.testing.assert_allclose(_solve(ddim_table(steps), np.zeros(3), 0.7, 0.5), 0.7, atol=1e-6)


def test_one_step_is_the_prediction_itself() -> None:
    table = ddim_table(1)
    assert table.steps == 1
    np.testing.assert_allclose(table.times, [1.0])


@pytest.mark.parametrize("steps", [0, -3, 1001])
def test_impossible_step_counts_are_told(steps: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        ddim_table(steps)


def test_time_features_tell_times_apart() -> None:
    rows = time_features(np.linspace(0.0, 1.0, 51, dtype=np.float32), 64)
    assert rows.shape == (51, 64)
    distance = np.linalg.norm(rows[:, None] - rows[None], axis=-1) + 9.0 * np.eye(51)
    assert distance.min() > 0.05
