"""The generator's channels: nothing is lost, looks are signed and free of the head's turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.motion.channels import (
    CHANNELS,
    LOOK_CHANNELS,
    MOUTH,
    OTHERS,
    from_channels,
    to_channels,
)
from vasa_cam.motion.gaze import set_gaze
from vasa_cam.motion.space import COEFFICIENTS, ROTATION, TRANSLATION, neutral


def _frames(seed: int, count: int = 5) -> np.ndarray:
    """Motion as a face can have it: of a look and its opposite, one at a time."""
    rng = np.random.default_rng(seed)
    frames = neutral(count)
    frames[:, :COEFFICIENTS] = rng.uniform(0.0, 1.0, (count, COEFFICIENTS))
    frames[:, ROTATION] = rng.normal(0.0, 0.1, (count, 3))
    frames[:, TRANSLATION] = rng.normal(0.0, 0.2, (count, 3))
    set_gaze(frames, rng.uniform(-15.0, 15.0, (count, 2)).astype(np.float32))
    return frames


@given(st.integers(0, 10_000))
def test_there_and_back_changes_nothing(seed: int) -> None:
    frames = _frames(seed)
    np.testing.assert_allclose(from_channels(to_channels(frames)), frames, atol=1e-5)


def test_looks_say_where_in_the_picture_whatever_the_head_does() -> None:
    frames = neutral(3)
    frames[1, ROTATION] = np.deg2rad([4.0, -9.0, 3.0])
    frames[2, ROTATION] = np.deg2rad([-6.0, 12.0, 0.0])
    set_gaze(frames, np.tile(np.float32([7.0, -3.5]), (3, 1)))
    looks = to_channels(frames)[:, LOOK_CHANNELS]
    np.testing.assert_allclose(looks, np.tile([0.2, -0.1, 0.2, -0.1], (3, 1)), atol=1e-5)


def test_every_channel_is_the_mouths_or_something_elses() -> None:
    assert sorted([*MOUTH, *OTHERS]) == list(range(CHANNELS))


def test_coefficients_stay_in_range() -> None:
    wild = 3.0 * np.random.default_rng(1).standard_normal((50, CHANNELS)).astype(np.float32)
    coefficients = from_channels(wild)[:, :COEFFICIENTS]
    assert coefficients.min() >= 0.0 and coefficients.max() <= 1.0


def test_wrong_sizes_are_told() -> None:
    with pytest.raises(ValueError, match="58"):
        to_channels(np.zeros((2, 54), np.float32))
    with pytest.raises(ValueError, match="54"):
        from_channels(np.zeros((2, 58), np.float32))
