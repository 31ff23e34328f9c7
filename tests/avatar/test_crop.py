"""The crop: view and canvas around a face, and the mapping between photo and canvas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.avatar.crop import OVERSCAN, Framing, frame_head, resample


@given(
    width=st.integers(120, 9000),
    height=st.integers(120, 9000),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    share=st.floats(0.05, 0.9),
)
def test_any_face_gets_a_sound_framing(
    width: int, height: int, x: float, y: float, share: float
) -> None:
    face_height = max(100.0, share * min(width, height))
    face_width = 0.85 * face_height
    box = (x * (width - face_width), y * (height - face_height), face_width, face_height)
    framing = frame_head((width, height), box)
    left, top, side, side_again = framing.view
    assert side == side_again
    assert 512 <= side <= 1024
    right, bottom = framing.canvas[0] - left - side, framing.canvas[1] - top - side
    assert min(left, top, right, bottom) >= OVERSCAN * side
    assert framing.canvas[0] <= 16 / 9 * side + 1
    assert framing.canvas[0] * framing.canvas[1] <= 2_500_000
    x0, y0, x1, y1 = framing.inside
    assert 0 <= x0 < x1 <= framing.canvas[0]
    assert 0 <= y0 < y1 <= framing.canvas[1]
    corners = np.array([[box[0], box[1], 0], [box[0] + face_width, box[1] + face_height, 0]])
    low, high = framing.to_canvas(corners.astype(np.float32))[:, :2]
    assert (low >= np.array([left, top]) - 1).all()
    assert (high <= np.array([left, top]) + side + 1).all()


def test_a_roomy_photo_gets_the_intended_proportions() -> None:
    framing = frame_head((4000, 3000), (1800.0, 1000.0, 340.0, 400.0))
    assert framing.view[2] / framing.scale == pytest.approx(400 / 0.45, abs=1)
    assert framing.scale == 1.0  # 889 px lie between 512 and 1024
    assert framing.canvas[0] / framing.view[2] == pytest.approx(16 / 9, abs=0.01)
    assert framing.inside == (0, 0, *framing.canvas)


def test_a_tight_photo_is_shown_whole() -> None:
    framing = frame_head((512, 512), (120.0, 140.0, 260.0, 315.0))
    assert (framing.view[2], framing.scale) == (512, 1.0)
    assert framing.inside == (72, 72, 584, 584)


def _waves(width: int, height: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    red = 128 + 90 * np.sin(x / 9) * np.cos(y / 11)
    return np.clip(np.dstack([red, 255 - red, red * 0.5 + 40]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((900, 700), (300.0, 180.0, 240.0, 280.0)),
        ((700, 900), (300.0, 380.0, 90.0, 110.0)),
        ((3000, 2000), (1000.0, 500.0, 700.0, 800.0)),
        ((512, 512), (120.0, 140.0, 260.0, 315.0)),
    ],
)
def test_pixels_land_where_the_mapping_says(
    size: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    photo = _waves(*size)
    framing = frame_head(size, box)
    part = resample(photo, framing)
    x0, y0, x1, y1 = framing.inside
    assert part.shape == (y1 - y0, x1 - x0, 3)
    at = np.random.default_rng(0).uniform(0.1, 0.9, (200, 2)) * [part.shape[1], part.shape[0]]
    canvas = np.floor(at)
    photo_xy = (canvas + [x0, y0] + 0.5) / framing.scale + framing.origin - 0.5
    again = framing.to_canvas(np.column_stack([photo_xy, np.zeros(200)]).astype(np.float32))
    np.testing.assert_allclose(again[:, :2], canvas + np.array([x0, y0]), atol=0.02)
    expected = 128 + 90 * np.sin(photo_xy[:, 0] / 9) * np.cos(photo_xy[:, 1] / 11)
    got = part[canvas[:, 1].astype(int), canvas[:, 0].astype(int), 0]
    assert np.abs(got - expected).max() < 3.5


def test_the_photos_own_pixels_at_scale_one() -> None:
    photo = _waves(900, 800)
    framing = frame_head((900, 800), (350.0, 300.0, 230.0, 270.0))
    assert framing.scale == 1.0
    left, top = (round(value) for value in framing.origin)
    x0, y0, x1, y1 = framing.inside
    np.testing.assert_array_equal(
        resample(photo, framing), photo[top + y0 : top + y1, left + x0 : left + x1]
    )


def test_depth_is_scaled_like_the_rest() -> None:
    framing = Framing((10.0, 20.0), 2.0, (100, 100), (10, 10, 80, 80), (0, 0, 100, 100))
    moved = framing.to_canvas(np.array([[10, 20, 5]], np.float32))
    np.testing.assert_allclose(moved, [[0.5, 0.5, 10]])
