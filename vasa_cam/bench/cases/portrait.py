"""The built-in avatar and a moment of its talk: what the layered renderer's cases run on."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar, load_avatar
from vasa_cam.motion.space import INDEX, ROTATION, neutral
from vasa_cam.render.layered import LayeredRenderer, LayeredState, RenderConfig

Floats = npt.NDArray[np.float32]

_TALKING: Final = {
    "jawOpen": 0.4,
    "mouthSmileLeft": 0.5,
    "mouthSmileRight": 0.5,
    "eyeBlinkLeft": 0.4,
    "eyeBlinkRight": 0.4,
    "eyeLookOutLeft": 0.3,
    "eyeLookInRight": 0.3,
    "browInnerUp": 0.3,
}
_TURNED_RAD: Final = (0.05, 0.12, 0.03)


@cache
def built_in_avatar() -> Avatar:
    """The avatar that comes with the package."""
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        return load_avatar(path)


@cache
def prepared(side_px: int) -> LayeredState:
    """The built-in avatar prepared for a square picture."""
    return LayeredRenderer(RenderConfig(side_px, side_px)).prepare(built_in_avatar())


def talking() -> Floats:
    """One motion frame float32 [58] in which everything moves: mouth, lids, gaze, brows, head."""
    frame: Floats = neutral()[0]
    for name, value in _TALKING.items():
        frame[INDEX[name]] = value
    frame[ROTATION] = _TURNED_RAD
    return frame


def talk(frames: int, rng: np.random.Generator) -> Floats:
    """A run of such frames float32 [frames, 58], each with its own share of the movement."""
    share = rng.uniform(0.2, 1.0, (frames, 1)).astype(np.float32)
    frames_of_talk: Floats = share * talking()[None]
    return frames_of_talk


@cache
def drawn(side_px: int) -> LayeredState:
    """`prepared`, with vertices, skin layer and apertures of `talking` in its buffers."""
    state = prepared(side_px)
    frame = LayeredRenderer(RenderConfig(side_px, side_px)).render(state, talking())
    state.buffers.frame[...] = frame
    return state


def pose_of(side_px: int) -> ops.Pose:
    """The pose of `talking` at this size."""
    from vasa_cam.render.layered import frame_pose
    from vasa_cam.render.limits import MotionLimits

    limits = MotionLimits()
    motion = talking()
    return frame_pose(prepared(side_px), limits.apply(motion), limits.depth(motion))
