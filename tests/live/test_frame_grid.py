"""Deadlines: evenly spaced for ever, none served twice, jumps of the clock are no debts."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_support import SECOND

from vasa_cam.live.frame_grid import FrameGrid, next_step

FPS = st.sampled_from([Fraction(25), Fraction(30), Fraction(40), Fraction(50), Fraction(60)])


@given(fps=FPS, origin=st.integers(0, 10**18), after=st.integers(-(10**12), 10**16))
def test_the_first_deadline_from_a_moment(fps: Fraction, origin: int, after: int) -> None:
    grid = FrameGrid(fps, origin)
    index = grid.index_from(origin + after)
    assert grid.time_ns(index) >= origin + after > grid.time_ns(index - 1)


@given(fps=FPS)
def test_no_error_adds_up_in_a_day(fps: Fraction) -> None:
    grid = FrameGrid(fps, 12345)
    assert grid.time_ns(int(fps) * 86_400) == 12345 + 86_400 * SECOND


@given(fps=FPS, waits_ms=st.lists(st.integers(0, 900), max_size=40))
def test_every_deadline_is_served_or_counted(fps: Fraction, waits_ms: list[int]) -> None:
    grid = FrameGrid(fps, 0)
    now, index, missed = 0, -1, 0
    for wait in waits_ms:
        step = next_step(grid, index, now)
        assert step.index > index and not step.jumped
        assert grid.time_ns(step.index) >= now
        missed += step.missed
        index = step.index
        now = max(now, grid.time_ns(index)) + wait * 1_000_000
    assert missed + len(waits_ms) == index + 1


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_jump_of_the_clock_is_no_debt(seconds: int) -> None:
    grid = FrameGrid(Fraction(40), 0)
    now = 100 * SECOND
    step = next_step(grid, grid.index_from(now), now + seconds * SECOND)
    assert step.jumped and step.missed == 0
    assert 0 <= grid.time_ns(step.index) - (now + seconds * SECOND) < grid.period_ns
