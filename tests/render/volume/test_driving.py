"""A motion in LivePortrait's space moves a source's keypoints."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import EYE_KEYPOINTS, LIP_KEYPOINTS, LatentMotion
from vasa_cam.motion.space import MOTION_SIZE, Motion
from vasa_cam.render.volume import keypoints
from vasa_cam.render.volume.driving import (
    DrivingConfig,
    SourcePose,
    check_motion,
    driven_keypoints,
)

PLAIN = DrivingConfig(expression_friendly=False)


def some_source(rng: np.random.Generator) -> SourcePose:
    kp, exp = rng.standard_normal((2, 21, 3)).astype(np.float32)
    t = rng.standard_normal(3).astype(np.float32)
    return SourcePose(kp, 0.1 * exp, np.float32(1.3), t, keypoints.rotation(4.0, -9.0, 2.0))


def some_motion(rng: np.random.Generator, count: int = 4) -> LatentMotion:
    rows = (0.1 * rng.standard_normal((count, 70))).astype(np.float32)
    rows[:, 63] = rng.uniform(0.8, 1.2, count)
    rows[:, 67:] *= 100
    return LatentMotion.from_rows(rows, 25.0)


def own_motion(source: SourcePose, count: int = 3) -> LatentMotion:
    """The source's own pose, for ever."""
    angles = np.tile(np.array([4.0, -9.0, 2.0], np.float32)[:, None], (1, count))
    exp, t = np.tile(source.exp, (count, 1, 1)), np.tile(source.t, (count, 1))
    return LatentMotion(exp, np.tile(source.scale, count), t, *angles, fps=25.0)


def drive(source: SourcePose, motion: LatentMotion, config: DrivingConfig) -> np.ndarray:
    found = driven_keypoints(source, motion, config, motion)
    assert found.shape == (len(motion), 21, 3) and found.dtype == np.float32
    return found


@pytest.mark.parametrize("friendly", [False, True])
@pytest.mark.parametrize("region", ["all", "expression", "pose", "lips", "eyes"])
def test_relative_driving_starts_at_the_source(
    rng: np.random.Generator, friendly: bool, region: str
) -> None:
    source = some_source(rng)
    config = DrivingConfig(expression_friendly=friendly, region=region)
    moved = drive(source, some_motion(rng), config)
    np.testing.assert_allclose(moved[0], source.keypoints, atol=1e-5)
    assert np.abs(moved[1] - moved[0]).max() > 0.01


def test_absolute_driving_by_the_own_motion_is_the_source(rng: np.random.Generator) -> None:
    source = some_source(rng)
    moved = drive(source, own_motion(source), DrivingConfig(mode="absolute"))
    np.testing.assert_allclose(moved, np.tile(source.keypoints, (3, 1, 1)), atol=1e-5)


def test_relative_driving_follows_the_formula(rng: np.random.Generator) -> None:
    """One frame, written out by hand."""
    source, motion = some_source(rng), some_motion(rng)
    moved = drive(source, motion, PLAIN)
    first, then = (
        keypoints.rotation(motion.pitch[i], motion.yaw[i], motion.roll[i]) for i in (0, 2)
    )
    exp = source.exp + motion.exp[2] - motion.exp[0]
    scale = source.scale * motion.scale[2] / motion.scale[0]
    t = source.t + motion.translation[2] - motion.translation[0]
    wanted = scale * (source.kp @ (then @ first.T @ source.R) + exp) + t * [1, 1, 0]
    np.testing.assert_allclose(moved[2], wanted, atol=1e-5)


def test_expression_friendly_driving_scales_the_movement(rng: np.random.Generator) -> None:
    source = some_source(rng)
    motion = some_motion(rng)
    plain = drive(source, motion, PLAIN)
    scaled = drive(source, motion, DrivingConfig())
    factor = keypoints.expression_factor(source.keypoints, plain[0])
    np.testing.assert_allclose(scaled - scaled[0], (plain - plain[0]) * factor, atol=1e-5)


def test_lips_may_be_absolute_in_relative_driving(rng: np.random.Generator) -> None:
    source, motion = some_source(rng), some_motion(rng)
    config = DrivingConfig(region="expression", absolute_lips=True)
    offsets = drive(source, motion, config) / source.scale
    straight = source.kp @ source.R + source.t * [1, 1, 0] / source.scale
    lips = list(LIP_KEYPOINTS)
    np.testing.assert_allclose((offsets - straight)[:, lips], motion.exp[:, lips], atol=1e-5)
    others = [index for index in range(21) if index not in lips]
    np.testing.assert_allclose(offsets[0, others], source.keypoints[others] / 1.3, atol=1e-5)


@pytest.mark.parametrize(("region", "moving"), [("lips", LIP_KEYPOINTS), ("eyes", EYE_KEYPOINTS)])
@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_region_moves_alone(
    rng: np.random.Generator, region: str, moving: tuple[int, ...], mode: str
) -> None:
    source, motion = some_source(rng), some_motion(rng)
    moved = drive(source, motion, DrivingConfig(mode=mode, region=region))
    still = [index for index in range(21) if index not in moving]
    np.testing.assert_allclose(moved[3, still], source.keypoints[still], atol=1e-5)
    assert np.abs(moved[3] - source.keypoints)[list(moving)].max(axis=1).min() > 1e-3


def test_absolute_driving_keeps_the_shape_of_the_face(rng: np.random.Generator) -> None:
    """Keypoints 0, 7 and 10 keep the source's expression, 3 and 4 all but y, and so on."""
    source = some_source(rng)
    motion = some_motion(rng)
    moved = drive(source, motion, DrivingConfig(mode="absolute", region="expression"))
    offsets = (moved - source.t * [1, 1, 0]) / source.scale - source.kp @ source.R
    taken = np.abs(offsets[1] - motion.exp[1]) < 1e-5
    kept = np.abs(offsets[1] - source.exp) < 1e-5
    assert kept[[0, 7, 10]].all() and taken[[1, 2, 6, *range(11, 21)]].all()
    np.testing.assert_array_equal(taken[[3, 4, 5, 8, 9]], np.array(
        [[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 1, 1]], bool))  # fmt: skip
    np.testing.assert_array_equal(kept[[3, 4, 5, 8, 9]], ~taken[[3, 4, 5, 8, 9]])


def test_motion_of_another_space_is_refused() -> None:
    with pytest.raises(InputError, match="liveportrait-21 and this motion is arkit-58"):
        check_motion(Motion(np.zeros((1, MOTION_SIZE), np.float32)))
    empty = LatentMotion.from_rows(np.zeros((0, 70), np.float32), 25.0)
    with pytest.raises(InputError, match="no frames"):
        check_motion(empty)


@pytest.mark.parametrize("wrong", [{"mode": "both"}, {"region": "nose"}, {"multiplier": np.nan}])
def test_a_wrong_configuration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DrivingConfig(**wrong)  # type: ignore[arg-type]
