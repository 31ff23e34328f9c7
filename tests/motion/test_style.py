"""Lip style from a track: the model's own lips come back, other people's lips fit better."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.audio import read_speech
from vasa_cam.errors import InputError
from vasa_cam.motion.controls import hold_opening, lip_opening
from vasa_cam.motion.lips import DEFAULT_STYLE, LipStyle
from vasa_cam.motion.space import COEFFICIENTS, INDEX, Motion, neutral
from vasa_cam.motion.style import ROUNDINGS, part_lips, style_from_track
from vasa_cam.motion.voice import VoiceConfig, VoiceMotion
from vasa_cam.training.evaluation_data import load_evaluation
from vasa_cam.training.figures_lips import gap

# What rendering at 512x512 and tracking made of the lips' opening, measured: percentiles of the
# same sentence before and after.
BEFORE = (0.0, 0.01, 0.031, 0.057, 0.088, 0.152, 0.192, 0.384)
AFTER = (0.0, 0.006, 0.013, 0.04, 0.089, 0.176, 0.215, 0.43)


def _spoken(style: LipStyle = DEFAULT_STYLE) -> Motion:
    speech = read_speech(Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac")))
    return VoiceMotion(VoiceConfig(style=style)).motion(speech)


def _tracked(motion: Motion) -> Motion:
    frames = motion.frames.copy()
    wanted = np.interp(gap(frames), BEFORE, AFTER).astype(np.float32)
    hold_opening(frames[:, :COEFFICIENTS], wanted)
    return Motion(frames, motion.rate_hz)


def test_the_models_own_lips_are_its_own_style() -> None:
    found = style_from_track(_tracked(_spoken()), _spoken())
    assert found.range == pytest.approx(DEFAULT_STYLE.range, rel=0.08)
    assert found.rest < 0.03  # a little, where the model itself parts the lips
    assert found.smile == DEFAULT_STYLE.smile


@pytest.mark.parametrize("wide", [0.65, 1.4])
def test_wider_and_narrower_lips_are_found(wide: float) -> None:
    track = _tracked(_spoken(replace(DEFAULT_STYLE, range=wide)))
    assert style_from_track(track, _spoken()).range == pytest.approx(wide, rel=0.1)


def test_more_rounding_is_found_within_limits() -> None:
    styles = [
        style_from_track(_tracked(_spoken(replace(DEFAULT_STYLE, rounding=r))), _spoken())
        for r in (0.8, 1.5, 2.4, 9.0)
    ]
    rounding = [style.rounding for style in styles]
    assert rounding == sorted(rounding) and rounding[2] > 1.25 * rounding[0]
    assert ROUNDINGS[0] <= rounding[0] and rounding[-1] <= ROUNDINGS[1]


def test_parted_lips_stay_parted_but_for_closures() -> None:
    parted = replace(DEFAULT_STYLE, rest=0.05)
    rested = gap(_spoken(parted).frames)
    plain = gap(_spoken().frames)
    assert np.percentile(plain, 30) < 0.04
    assert np.percentile(rested, 30) > 0.045
    assert (rested < 0.015).sum() > 5, "m b p still close"
    far = plain > 0.06
    np.testing.assert_allclose(rested[far], plain[far], atol=0.01)
    assert style_from_track(_tracked(_spoken(parted)), _spoken()).rest > 0.03


def test_part_lips_obeys_what_seals() -> None:
    lips = neutral(3)[:, :COEFFICIENTS]
    lips[2, INDEX["jawOpen"]] = lips[2, INDEX["mouthClose"]] = 0.2
    part_lips(lips, 0.04, np.array([0.0, 1.0, 0.5], np.float32))
    np.testing.assert_allclose(lips @ lip_opening(), [0.04, 0.0, 0.02], atol=1e-3)
    assert lips[2, INDEX["jawOpen"]] == np.float32(0.2), "the lips part, the jaw stays"


def test_too_little_talk_is_refused() -> None:
    for track in (Motion(neutral(500)), Motion(_spoken().frames[:75])):
        with pytest.raises(InputError, match="two or three sentences"):
            style_from_track(track, _spoken())


def test_a_first_half_makes_the_second_half_fit_better(shared: Path) -> None:
    """Filmed people, never trained on: style from their first half, error on the second."""
    errors = []
    for clip in load_evaluation(shared / "data" / "talk" / "wild"):
        if not clip.lips or clip.frames < 350:
            continue
        half = clip.frames // 2
        style = style_from_track(_tracked(Motion(clip.real.frames[:half])), _spoken())
        rest = clip.real_gap[half:]
        row = []
        for one in (DEFAULT_STYLE, style):
            made = VoiceMotion(VoiceConfig(style=one)).motion(clip.talk.audio[640 * half :])
            row.append(np.sqrt(np.mean((gap(made.frames)[: len(rest)] - rest) ** 2)))
        errors.append(row)
    plain, styled = np.array(errors).T
    assert len(plain) >= 6
    assert styled.mean() < 0.96 * plain.mean()
    assert (styled < plain).sum() > 0.6 * len(plain)
