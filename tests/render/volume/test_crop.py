"""The crop of a face and its way back, against goldens and against what geometry says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from volume_goldens import GATE, Goldens, relative_l2

from vasa_cam.errors import InputError
from vasa_cam.render.volume import crop

LAYOUTS = (5, 68, 101, 106, 203)


@pytest.mark.parametrize("count", LAYOUTS)
def test_crops_are_golden(goldens: Goldens, count: int) -> None:
    golden = goldens.golden(f"crop_{count}")
    points = golden["pts"]
    assert relative_l2(crop.eyes_and_mouth(points), golden["pt2"]) <= GATE
    configs = {
        "src": crop.SOURCE,
        "norot": crop.CropConfig(rotate=False),
        "lmk": crop.CropConfig(side_px=224, scale=1.5, down=-0.1),
    }
    for name, config in configs.items():
        found = crop.find_crop(points, config)
        assert relative_l2(found.matrix, golden[f"{name}_M_o2c"]) <= GATE, name
        assert relative_l2(found.inverse, golden[f"{name}_M_c2o"]) <= GATE, name
        assert relative_l2(found.points(points), golden[f"{name}_pt_crop"]) <= GATE, name
    box = crop.face_box(points, crop.DRIVING.scale, crop.DRIVING.down)
    assert relative_l2(box.centre, golden["center"]) <= GATE
    assert box.side == pytest.approx(float(golden["size"][0]), rel=GATE)
    assert box.angle == pytest.approx(float(golden["angle"]), abs=1e-5)
    square = crop.common_crop([points])
    corners = square.points(golden["bbox"])
    np.testing.assert_allclose(corners, [[0, 0], [512, 0], [512, 512], [0, 512]], atol=2e-2)


def test_openings_are_golden(goldens: Goldens) -> None:
    golden = goldens.golden("crop_203")
    found = crop.openings(golden["pts"])
    assert relative_l2(found[:2], golden["eye_ratio"][0]) <= GATE
    assert relative_l2(found[2:], golden["lip_ratio"][0]) <= GATE


def golden_photo(goldens: Goldens) -> Any:
    """640 x 480, ten times enlarged from random pixels as OpenCV does it."""
    cv2 = pytest.importorskip("cv2", exc_type=ImportError)
    small = np.floor(255 * goldens.rule.u32("input/crop_img", (48, 64, 3))).astype(np.uint8)
    return cv2.resize(small, (640, 480), interpolation=cv2.INTER_LINEAR)


def test_the_cut_out_picture_is_golden(goldens: Goldens) -> None:
    golden = goldens.golden("crop_106")
    photo = golden_photo(goldens)
    found = crop.cut_out(photo, crop.find_crop(golden["pts"]))[::4, ::4]
    difference = np.abs(found.astype(int) - golden["src_img_crop_every4"].astype(int))
    # OpenCV's own coordinates are rounded: one level on the steepest edges.
    assert difference.max() <= 1 and (difference > 0).mean() < 0.05


def test_the_mask_is_golden(goldens: Goldens) -> None:
    golden, mask = goldens.golden("crop_106"), crop.border_mask(512)
    np.testing.assert_array_equal(mask[256], golden["mask_row256"])
    np.testing.assert_array_equal(mask[8], golden["mask_row8"])
    np.testing.assert_array_equal(mask, mask.T)


@pytest.mark.neural
def test_pasting_back_is_golden(goldens: Goldens) -> None:
    torch = pytest.importorskip("torch")
    from vasa_cam.render.volume.paste import Paster

    golden, photo = goldens.golden("crop_106"), golden_photo(goldens)
    square = crop.find_crop(golden["pts"])
    frame = 255 - crop.cut_out(photo, square)  # the golden pastes the crop's negative
    paster = Paster(photo, square, torch.device("cpu"))
    both = paster.paste(torch.from_numpy(np.stack([frame, frame]))).numpy()
    np.testing.assert_array_equal(both[0], both[1])
    difference = np.abs(both[0, ::4, ::4].astype(int) - golden["paste_result_every4"].astype(int))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.1
    share = crop.warp(crop.border_mask(512)[..., None], square.matrix, (640, 480))[::4, ::4, 0]
    np.testing.assert_allclose(share / 255.0, golden["paste_mask_every4"], atol=1.01 / 255)
    outside = golden["paste_mask_every4"] == 0
    np.testing.assert_array_equal(both[0, ::4, ::4][outside], photo[::4, ::4][outside])


def face_of_478(rng: np.random.Generator) -> np.ndarray:
    """Points in a circle of 100 px around (300, 200): eyes above, mouth below, brows between."""
    angle, radius = rng.uniform(0, 2 * np.pi, 478), 100 * np.sqrt(rng.uniform(0, 1, 478))
    points = np.stack([300 + radius * np.cos(angle), 200 + radius * np.sin(angle)], axis=1)
    points[468], points[473], points[14] = (260, 170), (340, 170), (300, 250)
    brows = [*crop.LEFT_BROW, *crop.RIGHT_BROW]
    points[brows, 1] = rng.uniform(150, 160, len(brows))
    points[brows[0]] = (300, 150)
    points[[0, 1, 2, 10]] = (200, 200), (400, 200), (300, 300), (300, 100)
    return points


def test_the_forehead_of_a_mesh_does_not_count(rng: np.random.Generator) -> None:
    points = face_of_478(rng)
    box = crop.face_box(points, 1.0, 0.0)
    np.testing.assert_allclose(box.centre, [300, 225], atol=1e-6)
    assert box.side == pytest.approx(200.0) and box.angle == 0.0
    with_depth = np.concatenate([points, rng.standard_normal((478, 1))], axis=1)
    assert crop.face_box(with_depth, 1.0, 0.0).side == box.side


@pytest.mark.parametrize("degrees", [-150.0, -40.0, 0.0, 25.0, 90.0])
def test_a_turned_photo_gives_the_same_crop(rng: np.random.Generator, degrees: float) -> None:
    points = face_of_478(rng)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = points @ turn + [31.0, -17.0]
    straight, other = crop.find_crop(points), crop.find_crop(turned)
    np.testing.assert_allclose(other.points(turned), straight.points(points), atol=1e-2)


def test_warping_by_whole_pixels_moves_bytes(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (7, 9, 3), np.uint8)
    shift = np.array([[1.0, 0, 2], [0, 1, -1], [0, 0, 1]])
    found = crop.warp(picture, shift, (9, 7))
    np.testing.assert_array_equal(found[1:, :7], picture[:6, 2:])
    assert not found[0].any() and not found[:, 7:].any()
    far = np.array([[1.0, 0, 1e6], [0, 1, -1e6], [0, 0, 1]])
    assert not crop.warp(picture, far, (4, 4)).any()


def test_network_input_is_the_mean_of_each_square() -> None:
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[:2, :2, 1] = [[255, 0], [0, 102]]
    values = crop.network_input(picture, 256)
    assert values.shape == (3, 256, 256) and values.dtype == np.float32
    assert values[1, 0, 0] == pytest.approx(0.35) and np.count_nonzero(values) == 1
    with pytest.raises(ValueError, match="256"):
        crop.network_input(picture[:300, :300], 256)


@pytest.mark.parametrize("points", [np.zeros((7, 2)), np.zeros((5, 4)), np.full((5, 2), np.nan)])
def test_unknown_layouts_are_refused(points: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected 5, 68, 101, 106, 203, 478 finite"):
        crop.find_crop(points)


def test_a_face_without_size_is_refused() -> None:
    with pytest.raises(InputError, match="same point"):
        crop.find_crop(np.ones((5, 2)))
    with pytest.raises(InputError, match="203 or 478"):
        crop.openings(np.zeros((5, 2)))
    with pytest.raises(InputError, match="no frame"):
        crop.common_crop([])
