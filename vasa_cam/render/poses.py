"""The contact sheet: one portrait in the poses that show what a renderer can and cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vasa_cam.avatar.file import Avatar
from vasa_cam.motion.space import INDEX, MOTION_SIZE
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_PITCH, _YAW, _ROLL = 52, 53, 54
_CAPTION_SHARE: Final = 0.07


def _both(name: str, value: float) -> dict[str, float]:
    return {f"{name}Left": value, f"{name}Right": value}


POSES: Final[dict[str, Mapping[str, float]]] = {
    "neutral": {},
    "jaw .15": {"jawOpen": 0.15},
    "jaw .4": {"jawOpen": 0.4},
    "jaw .8": {"jawOpen": 0.8},
    "/o/": {"jawOpen": 0.3, "mouthFunnel": 0.7},
    "/u/": {"jawOpen": 0.1, "mouthPucker": 0.8, "mouthFunnel": 0.15},
    "/m/": {"jawOpen": 0.12, "mouthClose": 0.12, **_both("mouthPress", 0.4)},
    "/f/": {"jawOpen": 0.08, "mouthRollLower": 0.7, **_both("mouthUpperUp", 0.25)},
    "smile": {**_both("mouthSmile", 0.8), **_both("cheekSquint", 0.5)},
    "ee": {
        "jawOpen": 0.1,
        **_both("mouthSmile", 0.25),
        **_both("mouthStretch", 0.4),
        **_both("mouthUpperUp", 0.25),
        **_both("mouthLowerDown", 0.35),
    },
    "blink .5": _both("eyeBlink", 0.5),
    "blink 1": _both("eyeBlink", 1.0),
    "gaze left": {"eyeLookOutRight": 0.7, "eyeLookInLeft": 0.7},
    "gaze up right": {
        "eyeLookInRight": 0.5,
        "eyeLookOutLeft": 0.5,
        **_both("eyeLookUp", 0.5),
    },
    "brows up": {"browInnerUp": 0.8, **_both("browOuterUp", 0.8)},
    "brows down": {**_both("browDown", 0.9), **_both("noseSneer", 0.3)},
    "yaw 15": {"ry": 15.0},
    "pitch 10": {"rx": 10.0},
    "roll 10": {"rz": 10.0},
    "sad": {"browInnerUp": 0.7, **_both("mouthFrown", 0.6), "mouthShrugLower": 0.4},
}
"""Caption -> coefficients; rx, ry, rz are the head's rotation in degrees."""


def motion_of(pose: Mapping[str, float]) -> Floats:
    """One motion frame, float32 [58], of named coefficients and rx, ry, rz in degrees."""
    motion = np.zeros(MOTION_SIZE, np.float32)
    for name, value in pose.items():
        if name in ("rx", "ry", "rz"):
            motion[(_PITCH, _YAW, _ROLL)["xyz".index(name[1])]] = np.radians(value)
        else:
            motion[INDEX[name]] = value
    return motion


def contact_sheet(avatar: Avatar, size_px: int = 384, columns: int = 5) -> Bytes:
    """All POSES of one avatar as a captioned grid, uint8 [H, W, 3]."""
    renderer = LayeredRenderer(RenderConfig(size_px, size_px))
    state = renderer.prepare(avatar)
    rows = -(-len(POSES) // columns)
    sheet = Image.new("RGB", (columns * size_px, rows * size_px))
    font = ImageFont.load_default(size_px * _CAPTION_SHARE)
    for k, (caption, pose) in enumerate(POSES.items()):
        tile = Image.fromarray(renderer.render(state, motion_of(pose)))
        draw = ImageDraw.Draw(tile)
        at = (size_px * 0.03, size_px * (0.97 - _CAPTION_SHARE))
        draw.text(at, caption, font=font, fill="white", stroke_width=2, stroke_fill="black")
        sheet.paste(tile, (k % columns * size_px, k // columns * size_px))
    return np.array(sheet, np.uint8)
