"""Timed pieces of sound become one track: aligned, unbroken, and silent where nothing came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.output.voice_track import VoiceTrack

RATE = 48_000
ORIGIN = 7_000_000_000
TONE_HZ = 100


def tone(t: np.ndarray) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * TONE_HZ * t)).astype(np.float32)


def phase_ms(track: np.ndarray, at_s: float) -> float:
    """How much later than `tone` the track is at a time, from its phase."""
    first, count = round(at_s * RATE), RATE // 5
    t = np.arange(first, first + count) / RATE
    wave = np.exp(-2j * np.pi * TONE_HZ * t) * np.hanning(count)
    turn = np.angle(np.sum(track[first : first + count] * wave) / np.sum(tone(t) * wave))
    return -turn / (2 * np.pi * TONE_HZ) * 1e3


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("drift", [0.0, 200e-6, -200e-6])
def test_pieces_follow_their_times_without_clicks(
    rng: np.random.Generator, rate_hz: int, drift: float
) -> None:
    """A sound card that is off by 200 ppm and callbacks that come 3 ms early or late."""
    track, made, done, seconds = VoiceTrack(RATE), [], 0, 12
    true_hz, block = rate_hz * (1 + drift), rate_hz // 50
    for first in range(0, seconds * rate_hz, block):
        samples = tone(np.arange(first, first + block) / true_hz)
        heard_s = first / true_hz + rng.normal(0, 0.003)
        track.push(samples, rate_hz, ORIGIN + round(heard_s * 1e9))
        ready = max(done, round((first / true_hz - 0.5) * RATE))
        made.append(track.take(done, ready, ORIGIN))
        done = ready
    out = np.concatenate(made)
    assert track.lost_s < 0.02, "only what came before the start"
    for at_s, within_ms in [(0.5, 8.0), (3.0, 2.0), (6.0, 2.0), (11.0, 2.0)]:
        assert abs(phase_ms(out, at_s)) < within_ms
    steepest = 0.3 * 2 * np.pi * TONE_HZ / RATE
    assert np.abs(np.diff(out[RATE // 10 :])).max() < 1.1 * steepest


def test_a_lost_source_leaves_silence_and_comes_back_in_time() -> None:
    track = VoiceTrack(RATE)
    for first in [*range(0, RATE, 480), *range(2 * RATE, 3 * RATE, 480)]:
        samples = tone(np.arange(first, first + 480) / RATE)
        track.push(samples, RATE, ORIGIN + round(first / RATE * 1e9))
    out = track.take(0, 3 * RATE, ORIGIN)
    assert abs(phase_ms(out, 0.5)) < 1.0 and abs(phase_ms(out, 2.5)) < 1.0
    assert not out[round(1.02 * RATE) : 2 * RATE - 10].any()


def test_late_early_and_too_much_sound_is_counted_not_kept() -> None:
    track, second = VoiceTrack(RATE), np.ones(RATE, np.float32)
    assert len(track.take(0, RATE, ORIGIN)) == RATE
    track.push(second[: RATE // 2], RATE, ORIGIN)
    assert not track.take(RATE, 2 * RATE, ORIGIN).any()
    assert track.lost_s == pytest.approx(0.5, abs=0.01)
    track.push(second, RATE, ORIGIN + 3_600_000_000_000)
    track.push(second, RATE, ORIGIN + 2_000_000_000)
    assert track.take(2 * RATE, 3 * RATE, ORIGIN).mean() == pytest.approx(1.0, abs=0.01)
    for k in range(60):
        track.push(second, RATE, ORIGIN + (10 + k) * 1_000_000_000)
    assert track.lost_s == pytest.approx(41.5, abs=0.1)


def test_after_a_cut_only_what_is_heard_later_remains() -> None:
    track = VoiceTrack(RATE)
    for k in range(300):
        level = np.full(480, 0.1 * (1 + k // 100), np.float32)
        track.push(level, RATE, ORIGIN + k * 10_000_000)
    first = track.take(0, RATE, ORIGIN)
    track.cut()
    rest = track.take(RATE, 2 * RATE, ORIGIN + 1_000_000_000)
    assert first[RATE // 2] == pytest.approx(0.1, abs=1e-3)
    assert np.abs(rest[600:-600] - 0.3).max() < 1e-3


@given(st.lists(st.integers(1, 5_000), max_size=12), st.sampled_from([8_000, 16_000, 48_000]))
def test_every_split_gives_the_same_sound(splits: list[int], rate_hz: int) -> None:
    total = sum(splits)
    samples = tone(np.arange(total) / rate_hz)

    def played(lengths: list[int]) -> np.ndarray:
        track, first = VoiceTrack(RATE), 0
        for length in lengths:
            at_ns = ORIGIN + round(first / rate_hz * 1e9)
            track.push(samples[first : first + length], rate_hz, at_ns)
            first += length
        return track.take(0, round(total / rate_hz * RATE), ORIGIN)

    assert np.abs(played(splits) - played([total] if total else [])).max(initial=0.0) < 2e-3


def test_another_rate_in_between_is_joined() -> None:
    track = VoiceTrack(RATE)
    for second, rate_hz in enumerate([48_000, 16_000, 44_100]):
        t = second + np.arange(rate_hz) / rate_hz
        track.push(tone(t), rate_hz, ORIGIN + second * 1_000_000_000)
    out = track.take(0, 3 * RATE, ORIGIN)
    for second in range(3):
        assert abs(phase_ms(out, second + 0.5)) < 1.0


@pytest.mark.parametrize("change_s", [0.3, 0.0825, -0.0825, -0.3025])
def test_a_delay_that_jumps_is_heard_without_a_click(change_s: float) -> None:
    track = VoiceTrack(RATE)
    for k in range(200):
        samples = tone(np.arange(k * 480, (k + 1) * 480) / RATE)
        delay_s = 0.5 + change_s * (k >= 100)
        track.push(samples, RATE, ORIGIN + round((k / 100 + delay_s) * 1e9))
    out = np.concatenate([track.take(k * 480, (k + 1) * 480, ORIGIN) for k in range(250)])
    # A cut at the crest would be a step of 0.3.
    assert np.abs(np.diff(out)).max() < 0.03
    late = round((1.5 + 0.5 + change_s) * RATE)
    assert np.abs(out[late : late + RATE // 4]).max() > 0.29
