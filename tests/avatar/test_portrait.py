"""Whole portraits: rest shows the photo, layers are sound, options and bad input are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vasa_cam.avatar import matte, portrait
from vasa_cam.avatar.detect import detect_faces
from vasa_cam.avatar.image import load_image
from vasa_cam.avatar.portrait import Portrait, PortraitOptions, read_portrait
from vasa_cam.errors import InputError


def rest_frame(read: Portrait) -> np.ndarray:
    a = read.alpha[..., None]
    person = read.foreground_rgb.astype(float)
    if read.glasses_rgba.size:
        g = read.glasses_rgba[..., 3:] / 255.0
        person = read.glasses_rgba[..., :3] * g + person * (1 - g)
    return np.round(person * a + read.plate_rgb * (1 - a))


def check(read: Portrait) -> None:
    height, width = read.canvas_rgb.shape[:2]
    for layer in (read.canvas_rgb, read.foreground_rgb, read.plate_rgb):
        assert layer.shape == (height, width, 3)
        assert layer.dtype == np.uint8
    for mask in (read.alpha, read.hair):
        assert mask.shape == (height, width)
        assert mask.dtype == np.float32
        assert 0 <= mask.min() <= mask.max() <= 1
    assert (read.hair <= read.alpha + 1e-6).all()
    assert read.landmarks_px.shape == (478, 3)
    x, y, side, _ = read.view
    shown = np.abs(rest_frame(read) - read.canvas_rgb)[y : y + side, x : x + side]
    assert shown.mean() < 0.3, "neutral motion must show the photo"


@pytest.mark.parametrize(
    "name",
    [
        "generated/female-white-1",
        "generated/female-black-2",
        "paintings/mona_lisa",
    ],
)
def test_rest_reproduces_the_photo(shared: Path, name: str) -> None:
    path = shared / "data/portraits" / f"{name}.jpg"
    read = read_portrait(path, PortraitOptions(models_dir=shared / "models"))
    check(read)
    points = np.round(read.landmarks_px[:468, :2]).astype(int)
    assert (read.alpha[points[:, 1], points[:, 0]] > 0.9).mean() > 0.97
    assert read.alpha[2, 2] < 0.1
    nose = read.landmarks_px[1, :2].round().astype(int)
    assert read.hair[nose[1], nose[0]] < 0.05
    forehead = read.landmarks_px[10]
    above = int(forehead[1] - 0.12 * np.ptp(read.landmarks_px[:468, 1]))
    if name.startswith("generated"):
        assert read.hair[above, int(forehead[0])] > 0.7


def test_thick_glasses_of_a_real_photo(shared: Path) -> None:
    cbook = pytest.importorskip("matplotlib.cbook")
    with cbook.get_sample_data("grace_hopper.jpg") as stream:
        path = Path(stream.name)
    read = read_portrait(path, PortraitOptions(models_dir=shared / "models"))
    check(read)
    assert read.glasses_rgba.shape == (*read.alpha.shape, 4)
    face = np.ptp(read.landmarks_px[:468, 0]) * np.ptp(read.landmarks_px[:468, 1])
    share = (read.glasses_rgba[..., 3] > 127).sum() / face
    assert 0.04 < share < 0.2


def test_own_transparency_is_the_matte(shared: Path, tmp_path: Path) -> None:
    photo = Image.open(shared / "data/portraits/generated/male-asian-1.jpg").convert("RGBA")
    points = detect_faces(np.asarray(photo)[..., :3], shared / "models")[0].landmarks_px
    x, y = points[:468, :2].mean(0)
    rows, columns = np.mgrid[:512, :512]
    alpha = (np.hypot((columns - x) / 190, (rows - y) / 240) < 1).astype(np.uint8) * 255
    photo.putalpha(Image.fromarray(alpha))
    photo.save(tmp_path / "cut.png")
    read = read_portrait(tmp_path / "cut.png", PortraitOptions(models_dir=shared / "models"))
    check(read)
    assert any("transparency" in note for note in read.notes)
    np.testing.assert_array_equal(read.alpha[72:584, 72:584] > 0.5, alpha > 127)
    assert len(np.unique(read.plate_rgb)) == 1


def test_landmarks_from_a_file_replace_detection(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared / "data/portraits/generated/male-asian-1.jpg"
    points = detect_faces(load_image(path).rgb, shared / "models")[0].landmarks_px
    (tmp_path / "points.json").write_text(json.dumps(points.tolist()))

    def never(*_: object) -> None:
        raise AssertionError("detection must not run")

    monkeypatch.setattr(portrait, "detect_faces", never)
    options = PortraitOptions(landmarks=tmp_path / "points.json", models_dir=shared / "models")
    read = read_portrait(path, options)
    np.testing.assert_allclose(read.landmarks_px[:, :2], points[:, :2] + 72, atol=0.01)
    assert "points.json" in read.notes[0]
    with pytest.raises(InputError, match="not both"):
        read_portrait(
            path, PortraitOptions(1, tmp_path / "points.json", models_dir=shared / "models")
        )


def test_a_blind_segmenter_is_replaced_by_colour(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sees_nothing(rgb: np.ndarray, *_: object) -> np.ndarray:
        return np.zeros(rgb.shape[:2], np.float32)

    path = shared / "data/portraits/generated/male-black-1.jpg"
    rgb = load_image(path).rgb
    points = detect_faces(rgb, shared / "models")[0].landmarks_px
    expected, notes = matte.find_matte(rgb, points, shared / "models")
    assert notes == []
    monkeypatch.setattr(matte, "segment_person", sees_nothing)
    alpha, notes = matte.find_matte(rgb, points, shared / "models")
    assert "by colour" in notes[0]
    head = slice(0, int(points[152, 1]))
    overlap = np.minimum(alpha, expected)[head].sum() / np.maximum(alpha, expected)[head].sum()
    assert overlap > 0.9


def test_no_face_and_a_small_face(shared: Path, tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), (120, 90, 60)).save(tmp_path / "plain.png")
    options = PortraitOptions(models_dir=shared / "models")
    with pytest.raises(InputError, match="No face was found"):
        read_portrait(tmp_path / "plain.png", options)
    photo = Image.open(shared / "data/portraits/generated/male-asian-1.jpg")
    photo.resize((140, 140)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match="at least 100 px"):
        read_portrait(tmp_path / "small.png", options)
