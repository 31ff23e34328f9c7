"""Gaze: angles to eyeLook coefficients and back, and from the tracker's iris landmarks."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.landmarks import EYE_CORNERS, LEFT_IRIS, RIGHT_IRIS
from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION

Floats = npt.NDArray[np.float32]

EYE_RADIUS_IOD: Final = 0.19
"""An eyeball's radius: 1.2 cm of 6.3."""
FULL_GAZE_DEG: Final = 35.0
"""Turn of the eye that a coefficient of 1 means."""
FULL_GAZE_RAD: Final = float(np.radians(FULL_GAZE_DEG))


def gaze_coefficients(landmarks: Floats) -> Floats:
    """eyeLook* coefficients float32 [T, 52] (all others zero) from landmarks [T, 478, 3].

    landmarks: head frame, inter-ocular distances, our axes. The eye turns by the iris centre's
    displacement from its median place between the eye's corners, over the eyeball's radius.
    """
    out = np.zeros((len(landmarks), COEFFICIENTS), np.float32)
    irises = (RIGHT_IRIS, LEFT_IRIS)
    # The subject's right eye looks outwards when it turns to the image left, the left one right.
    sides = (("Right", "Out", "In"), ("Left", "In", "Out"))
    for (side, leftward, rightward), iris, corners in zip(sides, irises, EYE_CORNERS, strict=True):
        offset = landmarks[:, iris[0], :2] - landmarks[:, list(corners), :2].mean(1)
        offset = offset - np.median(offset, axis=0)
        turn = np.arcsin(np.clip(offset / EYE_RADIUS_IOD, -1, 1)) / FULL_GAZE_RAD
        for name, amount in (
            (rightward, turn[:, 0]),
            (leftward, -turn[:, 0]),
            ("Down", turn[:, 1]),
            ("Up", -turn[:, 1]),
        ):
            out[:, INDEX[f"eyeLook{name}{side}"]] = np.clip(amount, 0, 1)
    return out


def set_gaze(frames: Floats, gaze_deg: Floats) -> None:
    """Write the eyeLook coefficients so that the eyes look at gaze_deg whatever the head does.

    frames: float32 [T, 58], head rotation already set; changed in place. gaze_deg: float32 [T, 2],
    right and up in the picture. The picture's right is the subject's left.
    """
    rotation = np.rad2deg(frames[:, ROTATION])
    right = gaze_deg[:, 0] + rotation[:, 1]
    up = gaze_deg[:, 1] + rotation[:, 0]
    looks = {
        "eyeLookOutLeft": right, "eyeLookInRight": right,
        "eyeLookInLeft": -right, "eyeLookOutRight": -right,
        "eyeLookUpLeft": up, "eyeLookUpRight": up,
        "eyeLookDownLeft": -up, "eyeLookDownRight": -up,
    }  # fmt: skip
    for name, degrees in looks.items():
        frames[:, INDEX[name]] = np.clip(degrees / FULL_GAZE_DEG, 0.0, 1.0)


def gaze_of(frames: Floats) -> Floats:
    """Where the eyes look whatever the head does, float32 [T, 2], degrees right and up.

    frames: float32 [T, 58]. The mean of both eyes; the inverse of `set_gaze` up to 35 degrees.
    """
    look = {name: frames[:, INDEX[f"eyeLook{name}"]] for name in _LOOKS}
    right = look["OutLeft"] - look["InLeft"] + look["InRight"] - look["OutRight"]
    up = look["UpLeft"] - look["DownLeft"] + look["UpRight"] - look["DownRight"]
    turned = 0.5 * FULL_GAZE_DEG * np.stack([right, up], axis=1)
    rotation = np.rad2deg(frames[:, ROTATION])
    return np.asarray(turned - rotation[:, [1, 0]], np.float32)


_LOOKS: Final = [way + side for way in ("In", "Out", "Up", "Down") for side in ("Left", "Right")]
