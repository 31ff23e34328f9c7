"""LivePortrait's motion space: checks, rows, interpolation, and pairing with a renderer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import EYE_KEYPOINTS, LATENT_SIZE, LIP_KEYPOINTS, LatentMotion
from vasa_cam.motion.space import FACE_SPACE, LIVEPORTRAIT_SPACE, Motion, check_space


def _rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, LATENT_SIZE)).astype(np.float32)
    rows[:, 63] = 1.0 + 0.3 * np.tanh(rows[:, 63])
    return rows


def test_rows_are_expression_scale_translation_and_angles() -> None:
    rows = _rows(3)
    motion = LatentMotion.from_rows(rows, 25.0)
    np.testing.assert_array_equal(motion.exp[1, 2], rows[1, 6:9])
    np.testing.assert_array_equal(motion.scale, rows[:, 63])
    np.testing.assert_array_equal(motion.translation, rows[:, 64:67])
    np.testing.assert_array_equal(
        np.stack([motion.pitch, motion.yaw, motion.roll], axis=1), rows[:, 67:]
    )
    np.testing.assert_array_equal(motion.rows(), rows)
    assert len(motion) == 3 and motion.duration_s == pytest.approx(0.12)


def test_cut_and_joined_undo_each_other() -> None:
    motion = LatentMotion.from_rows(_rows(7), 25.0)
    joined = LatentMotion.joined([motion.cut(0, 3), motion.cut(3, 3), motion.cut(3, 7)])
    np.testing.assert_array_equal(joined.rows(), motion.rows())
    with pytest.raises(ValueError, match="one fps"):
        LatentMotion.joined([motion, motion.resampled(30.0)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exp": np.zeros((4, 20, 3), np.float32)}, "exp must be float32"),
        ({"exp": np.zeros((4, 21, 3))}, "exp must be float32 .*got float64"),
        ({"scale": np.ones((4, 1), np.float32)}, "scale must be float32"),
        ({"scale": np.zeros(4, np.float32)}, "scale must be above 0"),
        ({"translation": np.zeros((3, 3), np.float32)}, "translation must be float32"),
        ({"yaw": np.full(4, np.nan, np.float32)}, "yaw holds values that are not finite"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"fps": np.nan}, "fps must be above 0"),
    ],
)
def test_what_is_no_motion_is_refused(change: dict[str, object], message: str) -> None:
    motion = LatentMotion.from_rows(_rows(4), 25.0)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(motion, **change)


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="rows must be"):
        LatentMotion.from_rows(np.zeros((2, 73), np.float32), 25.0)


@given(st.integers(1, 9), st.sampled_from([10.0, 24.0, 30.0, 59.94, 120.0]))
def test_a_resampled_motion_stays_in_place(count: int, fps: float) -> None:
    """Frames that fall on one of the first rate are that frame; the scale never overshoots."""
    motion = LatentMotion.from_rows(_rows(count, seed=count), 30.0)
    other = motion.resampled(fps)
    assert other.fps == fps and len(other) == max(1, round(count / 30.0 * fps))
    at = np.arange(len(other)) * (30.0 / fps)
    whole = np.isclose(at, np.rint(at)) & (at <= count - 1)
    np.testing.assert_allclose(
        other.rows()[whole], motion.rows()[np.rint(at[whole]).astype(int)], atol=1e-5
    )
    assert other.scale.min() >= motion.scale.min() and other.scale.max() <= motion.scale.max()


def test_a_straight_motion_stays_straight() -> None:
    rows = np.arange(20, dtype=np.float32)[:, None] * np.ones(LATENT_SIZE, np.float32) + 1.0
    other = LatentMotion.from_rows(rows, 25.0).resampled(75.0)
    inside = np.arange(3, 54)  # the first and last step have no neighbour on one side
    np.testing.assert_allclose(other.rows()[inside, 0], 1.0 + inside / 3.0, rtol=1e-5)


def test_no_frames_stay_no_frames() -> None:
    assert len(LatentMotion.from_rows(_rows(0), 25.0).resampled(30.0)) == 0
    with pytest.raises(ValueError, match="fps must be above 0"):
        LatentMotion.from_rows(_rows(2), 25.0).resampled(-1.0)


def test_lips_and_eyes_share_no_keypoint() -> None:
    assert not set(LIP_KEYPOINTS) & set(EYE_KEYPOINTS)


def test_a_renderer_of_another_space_is_refused_in_one_sentence() -> None:
    assert (Motion.space, LatentMotion.space) == (FACE_SPACE, LIVEPORTRAIT_SPACE)
    check_space(Motion.space, "layered", FACE_SPACE)
    with pytest.raises(InputError) as caught:
        check_space(LatentMotion.space, "layered", FACE_SPACE)
    sentence = str(caught.value)
    assert LIVEPORTRAIT_SPACE in sentence and FACE_SPACE in sentence and "layered" in sentence
    assert sentence.count(".") == 1 and sentence.endswith(".")
