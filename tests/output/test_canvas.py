"""Frames of any size, with and without alpha, become RGB of one size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.output.canvas import GREY, Canvas

sides = st.integers(1, 70)


def test_a_fitting_frame_passes_untouched() -> None:
    frame = np.zeros((24, 32, 3), np.uint8)
    frame.setflags(write=False)
    drawn = Canvas(32, 24).draw(frame)
    assert np.shares_memory(drawn, frame)


def test_alpha_is_laid_over_the_background(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (24, 32, 4), np.uint8)
    frame.setflags(write=False)
    behind = rng.integers(0, 256, (24, 32, 3), np.uint8)
    canvas = Canvas(32, 24)
    for background, shown in [(behind, behind), (None, np.full_like(behind, GREY))]:
        canvas.set_background(background)
        alpha = frame[..., 3:] / 255.0
        want = alpha * frame[..., :3] + (1 - alpha) * shown
        assert np.abs(canvas.draw(frame) - want).max() <= 1.0


def test_a_background_is_copied_and_must_fit(rng: np.random.Generator) -> None:
    canvas, clear = Canvas(32, 24), np.zeros((24, 32, 4), np.uint8)
    behind = rng.integers(0, 256, (24, 32, 3), np.uint8)
    first = behind.copy()
    canvas.set_background(behind)
    behind[:] = 0
    assert np.array_equal(canvas.draw(clear), first)
    canvas.set_background(np.zeros((5, 5, 3), np.uint8))
    assert (canvas.draw(clear) == GREY).all()


def test_an_odd_size_loses_one_line_and_stays_sharp(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (25, 33, 3), np.uint8)
    assert np.array_equal(Canvas(32, 24).draw(frame), frame[:24, :32])


@pytest.mark.parametrize("channels", [3, 4])
def test_another_size_is_scaled_with_bars(channels: int) -> None:
    frame = np.full((40, 40, channels), 200, np.uint8)
    if channels == 4:
        frame[..., 3] = 255
    drawn = Canvas(64, 20).draw(frame)
    assert (drawn[:, 22:42] == 200).all()
    assert (drawn[:, :22] == GREY).all() and (drawn[:, 42:] == GREY).all()


@given(sides, sides, sides, sides, st.sampled_from([3, 4]))
def test_every_size_fits(width: int, height: int, to_x: int, to_y: int, channels: int) -> None:
    frame = np.full((height, width, channels), 255, np.uint8)
    drawn = Canvas(to_x, to_y).draw(frame)
    assert drawn.shape == (to_y, to_x, 3)
    assert drawn.dtype == np.uint8 and drawn.flags.c_contiguous
    assert set(np.unique(drawn)) <= {GREY, 255} and 255 in drawn
