"""Eye patches: complete, natural, and the photo again at rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_face import IRIS, IRIS_CENTRE, IRIS_RADIUS, SKIN, WHITE, DrawnEye, drawn_eye
from PIL import Image

from vasa_cam.avatar.detect import detect_faces
from vasa_cam.avatar.eye_fit import fit_eye_landmarks
from vasa_cam.avatar.eyes import IRIS_END, IRIS_SOLID, EyePatch, build_eye, lid_shadow
from vasa_cam.avatar.iris import find_iris
from vasa_cam.landmarks import RIGHT_LOWER_LID, RIGHT_UPPER_LID
from vasa_cam.ops import EyeParams

LUMA = np.array([0.299, 0.587, 0.114])


def build(eye: DrawnEye, seed: int = 0) -> EyePatch:
    return build_eye(eye.canvas, eye.upper, eye.lower, eye.iris, eye.brow, 25.0, 7.0, seed)


@pytest.fixture(scope="module")
def eye() -> DrawnEye:
    return drawn_eye()


@pytest.fixture(scope="module")
def patch(eye: DrawnEye) -> EyePatch:
    return build(eye)


def geometry(patch: EyePatch, eye: DrawnEye) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per patch pixel: distance to the iris centre in radii, px below the upper and above the
    lower lid, from the drawing."""
    x0, y0 = patch.params[:2]
    height, width = patch.sclera.shape[:2]
    y, x = np.mgrid[0:height, 0:width] + np.array([y0, x0])[:, None, None]
    radius = np.hypot(x - IRIS_CENTRE[0], y - IRIS_CENTRE[1]) / IRIS_RADIUS
    below = y - np.interp(x, eye.upper[:, 0], eye.upper[:, 1])
    above = np.interp(x, eye.lower[:, 0], eye.lower[:, 1]) - y
    outside = (x < eye.upper[0, 0] + 2) | (x > eye.upper[-1, 0] - 2)
    return radius, np.where(outside, -9.0, below), np.where(outside, -9.0, above)


@pytest.mark.parametrize("claimed", [13.2, 15.0, 16.2])
def test_iris_is_found_again_from_wrong_landmarks(claimed: float) -> None:
    eye = drawn_eye(claimed)
    outline = np.concatenate([eye.upper, eye.lower[::-1]])
    moved = eye.iris + np.array([1.2, -0.8], np.float32)
    centre, radius = find_iris(eye.canvas, outline, moved)
    assert radius == pytest.approx(IRIS_RADIUS, rel=0.06)
    assert np.abs(centre - IRIS_CENTRE).max() < 1.3


def test_params_are_in_canvas_pixels(patch: EyePatch) -> None:
    assert patch.params.dtype == np.float32
    assert patch.params[2:4] == pytest.approx(IRIS_CENTRE, abs=1.3)
    assert patch.params[5] == pytest.approx(1.2 * 25.0)
    assert patch.params[6] == 7.0
    height, width = patch.sclera.shape[:2]
    x, y = patch.params[2:4] - patch.params[:2]
    reach = IRIS_END * patch.params[4]
    assert reach < x < width - 1 - reach
    assert reach < y < height - 1 - reach


def test_sclera_has_nothing_of_the_iris(patch: EyePatch, eye: DrawnEye) -> None:
    radius, _, _ = geometry(patch, eye)
    luma = patch.sclera @ LUMA
    white, iris = WHITE @ LUMA, IRIS @ LUMA
    darkest = luma[radius < 1.3].min()
    assert darkest > 0.5 * white
    assert darkest > iris + 30


def test_sclera_is_shaded_not_flat_but_smooth(patch: EyePatch, eye: DrawnEye) -> None:
    radius, below, above = geometry(patch, eye)
    filled = (radius < 1.0) & (below > 9) & (above > 1)
    luma = patch.sclera @ LUMA
    assert 0.8 < luma[filled].std() < 12.0
    steps = np.abs(np.diff(luma, axis=1))[filled[:, 1:] & filled[:, :-1]]
    assert steps.max() < 12.0


def test_iris_is_a_complete_disc(patch: EyePatch, eye: DrawnEye) -> None:
    radius, below, _ = geometry(patch, eye)
    alpha = patch.iris[..., 3]
    assert (alpha[radius < IRIS_SOLID - 0.12] == 255).all()
    assert (alpha[radius > IRIS_END + 0.12] == 0).all()
    hidden = (radius < 0.8) & (below < -1.0)
    assert hidden.sum() > 20
    shadow = lid_shadow(np.zeros(1, np.float32), IRIS_RADIUS)[0]
    error = np.abs(patch.iris[hidden][:, :3] - np.array(IRIS) * shadow)
    assert error.mean() < 8.0
    assert error.max() < 30.0


