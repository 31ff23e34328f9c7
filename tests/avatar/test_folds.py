"""The wrinkle map: where it is dark, that it is smooth, that it scales with the face."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.avatar.folds import draw_detail
from vasa_cam.face_model import load_face_model


def _points(px_per_cm: float, centre: tuple[float, float]) -> np.ndarray:
    vertices = load_face_model().vertices
    return (vertices[:, :2] * px_per_cm + np.asarray(centre, np.float32)).astype(np.float32)


def _patch(detail: np.ndarray, x_cm: float, y_cm: float, scale: float = 18.0) -> np.ndarray:
    x, y = round(200 + x_cm * scale), round(220 + y_cm * scale)
    return detail[y - 6 : y + 7, x - 6 : x + 7].astype(int)


@pytest.fixture(scope="module")
def detail() -> np.ndarray:
    return draw_detail(_points(18.0, (200.0, 220.0)), (400, 460))


def test_map_is_signed_bytes_of_the_canvas(detail: np.ndarray) -> None:
    assert detail.dtype == np.int8 and detail.shape == (460, 400)
    assert -127 <= detail.min() < -80
    assert 30 < detail.max() <= 127


@pytest.mark.parametrize("side", [-1, 1])
def test_creases_lie_on_the_face_s_landmarks(detail: np.ndarray, side: int) -> None:
    assert _patch(detail, side * 2.75, 2.05).min() < -60, "nasolabial fold"
    assert _patch(detail, side * 5.5, -2.65).min() < -25, "crow's feet"
    assert _patch(detail, side * 3.4, -1.25).min() < -30, "under the eye"
    assert _patch(detail, side * 0.72, -4.6).min() < -40, "glabella"


def test_fold_has_its_highlight_on_the_cheek_side(detail: np.ndarray) -> None:
    row = detail[round(220 + 2.0 * 18)].astype(int)
    left_half = row[200:]
    darkest = 200 + int(left_half.argmin())
    assert row[darkest : darkest + 25].max() > 25
    assert row[darkest - 25 : darkest].max() < 5


def test_lips_eyes_and_nose_tip_stay_clean(detail: np.ndarray) -> None:
    for x_cm, y_cm in ((0, 4.2), (1.2, 4.2), (3.1, -2.6), (-3.1, -2.6), (0, -1.0), (0, 0.8)):
        assert np.abs(_patch(detail, x_cm, y_cm)).max() < 12


def test_map_is_smooth_and_the_same_every_time(detail: np.ndarray) -> None:
    wide = detail.astype(int)
    # A core is at least 1.5 px wide: neighbours differ by less than its full depth.
    assert max(np.abs(np.diff(wide, axis=k)).max() for k in (0, 1)) < 75
    assert np.array_equal(detail, draw_detail(_points(18.0, (200.0, 220.0)), (400, 460)))


def test_map_scales_with_the_face(detail: np.ndarray) -> None:
    double = draw_detail(_points(36.0, (400.0, 440.0)), (800, 920))
    reduced = double.reshape(460, 2, 400, 2).astype(np.float64).mean((1, 3))
    shared_ink = np.corrcoef(reduced.ravel(), detail.astype(np.float64).ravel())[0, 1]
    assert shared_ink > 0.98


def test_face_beyond_the_canvas_is_cut_off() -> None:
    outside = draw_detail(_points(18.0, (-500.0, -500.0)), (64, 48))
    assert outside.shape == (48, 64) and not outside.any()
    partly = draw_detail(_points(18.0, (0.0, 0.0)), (64, 48))
    assert partly.shape == (48, 64) and partly.any()


def test_wrong_points_are_refused() -> None:
    with pytest.raises(ValueError, match="points_px"):
        draw_detail(np.zeros((478, 2), np.float32), (10, 10))
