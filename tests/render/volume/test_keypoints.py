"""Keypoint arithmetic: against goldens, and against what geometry says."""

from __future__ import annotations

import numpy as np
import pytest
from volume_goldens import GATE, Goldens, relative_l2

from vasa_cam.render.volume import keypoints


def test_pose_and_transform_agree_with_the_golden(goldens: Goldens) -> None:
    pose = goldens.golden("pose_math")
    angles = pose["pitch_yaw_roll_deg"].T
    assert relative_l2(keypoints.degrees(pose["bins"]), pose["bins_deg"]) <= GATE
    assert relative_l2(keypoints.rotation(*angles), pose["R"]) <= GATE
    moved = keypoints.transform(
        pose["kp"], keypoints.rotation(*angles), pose["exp"], pose["scale"][:, 0], pose["t"]
    )
    assert moved.dtype == np.float32
    assert relative_l2(moved, pose["kp_transformed"]) <= GATE


def test_stitching_is_applied_as_the_golden_says(goldens: Goldens) -> None:
    apply = goldens.golden("S_apply")
    moved = keypoints.stitched(apply["kp_driving"], apply["delta"])
    assert relative_l2(moved, apply["kp_driving_new"]) <= GATE


def test_angles_of_one_value_pass_through() -> None:
    np.testing.assert_array_equal(keypoints.degrees([[12.5], [-3.0]]), [12.5, -3.0])


@pytest.mark.parametrize("best", [0, 32, 65])
def test_a_certain_bin_is_its_angle(best: int) -> None:
    bins = np.full(66, -100.0, np.float32)
    bins[best] = 100.0
    assert keypoints.degrees(bins) == pytest.approx(3.0 * best - 97.5, abs=1e-4)


def test_rotations_are_orthonormal_and_turn_where_they_should() -> None:
    R = keypoints.rotation([20.0, -7.0], [-35.0, 80.0], [5.0, 170.0])
    np.testing.assert_allclose(R @ np.swapaxes(R, -1, -2), np.tile(np.eye(3), (2, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(R), 1.0, atol=1e-6)
    right = np.array([1.0, 0.0, 0.0], np.float32)
    # Roll turns a point on the right (x) downwards (y), pitch turns down into the picture.
    np.testing.assert_allclose(right @ keypoints.rotation(0, 0, 90), [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(
        right[[1, 0, 2]] @ keypoints.rotation(90, 0, 0), [0, 0, 1], atol=1e-6
    )


def test_depth_of_the_translation_is_ignored(rng: np.random.Generator) -> None:
    kp, exp = rng.standard_normal((2, 21, 3)).astype(np.float32)
    R = keypoints.rotation(3.0, 4.0, 5.0)
    near, far = np.array([[0.1, 0.2, 0.0], [0.1, 0.2, 9.0]], np.float32)
    scale = np.float32(1.5)
    moved = [keypoints.transform(kp, R, exp, scale, t) for t in (near, far)]
    np.testing.assert_array_equal(*moved)


def test_hull_of_a_box_and_a_ball_of_points(rng: np.random.Generator) -> None:
    box = np.array([[x, y, z] for x in (0, 2) for y in (0, 3) for z in (0, 5)], np.float32)
    inside = rng.uniform([0.5, 0.5, 0.5], [1.5, 2.5, 4.5], (13, 3))
    assert keypoints.hull_volume(np.concatenate([box, inside])) == pytest.approx(30.0, rel=1e-6)
    assert keypoints.hull_volume(rng.standard_normal((3, 3))) == 0.0
    assert keypoints.hull_volume(np.pad(rng.standard_normal((21, 2)), ((0, 0), (0, 1)))) == 0.0
    assert keypoints.hull_volume(np.ones((21, 3))) == 0.0


def test_hull_agrees_with_scipy(rng: np.random.Generator) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    for _ in range(5):
        points = rng.standard_normal((21, 3)).astype(np.float32)
        wanted = spatial.ConvexHull(points).volume
        assert keypoints.hull_volume(points) == pytest.approx(wanted, rel=1e-6)


def test_a_face_twice_as_large_moves_by_the_root_of_eight(rng: np.random.Generator) -> None:
    points = rng.standard_normal((21, 3)).astype(np.float32)
    assert keypoints.expression_factor(2 * points, points) == pytest.approx(8**0.5, rel=1e-5)
    assert keypoints.expression_factor(points, np.zeros_like(points)) == 1.0
