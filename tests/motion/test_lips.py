"""The mouth: what sharpening does to what was heard, and what may never change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.motion.encoder import packaged_encoder
from vasa_cam.motion.lips import (
    CONTROL,
    CONTROLS,
    DEFAULT_STYLE,
    LipStyle,
    MouthSound,
    close_lips,
    controls_to_coefficients,
    shape_lips,
)
from vasa_cam.motion.space import ARKIT_NAMES, INDEX
from vasa_cam.training.targets import fit_controls, predicted_movement, signed_opening

SPEAKING = (0.0, 0.0, 1.0)
NO_VOWEL = (0.0, 0.0, 0.0)


def _sound(
    controls: np.ndarray,
    events: tuple[float, float, float] = SPEAKING,
    vowels: tuple[float, float, float] = NO_VOWEL,
) -> MouthSound:
    count = len(controls)
    return MouthSound(
        controls.astype(np.float32),
        np.tile(np.float32(events), (count, 1)),
        np.tile(np.float32(vowels), (count, 1)),
    )


def _level(value: float = 0.1) -> np.ndarray:
    return np.full((1, len(CONTROLS)), value, np.float32)


@pytest.fixture(scope="module")
def opening() -> np.ndarray:
    return packaged_encoder().opening


def test_controls_drive_both_sides_of_existing_coefficients() -> None:
    coefficients = controls_to_coefficients(np.eye(len(CONTROLS), dtype=np.float32))
    assert coefficients.shape == (16, 52)
    for row, name in enumerate(CONTROLS):
        driven = {ARKIT_NAMES[i] for i in np.flatnonzero(coefficients[row])}
        assert driven in ({name}, {f"{name}Left", f"{name}Right"})
    assert INDEX["mouthSmileLeft"] in np.flatnonzero(coefficients[CONTROL["mouthSmile"]])


def test_closing_closes_exactly_whatever_is_open(opening: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    controls = rng.uniform(0.0, 0.4, (200, 16)).astype(np.float32)
    closed = close_lips(controls, np.ones(200, np.float32), opening)
    assert (closed @ opening < 1e-3).all()
    np.testing.assert_array_equal(closed[:, CONTROL["jawOpen"]], controls[:, CONTROL["jawOpen"]])
    same = close_lips(controls, np.zeros(200, np.float32), opening)
    np.testing.assert_array_equal(same, controls)


@given(
    jaw=st.floats(0.2, 0.5),
    pucker=st.floats(0.0, 0.5),
    stretch=st.floats(0.0, 0.3),
    vowels=st.tuples(*[st.floats(0.0, 1.0)] * 3),
)
def test_rounding_and_narrowing_leave_the_opening_as_it_was_heard(
    jaw: float, pucker: float, stretch: float, vowels: tuple[float, float, float]
) -> None:
    opening = packaged_encoder().opening
    controls = np.zeros((1, 16), np.float32)
    for name, value in (("jawOpen", jaw), ("mouthPucker", pucker), ("mouthStretch", stretch)):
        controls[0, CONTROL[name]] = value
    heard = max(0.0, float((controls @ opening)[0]))
    shaped = shape_lips(_sound(controls, vowels=vowels), opening)
    # The jaw can give no more than all it has, and a round mouth stays a little open.
    found = float((shaped @ opening)[0])
    assert found == pytest.approx(heard, abs=0.031) and found > heard - 1e-4


def test_what_was_heard_of_the_phone_sharpens_the_mouth(opening: np.ndarray) -> None:
    wide = np.zeros((1, 16), np.float32)
    wide[0, CONTROL["jawOpen"]] = 0.35
    plain = shape_lips(_sound(wide), opening)[0]
    sealed = shape_lips(_sound(wide, (1.0, 0.0, 1.0)), opening)[0]
    assert sealed @ opening < 0.005 < plain @ opening
    assert sealed[CONTROL["jawOpen"]] == pytest.approx(plain[CONTROL["jawOpen"]])
    tucked = shape_lips(_sound(wide, (0.0, 1.0, 1.0)), opening)[0]
    assert tucked[CONTROL["mouthRollLower"]] > 0.5
    assert tucked @ opening < 0.8 * (plain @ opening)
    silent = shape_lips(_sound(wide, (0.0, 0.0, 0.0)), opening)[0]
    assert silent @ opening < 0.005


def test_open_vowels_draw_the_corners_in_and_spread_ones_do_not(opening: np.ndarray) -> None:
    spread = np.zeros((1, 16), np.float32)
    for name, value in (("jawOpen", 0.3), ("mouthStretch", 0.2), ("mouthSmile", 0.2)):
        spread[0, CONTROL[name]] = value
    aa = shape_lips(_sound(spread, vowels=(1.0, 0.1, 0.0)), opening)[0]
    ee = shape_lips(_sound(spread, vowels=(0.2, 1.0, 0.0)), opening)[0]
    for name in ("mouthStretch", "mouthSmile"):
        assert aa[CONTROL[name]] < 0.1 * ee[CONTROL[name]]
    uu = shape_lips(_sound(np.zeros((1, 16)), vowels=(0.1, 0.0, 1.0)), opening)[0]
    assert uu @ opening == pytest.approx(0.03, abs=0.005)


def test_style_changes_what_it_says(opening: np.ndarray) -> None:
    heard = _sound(_level())
    plain = shape_lips(heard, opening)[0]
    wide = shape_lips(heard, opening, LipStyle(range=1.5))[0]
    assert wide @ opening == pytest.approx(1.5 * (plain @ opening), rel=0.1)
    round_lips = shape_lips(heard, opening, LipStyle(rounding=2.0))[0]
    assert round_lips[CONTROL["mouthPucker"]] == pytest.approx(0.2)
    assert round_lips[CONTROL["mouthFunnel"]] > plain[CONTROL["mouthFunnel"]]
    smiling = shape_lips(heard, opening, replace(DEFAULT_STYLE, smile=0.24))[0]
    assert smiling[CONTROL["mouthSmile"]] == pytest.approx(plain[CONTROL["mouthSmile"]] + 0.2)


def test_targets_find_the_controls_behind_a_shape() -> None:
    """Fitting the shapes' own movement gives the opening back, and nearly the controls."""
    rng = np.random.default_rng(2)
    controls = np.zeros((300, 16), np.float32)
    controls[:, CONTROL["jawOpen"]] = rng.uniform(0.1, 0.5, 300)
    controls[:, CONTROL["mouthPucker"]] = rng.uniform(0.0, 0.5, 300)
    controls[:, CONTROL["mouthUpperUp"]] = rng.uniform(0.0, 0.4, 300)
    movement = predicted_movement(controls)
    fitted = fit_controls(movement)
    np.testing.assert_allclose(
        signed_opening(predicted_movement(fitted)), signed_opening(movement), atol=0.015
    )
    for name in ("jawOpen", "mouthPucker", "mouthUpperUp"):
        r = np.corrcoef(fitted[:, CONTROL[name]], controls[:, CONTROL[name]])[0, 1]
        assert r > 0.95, name
