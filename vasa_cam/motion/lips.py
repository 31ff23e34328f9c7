"""The mouth: 16 controls, and how what the encoder hears becomes a portrait's lips.

A regression blurs what a viewer reads most: closures, /f v/, silence, and the difference between
round, spread and open vowels. `shape_lips` sharpens it with what the encoder knows about the phone,
without touching the opening that it heard: lips that are sealed close by mouthClose exactly as far
as they stand open, rounder or narrower corners leave the gap as it is, and without speech the mouth
rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.space import COEFFICIENTS, INDEX
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]

CONTROLS: Final = (
    "jawOpen", "jawForward", "mouthClose", "mouthFunnel", "mouthPucker", "mouthSmile",
    "mouthFrown", "mouthDimple", "mouthStretch", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthPress", "mouthLowerDown", "mouthUpperUp",
)  # fmt: skip
"""What the encoder controls, in the order of its outputs."""

CONTROL: Final = {name: index for index, name in enumerate(CONTROLS)}

LOOKAHEAD_S: Final = 0.06
"""A frame's features end this long after the frame's own time."""

SAMPLES_A_FRAME: Final = 640
FEATURES_A_FRAME: Final = 4
FEATURES_BEHIND: Final = 5
FEATURES_AHEAD: Final = 5
SOFTPLUS_SHARPNESS: Final = 8.0


def _control_matrix() -> Floats:
    matrix = np.zeros((len(CONTROLS), COEFFICIENTS), np.float32)
    for row, name in enumerate(CONTROLS):
        for target in (name, f"{name}Left", f"{name}Right"):
            if target in INDEX:
                matrix[row, INDEX[target]] = 1.0
    return matrix


_CONTROL_MATRIX: Final = _control_matrix()


def controls_to_coefficients(controls: Floats) -> Floats:
    """Controls float32 [T, 16] -> ARKit coefficients float32 [T, 52]."""
    return controls @ _CONTROL_MATRIX


@dataclass(frozen=True)
class LipStyle:
    """How the trained speaker's lips are turned into the portrait's.

    range: gain of everything that opens the mouth. rounding: gain of pucker and funnel. smile:
    added to mouthSmile, 0..1. seal, tuck: how strongly the /m b p/ and /f v/ probabilities act,
    0..1. rest: how far the lips stay apart unless something seals them, inter-ocular distances.
    """

    range: float = 1.0
    rounding: float = 1.25
    smile: float = 0.04
    seal: float = 1.0
    tuck: float = 1.0
    rest: float = 0.0


DEFAULT_STYLE: Final = LipStyle()

SEALING: Final = (0.5, 0.9)
"""Probabilities of sealed lips at which they begin to close, and are closed."""

TUCKING: Final = (0.5, 0.9)
SPEAKING: Final = (0.2, 0.5)
_OPEN_VOWEL: Final = (0.0, 0.35)
_ROUND_VOWEL: Final = (0.3, 0.7)
_ROUND_IOD: Final = 0.03
"""Rounded lips stand at least this far apart; the tracker that taught us sees them closed."""

_OPENERS: Final = ("jawOpen", "mouthClose", "mouthLowerDown", "mouthUpperUp", "mouthStretch")
_ROUNDERS: Final = ("mouthPucker", "mouthFunnel")


def close_lips(controls: Floats, amount: Floats, opening: Floats) -> Floats:
    """Close the lips by `amount` (0..1, float32 [T]) over an open jaw, as ARKit's mouthClose does.

    controls: float32 [T, 16]. opening: float32 [16], lip opening per control (linear shapes).
    """
    closed = controls.copy()
    keep = 1.0 - amount
    for name in ("mouthUpperUp", "mouthLowerDown", "mouthFunnel"):
        closed[:, CONTROL[name]] *= keep
    gap = np.maximum(0.0, closed @ opening)
    closed[:, CONTROL["mouthClose"]] += amount * gap / -opening[CONTROL["mouthClose"]]
    return np.asarray(np.clip(closed, 0.0, 1.0), np.float32)


@dataclass(frozen=True)
class MouthSound:
    """What was heard of the mouth, all float32.

    controls: [T, 16]. events: [T, 3], probabilities of sealed lips, tucked lip, speech. vowels: [T,
    3], how open, spread and round a vowel sounds, about 0..1.
    """

    controls: Floats
    events: Floats
    vowels: Floats


def shape_lips(heard: MouthSound, opening: Floats, style: LipStyle = DEFAULT_STYLE) -> Floats:
    """Style and sharpen what was heard, float32 [T, 16] in 0..1. opening: float32 [16]."""
    shaped = heard.controls.copy()
    shaped[:, [CONTROL[name] for name in _OPENERS]] *= style.range
    gap = np.maximum(0.0, shaped @ opening)
    shaped[:, [CONTROL[name] for name in _ROUNDERS]] *= style.rounding
    _open_round(shaped, opening)
    shaped[:, CONTROL["mouthSmile"]] += style.smile
    _shape_vowels(shaped, heard.vowels)
    _hold_gap(shaped, np.maximum(gap, _round_gap(heard)), opening)
    tuck = style.tuck * smoothstep(*TUCKING, heard.events[:, 1])
    shaped = _tuck_lip(shaped, tuck, opening)
    seal = style.seal * smoothstep(*SEALING, heard.events[:, 0])
    shaped = close_lips(shaped, seal, opening)
    shaped[:, CONTROL["mouthPress"]] += 0.15 * seal
    shaped[:, CONTROL["mouthRollLower"]] += 0.12 * seal
    shaped[:, CONTROL["mouthRollUpper"]] += 0.08 * seal
    speaking = smoothstep(*SPEAKING, heard.events[:, 2])
    return np.clip(close_lips(shaped, 1.0 - speaking, opening), 0.0, 1.0)


def _hold_gap(controls: Floats, gap: Floats, opening: Floats) -> None:
    """Open the lips exactly `gap` (float32 [T]) by the jaw, in place."""
    jaw = CONTROL["jawOpen"]
    controls[:, jaw] -= (controls @ opening - gap) / opening[jaw]
    np.clip(controls[:, jaw], 0.0, 1.0, out=controls[:, jaw])


def _shape_vowels(controls: Floats, vowels: Floats) -> None:
    """A dropping jaw draws the corners of the mouth in: no spreading in open vowels, in place."""
    open_, spread, round_ = vowels.T
    drawn = smoothstep(*_OPEN_VOWEL, open_ - spread - round_)
    for name in ("mouthSmile", "mouthStretch"):
        controls[:, CONTROL[name]] *= 1.0 - drawn


def _round_gap(heard: MouthSound) -> Floats:
    """How far rounded lips stand apart at least, float32 [T], inter-ocular distances."""
    return np.asarray(_ROUND_IOD * smoothstep(*_ROUND_VOWEL, heard.vowels[:, 2]), np.float32)


def _open_round(controls: Floats, opening: Floats) -> None:
    """Puckered lips that stand open turn outwards (/o/): some funnel, in place."""
    apart = smoothstep(0.02, 0.12, controls @ opening)
    pucker, funnel = CONTROL["mouthPucker"], CONTROL["mouthFunnel"]
    wanted = np.maximum(0.0, controls[:, pucker] - 0.15) * apart
    controls[:, funnel] = np.maximum(controls[:, funnel], 0.7 * wanted)


def _tuck_lip(controls: Floats, tuck: Floats, opening: Floats) -> Floats:
    """The lower lip rises under the upper teeth; the upper lip stays up and shows them (/f v/)."""
    tucked = close_lips(controls, 0.4 * tuck, opening)
    upper = CONTROL["mouthUpperUp"]
    tucked[:, upper] = np.maximum(controls[:, upper], 0.18 * tuck)
    roll = CONTROL["mouthRollLower"]
    tucked[:, roll] = np.maximum(tucked[:, roll], 0.65 * tuck)
    return tucked
