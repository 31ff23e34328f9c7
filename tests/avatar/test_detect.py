"""Faces: found at any size from 100 px, in order, and chosen with a word about the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vasa_cam.avatar import mediapipe_tasks
from vasa_cam.avatar.detect import Face, choose_face, detect_faces
from vasa_cam.avatar.image import load_image
from vasa_cam.errors import InputError, MissingDependencyError


def portrait(shared: Path, name: str) -> np.ndarray:
    return load_image(shared / "data/portraits/generated" / f"{name}.jpg").rgb


def scaled(rgb: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).resize((size, size), Image.Resampling.LANCZOS))


def face_of(height: float, x: float = 0.0) -> Face:
    points = np.zeros((478, 3), np.float32)
    points[1, 1] = height
    points[2, 0] = height * 0.8
    points[:, 0] += x
    return Face(points)


def test_two_faces_are_sorted_by_size(shared: Path) -> None:
    picture = np.full((700, 1100, 3), 200, np.uint8)
    picture[50:306, 40:296] = scaled(portrait(shared, "female-asian-1"), 256)
    picture[100:612, 500:1012] = portrait(shared, "male-black-0")
    faces = detect_faces(picture, shared / "models")
    assert len(faces) == 2
    assert faces[0].height > faces[1].height
    assert faces[0].box[0] > 500 > faces[1].box[0] + faces[1].box[2]


def test_scale_and_place_do_not_change_the_points(shared: Path) -> None:
    """The same face, three quarters as large and moved: points agree within 1 % of its height."""
    photo = portrait(shared, "male-white-0")
    points = detect_faces(photo, shared / "models")[0].landmarks_px
    picture = np.full((900, 1300, 3), 90, np.uint8)
    picture[300:684, 700:1084] = scaled(photo, 384)
    moved = detect_faces(picture, shared / "models")[0].landmarks_px
    expected = (points[:, :2] + 0.5) * 0.75 - 0.5 + np.array([700, 300])
    error = np.hypot(*(moved[:, :2] - expected).T)
    assert error.mean() < 0.01 * Face(moved).height


def test_a_small_face_in_a_large_photo_is_found(shared: Path) -> None:
    picture = np.full((2400, 3200, 3), 120, np.uint8)
    picture[1500:1680, 2500:2680] = scaled(portrait(shared, "female-white-4"), 180)
    faces = detect_faces(picture, shared / "models")
    assert len(faces) == 1
    assert 100 <= faces[0].height < 130
    assert choose_face(faces)[1] == []


def test_no_face_in_noise(shared: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 600, 3), dtype=np.uint8)
    faces = detect_faces(noise, shared / "models")
    with pytest.raises(InputError, match="No face was found"):
        choose_face(faces)


def test_choice_of_a_face() -> None:
    faces = [face_of(300), face_of(200, 500), face_of(80, 900)]
    face, notes = choose_face(faces)
    assert face is faces[0]
    assert "3 faces" in notes[0]
    assert "the largest was taken, 240 x 300 px" in notes[0]
    face, notes = choose_face(faces, 2)
    assert face is faces[1]
    assert "face 2 was taken" in notes[0]
    assert choose_face(faces[:1]) == (faces[0], [])
    with pytest.raises(InputError, match="80 px high, at least 100 px"):
        choose_face(faces, 3)
    for number in (0, 4, -1):
        with pytest.raises(InputError, match=f"no face {number}: 3 faces were found"):
            choose_face(faces, number)


def test_exactly_a_hundred_pixels_are_enough() -> None:
    assert choose_face([face_of(100)])[0].height == 100
    with pytest.raises(InputError, match="99 px high"):
        choose_face([face_of(99)])


def test_missing_system_library_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    message = str(mediapipe_tasks._explained(error))
    for word in ("libGL.so.1", "libgl1", "libegl1", "libgles2"):
        assert word in message
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(MissingDependencyError):
        mediapipe_tasks.load_cv2()


def test_native_noise_on_stderr_is_silenced(
    shared: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    detect_faces(portrait(shared, "male-asian-0"), shared / "models")
    assert capfd.readouterr() == ("", "")
