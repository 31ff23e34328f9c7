"""The 58 numbers of a motion frame as the generator sees them: 54 signed channels.

ARKit splits a look into two half-coefficients that are never positive together, and turns the eyes
against the head. A diffusion model wants signed numbers that do not depend on each other, so the
eight looks become four: where each eye looks in the picture, to the right and up, as a part of 35
degrees, whatever the head does. Everything else is passed on as it is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.controls import MAX_GAZE_DEG
from vasa_cam.motion.space import (
    ARKIT_NAMES,
    COEFFICIENTS,
    INDEX,
    MOTION_SIZE,
    ROTATION,
    TRANSLATION,
)

Floats = npt.NDArray[np.float32]

LOOKS: Final = (
    ("eyeLookOutLeft", "eyeLookInLeft"),
    ("eyeLookUpLeft", "eyeLookDownLeft"),
    ("eyeLookInRight", "eyeLookOutRight"),
    ("eyeLookUpRight", "eyeLookDownRight"),
)
"""Positive and negative half of each signed look; positive is the picture's right, or up."""

_HALVES: Final = frozenset(name for pair in LOOKS for name in pair)
DIRECT: Final = tuple(name for name in ARKIT_NAMES if name not in _HALVES)
"""The coefficients that are channels of their own, in the order of the channels."""

_DIRECT: Final = np.array([INDEX[name] for name in DIRECT])
_PLUS: Final = np.array([INDEX[plus] for plus, _ in LOOKS])
_MINUS: Final = np.array([INDEX[minus] for _, minus in LOOKS])

LOOK_CHANNELS: Final = slice(len(DIRECT), len(DIRECT) + len(LOOKS))
ROTATION_CHANNELS: Final = slice(LOOK_CHANNELS.stop, LOOK_CHANNELS.stop + 3)
TRANSLATION_CHANNELS: Final = slice(ROTATION_CHANNELS.stop, ROTATION_CHANNELS.stop + 3)
CHANNELS: Final = TRANSLATION_CHANNELS.stop

MOUTH: Final = np.array(
    [k for k, name in enumerate(DIRECT) if name.startswith(("jaw", "mouth", "tongue", "cheekPuff"))]
)
"""The channels that the voice decides; their start is the encoder's estimate."""

OTHERS: Final = np.setdiff1d(np.arange(CHANNELS), MOUTH)
"""All other channels: lids, eyes, brows, cheeks, nose and head; their start is the last frame."""

HEAD_AND_BROWS: Final = np.array(
    [k for k, name in enumerate(DIRECT) if name.startswith("brow")]
    + list(range(ROTATION_CHANNELS.start, TRANSLATION_CHANNELS.stop))
)
"""What guidance by the voice acts on: it also lets the lids droop and the eyes stray."""

BLINK: Final = np.array([DIRECT.index("eyeBlinkLeft"), DIRECT.index("eyeBlinkRight")])


def _head_look(rotation: Floats) -> Floats:
    """What the looks take back of the head's turn, [..., 3] radians -> [..., 4]."""
    turned = rotation[..., [1, 0, 1, 0]] * np.float32(180.0 / np.pi / MAX_GAZE_DEG)
    return np.asarray(turned, np.float32)


def to_channels(frames: Floats) -> Floats:
    """Motion frames float32 [..., 58] -> channels float32 [..., 54]."""
    if frames.shape[-1] != MOTION_SIZE:
        raise ValueError(f"to_channels: expected [..., {MOTION_SIZE}], got {frames.shape}")
    looks = frames[..., _PLUS] - frames[..., _MINUS] - _head_look(frames[..., ROTATION])
    parts = [frames[..., _DIRECT], looks, frames[..., ROTATION], frames[..., TRANSLATION]]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def from_channels(channels: Floats) -> Floats:
    """Channels float32 [..., 54] -> motion frames float32 [..., 58], coefficients within 0..1."""
    if channels.shape[-1] != CHANNELS:
        raise ValueError(f"from_channels: expected [..., {CHANNELS}], got {channels.shape}")
    frames = np.zeros((*channels.shape[:-1], MOTION_SIZE), np.float32)
    frames[..., _DIRECT] = channels[..., : len(DIRECT)]
    looks = channels[..., LOOK_CHANNELS] + _head_look(channels[..., ROTATION_CHANNELS])
    frames[..., _PLUS] = looks
    frames[..., _MINUS] = -looks
    np.clip(frames[..., :COEFFICIENTS], 0.0, 1.0, out=frames[..., :COEFFICIENTS])
    frames[..., ROTATION] = channels[..., ROTATION_CHANNELS]
    frames[..., TRANSLATION] = channels[..., TRANSLATION_CHANNELS]
    return frames
