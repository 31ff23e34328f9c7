"""Motion between its frames: exact on the frames, true, bounded in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.live.timeline import KEPT_FRAMES, MotionTimeline
from vasa_cam.motion.space import COEFFICIENTS, MOTION_SIZE

STEP_NS = 40_000_000
START_NS = 10**12


def filled(frames: np.ndarray, splits: list[int] | None = None) -> MotionTimeline:
    timeline = MotionTimeline()
    start = 0
    for end in [*(splits or []), len(frames)]:
        times = START_NS + STEP_NS * np.arange(start, end, dtype=np.int64)
        timeline.append(times, frames[start:end], int(START_NS + STEP_NS * end))
        start = end
    return timeline


def at(timeline: MotionTimeline, frame: float) -> np.ndarray:
    out = np.full(MOTION_SIZE, np.nan, np.float32)
    assert timeline.sample(START_NS + round(frame * STEP_NS), out) is not None
    return out


def walk(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(np.cumsum(rng.normal(0, 0.1, (count, MOTION_SIZE)), 0), 0, 1).astype(np.float32)


def test_without_motion_there_is_none() -> None:
    out = np.full(MOTION_SIZE, 7.0, np.float32)
    assert MotionTimeline().sample(START_NS, out) is None
    assert (out == 7.0).all()
    assert MotionTimeline().newest_ns is None


@given(
    seed=st.integers(0, 99),
    splits=st.lists(st.integers(1, 399), max_size=8, unique=True).map(sorted),
)
def test_any_split_gives_the_same_last_five_seconds(seed: int, splits: list[int]) -> None:
    frames = walk(400, seed)
    timeline = filled(frames, splits)
    assert len(timeline) == KEPT_FRAMES
    for index in (399, 398, 400 - KEPT_FRAMES + 1, 300):
        np.testing.assert_allclose(at(timeline, index), frames[index], atol=1e-6)
    whole = filled(frames)
    np.testing.assert_array_equal(at(timeline, 350.37), at(whole, 350.37))


@given(seed=st.integers(0, 99), place=st.floats(1.0, 38.9))
def test_a_value_strays_little_beyond_its_neighbours(seed: int, place: float) -> None:
    frames = walk(40, seed)
    got = at(filled(frames), place)
    low, high = frames[int(place)], frames[min(39, int(place) + 1)]
    # A parabola overshoots a stop by an eighth of the movement before it.
    room = np.abs(np.diff(frames, axis=0)).max() / 8 + 1e-6
    assert (got >= np.minimum(low, high) - 2 * room).all()
    assert (got <= np.maximum(low, high) + 2 * room).all()
    assert (got[:COEFFICIENTS] >= 0).all() and (got[:COEFFICIENTS] <= 1).all()


@given(st.lists(st.integers(5, 200), min_size=3, max_size=20), st.floats(0, 1))
def test_a_parabola_is_followed_exactly_at_uneven_times(gaps_ms: list[int], part: float) -> None:
    times = np.cumsum(gaps_ms).astype(np.int64) * 1_000_000

    def curve(moment_ns: float) -> float:
        x = moment_ns / times[-1]
        return 0.2 + 0.9 * x - 0.6 * x * x

    frames = np.tile(np.array([[curve(t)] for t in times], np.float32), (1, MOTION_SIZE))
    timeline = MotionTimeline()
    timeline.append(times, frames, 0)
    out = np.zeros(MOTION_SIZE, np.float32)
    moment = round(times[1] + part * (times[-1] - times[1]))
    timeline.sample(moment, out)
    np.testing.assert_allclose(out, curve(moment), atol=1e-5)


def test_steady_movement_is_followed_exactly() -> None:
    frames = np.tile(np.arange(20, dtype=np.float32)[:, None] * 0.02, (1, MOTION_SIZE))
    timeline = filled(frames)
    for place in (3.1, 7.5, 18.9):
        np.testing.assert_allclose(at(timeline, place), 0.02 * place, rtol=1e-5)


@pytest.mark.parametrize("swings_hz", [0.5, 2.0, 4.0])
def test_it_is_nearer_to_a_swing_than_straight_lines(swings_hz: float) -> None:
    def swing(frame: np.ndarray) -> np.ndarray:
        return 0.5 + 0.4 * np.sin(2 * np.pi * swings_hz * frame / 25)

    frames = np.tile(swing(np.arange(100.0))[:, None], (1, MOTION_SIZE)).astype(np.float32)
    timeline = filled(frames)
    places = np.arange(2.0, 98.0, 0.125)
    ours = np.array([at(timeline, place)[0] for place in places]) - swing(places)
    straight = np.interp(places, np.arange(100), frames[:, 0]) - swing(places)
    assert np.std(ours) < 0.8 * np.std(straight)


def test_late_motion_is_held_and_told() -> None:
    frames = walk(10, 1)
    timeline = filled(frames)
    out = np.zeros(MOTION_SIZE, np.float32)
    sample = timeline.sample(START_NS + 12 * STEP_NS, out)
    assert sample is not None
    assert sample.held_ns == 3 * STEP_NS
    assert sample.capture_ns == START_NS + 9 * STEP_NS == timeline.newest_ns
    np.testing.assert_array_equal(out, frames[9])


def test_a_source_whose_clock_went_back_replaces_what_was_ahead() -> None:
    timeline = filled(np.zeros((10, MOTION_SIZE), np.float32))
    ones = np.ones((3, MOTION_SIZE), np.float32)
    times = START_NS + STEP_NS * np.arange(5, 8, dtype=np.int64)
    timeline.append(times, ones, START_NS)
    assert timeline.newest_ns == times[-1]
    assert at(timeline, 6)[0] == 1.0 and at(timeline, 4)[0] == 0.0
    assert len(timeline) == 8
