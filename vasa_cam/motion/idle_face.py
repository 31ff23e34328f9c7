"""A whole face from lips and the idle model: what moves besides the mouth, as coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.controls import ControlFrames
from vasa_cam.motion.gaze import set_gaze
from vasa_cam.motion.idle import IdleFrames
from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION, TRANSLATION, neutral

Floats = npt.NDArray[np.float32]


def compose(lips: Floats, idle: IdleFrames, controls: ControlFrames) -> Floats:
    """Motion frames float32 [T, 58] from lip coefficients float32 [T, 52] and idle frames."""
    frames = neutral(len(lips))
    frames[:, :COEFFICIENTS] = lips
    frames[:, ROTATION] = np.deg2rad(idle.rotation_deg)
    frames[:, TRANSLATION] = idle.translation
    controls.place_head(frames)
    set_gaze(frames, idle.gaze_deg + controls.gaze_deg)
    raised, lowered = np.maximum(idle.brow, 0.0), np.maximum(-idle.brow, 0.0)
    opened = lips[:, INDEX["jawOpen"]]
    spread = lips[:, INDEX["mouthSmileLeft"]] + 0.5 * lips[:, INDEX["mouthStretchLeft"]]
    columns = {
        "browInnerUp": 0.75 * raised,
        "browOuterUpLeft": 0.9 * raised,
        "browOuterUpRight": 0.9 * raised,
        # A blink pulls the brow down a touch and bunches the cheek, as in the filmed faces.
        "browDownLeft": 0.6 * lowered + 0.05 * idle.blink,
        "browDownRight": 0.6 * lowered + 0.05 * idle.blink,
        "cheekSquintLeft": 0.10 * idle.blink + 0.25 * spread,
        "cheekSquintRight": 0.10 * idle.blink + 0.25 * spread,
        "eyeSquintLeft": 0.10 * spread,
        "eyeSquintRight": 0.10 * spread,
        "noseSneerLeft": 0.04 * opened,
        "noseSneerRight": 0.04 * opened,
    }
    for name, values in columns.items():
        frames[:, INDEX[name]] = values
    for side in ("Left", "Right"):
        # The look-down shape lowers the lid by itself; the blink only has the rest of the way to
        # go.
        rest = 1.0 - 0.85 * frames[:, INDEX[f"eyeLookDown{side}"]]
        frames[:, INDEX[f"eyeBlink{side}"]] = idle.blink * rest
        wide = np.maximum(0.0, 0.15 * raised - idle.blink)
        frames[:, INDEX[f"eyeWide{side}"]] = wide
    np.clip(frames[:, :COEFFICIENTS], 0.0, 1.0, out=frames[:, :COEFFICIENTS])
    controls.shape_face(frames)
    return frames