def test_at_rest_the_photo_reappears(patch: EyePatch, eye: DrawnEye) -> None:
    _, below, above = geometry(patch, eye)
    x0, y0 = patch.params[:2].astype(int)
    height, width = patch.sclera.shape[:2]
    photo = eye.canvas[y0 : y0 + height, x0 : x0 + width].astype(float)
    alpha = patch.iris[..., 3:] / 255.0
    shown = patch.sclera * (1 - alpha) + patch.iris[..., :3] * alpha
    seen = (below > 0.2 * IRIS_RADIUS) & (above > 0.13 * IRIS_RADIUS)
    assert np.abs(shown - photo)[seen].max() <= 1.5


def test_shadow_is_the_compositor_s(patch: EyePatch) -> None:
    """The patches carry the shadow that the compositor divides by."""
    rest = np.zeros(134, np.float32)
    params = EyeParams((1, 0, 0, 0, 1, 0), rest, (0, 0), IRIS_RADIUS, 30.0)
    edge, reach = params.shadow_strength, params.shadow_reach
    light = lid_shadow(np.array([-3.0, 0.0, reach * IRIS_RADIUS, 99.0]), IRIS_RADIUS)
    assert light == pytest.approx([1 - edge, 1 - edge, 1.0, 1.0])


def test_lid_is_skin_that_is_not_flat(patch: EyePatch) -> None:
    assert patch.lid.shape == (32, 64, 3)
    colour = patch.lid.reshape(-1, 3).mean(0)
    assert colour == pytest.approx(SKIN, rel=0.15)
    rows = (patch.lid @ LUMA).mean(1)
    assert 4.0 < np.ptp(rows) < 45.0
    assert np.abs(np.diff(rows)).max() < 6.0


def test_deterministic_and_seeded(eye: DrawnEye, patch: EyePatch) -> None:
    again, other = build(eye), build(eye, seed=1)
    for name in ("sclera", "iris", "params", "lid"):
        assert np.array_equal(getattr(patch, name), getattr(again, name))
    assert not np.array_equal(patch.sclera, other.sclera)


def test_a_grey_photo_has_grey_eyes(eye: DrawnEye) -> None:
    grey = np.repeat((eye.canvas @ LUMA).astype(np.uint8)[..., None], 3, axis=2)
    patch = build(replace(eye, canvas=grey))
    for picture in (patch.sclera, patch.iris[..., :3], patch.lid):
        assert np.ptp(picture.astype(int), axis=-1).max() <= 1


def test_wrong_input_is_refused(eye: DrawnEye) -> None:
    with pytest.raises(ValueError, match="canvas_rgb"):
        build(replace(eye, canvas=eye.canvas[..., 0]))
    with pytest.raises(ValueError, match="iris_px"):
        build(replace(eye, iris=np.full((5, 2), np.nan, np.float32)))


def test_small_eyes_near_the_border_work() -> None:
    """A tiny face cut off by the frame: no crash, patches of the right kind."""
    eye = drawn_eye()
    shift = np.array([110.0, 110.0], np.float32)
    canvas = eye.canvas[110:, 110:]
    chains = (eye.upper - shift, eye.lower - shift, eye.iris - shift, eye.brow - shift)
    patch = build_eye(np.ascontiguousarray(canvas[::5, ::5]), *(c / 5 for c in chains), 5.0)
    assert patch.sclera.shape[:2] == patch.iris.shape[:2]


def test_only_the_cartoon_s_eyes_are_moved(shared: Path) -> None:
    folder = shared / "data" / "portraits"
    moved = {}
    for name in ("cartoon/cartoon_boy", "generated/female-black-0", "generated/male-white-1"):
        rgb = np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB"))
        tracked = detect_faces(rgb, shared / "models")[0].landmarks_px
        fitted, moved[name] = fit_eye_landmarks(rgb, tracked)
        assert moved[name] or np.array_equal(fitted, tracked)
        if moved[name]:
            lids = [*RIGHT_UPPER_LID, *RIGHT_LOWER_LID]
            grown = np.ptp(fitted[lids, :2], axis=0) / np.ptp(tracked[lids, :2], axis=0)
            assert (grown > 1.02).all()
            assert (grown < 1.35).all()
    assert list(moved.values()) == [True, False, False]
