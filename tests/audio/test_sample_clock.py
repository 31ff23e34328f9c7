"""Capture times from callbacks that are late in every way a callback can be late."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.audio.sample_clock import SampleClock, StampRing

RATE_HZ = 48_000
BLOCK = 480
ORIGIN_NS = 10**15


def lateness(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """How late each callback is, in seconds."""
    late = rng.exponential(0.001, count)
    if kind == "bursts":
        # A sound server that works in steps of 40 ms and then calls four times in a row.
        late += 0.01 * (3 - np.arange(count) % 4)
    if kind == "starved":
        # Ten seconds in which half of the callbacks wait for the processor.
        late[3000:4000] += rng.choice([0.0, 0.04], 1000)
    return late


@pytest.mark.parametrize("drift_ppm", [-300, 0, 300])
@pytest.mark.parametrize("kind", ["jitter", "bursts", "starved"])
def test_times_follow_the_device_and_not_the_callback(
    kind: str, drift_ppm: int, rng: np.random.Generator
) -> None:
    count = 20_000
    rate_hz = RATE_HZ / (1.0 + drift_ppm * 1e-6)
    late = lateness(kind, count, rng)
    clock = SampleClock(RATE_HZ)
    errors = np.zeros(count)
    for k in range(count):
        true_s = (k + 1) * BLOCK / rate_hz
        clock.add((k + 1) * BLOCK, ORIGIN_NS + round((true_s + late[k]) * 1e9))
        errors[k] = (clock.time_ns((k + 1) * BLOCK) - ORIGIN_NS) * 1e-6 - true_s * 1e3
    settled = errors[1000:]
    assert np.abs(settled).max() < 0.5  # ms
    # From one block to the next the time may not jump, or the picture's motion would.
    assert np.abs(np.diff(settled)).max() < 0.25
    assert clock.drift * 1e6 == pytest.approx(drift_ppm, abs=15)
    assert clock.steps == 0


def test_lost_samples_are_a_step_and_not_a_drift() -> None:
    clock = SampleClock(RATE_HZ)
    for k in range(1, 4001):
        # From block 2000 on everything is 80 ms later: eight blocks never came.
        lost_ns = 80_000_000 if k > 2000 else 0
        clock.add(k * BLOCK, ORIGIN_NS + k * 10_000_000 + lost_ns)
        error_ms = (clock.time_ns(k * BLOCK) - ORIGIN_NS - k * 10_000_000 - lost_ns) / 1e6
        assert abs(error_ms) < 0.1 or 2000 < k <= 2110
    assert clock.steps == 1
    assert abs(clock.drift) < 1e-6


def test_with_patience_a_step_is_seen_within_a_few_notes() -> None:
    clock = SampleClock(RATE_HZ, patience=4)
    for k in range(1, 401):
        lost_ns = 30_000_000 if k > 200 else 0
        late_ns = 40_000_000 if k % 50 == 0 else 0  # now and then one that is wrong
        clock.add(k * BLOCK, ORIGIN_NS + k * 10_000_000 + lost_ns + late_ns)
        error_ms = (clock.time_ns(k * BLOCK) - ORIGIN_NS - k * 10_000_000 - lost_ns) / 1e6
        assert abs(error_ms) < 0.1 or 200 < k <= 204
    assert clock.steps == 1


def test_an_earlier_sample_is_believed_at_once() -> None:
    clock = SampleClock(RATE_HZ)
    clock.add(BLOCK, ORIGIN_NS + 50_000_000)
    clock.add(2 * BLOCK, ORIGIN_NS + 20_000_000)
    assert clock.time_ns(2 * BLOCK) == ORIGIN_NS + 20_000_000
    assert clock.time_ns(3 * BLOCK) == ORIGIN_NS + 30_000_000


def test_notes_are_taken_in_order_and_the_oldest_are_lost() -> None:
    stamps = StampRing()
    assert stamps.take() == []
    stamps.note(480, 1000)
    stamps.note(960, 1007)
    assert stamps.take() == [(480, 1000), (960, 1007)]
    assert stamps.take() == []
    for k in range(500):
        stamps.note(k, 10**18 + k)
    taken = stamps.take()
    assert taken == [(k, 10**18 + k) for k in range(500 - len(taken), 500)]
    assert len(taken) >= 100
