"""Landmarks from a file: accepted in every documented form, refused with one sentence otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasa_cam.avatar.landmark_file import read_landmarks
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model

SIZE = (640, 480)


def face(turn: float = 0.0) -> np.ndarray:
    """[468, 3] the canonical face, 12 px a cm, turned to the side by `turn` rad, mid-photo."""
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    vertices = load_face_model().vertices.astype(np.float64)
    return (vertices - vertices.mean(0)) @ rotation.T * 12 + np.array([320, 240, 0])


def written(tmp_path: Path, values: Any) -> Path:
    path = tmp_path / "points.json"
    path.write_text(json.dumps(values))
    return path


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_landmarks(path, SIZE)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_full_points_are_kept(tmp_path: Path) -> None:
    points = np.vstack([face(), face()[:10]])
    for values in (points.tolist(), {"points": points.tolist()}, {"landmarks": points.tolist()}):
        got = read_landmarks(written(tmp_path, values), SIZE)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, points, atol=1e-3)


def test_irises_are_estimated(tmp_path: Path) -> None:
    points = face()
    got = read_landmarks(written(tmp_path, points.tolist()), SIZE)
    np.testing.assert_allclose(got[:468], points, atol=1e-3)
    for start, (inner, outer) in ((468, (33, 133)), (473, (362, 263))):
        width = np.hypot(*(points[outer] - points[inner])[:2])
        centre, rim = got[start, :2], got[start + 1 : start + 5, :2]
        middle = (points[inner] + points[outer])[:2] / 2
        assert np.hypot(*(centre - middle)) < 0.15 * width
        radii = np.hypot(*(rim - centre).T)
        np.testing.assert_allclose(radii, 0.2 * width, rtol=1e-3)
        # MediaPipe's order: to the right, above, to the left, below.
        assert np.sign(np.round((rim - centre) / width, 2)).tolist() == [
            [1, 0],
            [0, -1],
            [-1, 0],
            [0, 1],
        ]


@pytest.mark.parametrize("turn", [0.0, 0.4, -0.3])
def test_missing_depth_is_that_of_the_turned_canonical_face(tmp_path: Path, turn: float) -> None:
    points = face(turn)
    got = read_landmarks(written(tmp_path, points[:, :2].tolist()), SIZE)
    expected = points[:, 2] - points[:, 2].mean()
    assert np.abs(got[:468, 2] - got[:468, 2].mean() - expected).max() < 0.5


def test_wrong_points_are_refused(tmp_path: Path) -> None:
    points = face()
    assert_refused(written(tmp_path, points[:400].tolist()), "400")
    assert_refused(written(tmp_path, {"faces": []}), "list of points")
    assert_refused(written(tmp_path, [[1, 2]] * 467 + [[1, 2, 3]]), "pairs")
    assert_refused(written(tmp_path, [[1, "2"]] * 468), "'2'")
    assert_refused(written(tmp_path, [[1, None]] * 468))
    assert_refused(written(tmp_path, [[1, True]] * 468))
    assert_refused(written(tmp_path, [[1, float("nan")]] * 468), "nan")
    assert_refused(written(tmp_path, [[1.0, 2.0]] * 468), "coincide")
    assert_refused(written(tmp_path, (points + np.array([2000, 0, 0])).tolist()), "outside")
    mirrored = points * [-1, 1, 1] + [640, 0, 0]
    assert_refused(written(tmp_path, mirrored.tolist()), "upright")
    upside_down = points * [-1, -1, 1] + [640, 480, 0]
    assert_refused(written(tmp_path, upside_down.tolist()), "upright")


def test_files_that_are_no_points(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.json", "No such file")
    assert_refused(tmp_path)
    for content in (b"", b"hello", b"[" * 3000, b"\xff\xfe\x00", b"{}", b"3"):
        (tmp_path / "odd.json").write_bytes(content)
        assert_refused(tmp_path / "odd.json")
    (tmp_path / "huge.json").write_bytes(b" " * 5_000_000)
    assert_refused(tmp_path / "huge.json", "too large")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.none() | st.floats() | st.integers() | st.text(max_size=3) | st.lists(st.integers()),
    row=st.integers(0, 467),
    column=st.integers(0, 1),
)
def test_any_odd_value_is_refused_or_a_number(
    tmp_path: Path, value: Any, row: int, column: int
) -> None:
    points: list[list[Any]] = face()[:, :2].tolist()
    points[row][column] = value
    try:
        got = read_landmarks(written(tmp_path, points), SIZE)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(got).all()
