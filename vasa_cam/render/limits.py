"""How far a single photo may be driven before it stops looking like a person.

Each limit is one named setting; `docs/design.md` shows the pictures behind the defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION, TRANSLATION

Floats = npt.NDArray[np.float32]

_EYE_LOOK = [index for name, index in INDEX.items() if name.startswith("eyeLook")]


@dataclass(frozen=True)
class MotionLimits:
    """Angles in degrees, gaze and jaw as coefficients, the rest in inter-ocular distances.

    shift_iod: how far the head moves over the body. nearest_iod, farthest_iod: how far the whole
    person comes nearer and goes away.
    """

    pitch_deg: float = 12.0
    yaw_deg: float = 18.0
    roll_deg: float = 15.0
    gaze: float = 0.85
    jaw_open: float = 1.0
    shift_iod: float = 0.6
    nearest_iod: float = 3.5
    farthest_iod: float = 3.0

    def apply(self, motion: Floats) -> Floats:
        """Clamps one motion frame, float32 [58] -> [58]. Angles saturate softly, so that motion
        slows down near a limit instead of stopping dead."""
        out = motion.astype(np.float32)
        np.clip(out[:COEFFICIENTS], 0.0, 1.0, out=out[:COEFFICIENTS])
        out[_EYE_LOOK] = np.minimum(out[_EYE_LOOK], self.gaze)
        jaw = INDEX["jawOpen"]
        out[jaw] = min(out[jaw], self.jaw_open)
        bounds = np.radians([self.pitch_deg, self.yaw_deg, self.roll_deg])
        out[ROTATION] = _soft_limit(out[ROTATION], bounds)
        out[TRANSLATION] = _soft_limit(out[TRANSLATION], np.full(3, self.shift_iod))
        return out

    def depth(self, motion: Floats) -> float:
        """Where the head is along the camera's axis, in inter-ocular distances, away is positive.

        `apply` lets the head move a little over the body; the body has to do the rest.
        """
        away = motion[TRANSLATION.stop - 1 : TRANSLATION.stop]
        bound = self.farthest_iod if away[0] > 0 else self.nearest_iod
        return float(_soft_limit(away, np.full(1, bound))[0])


def _soft_limit(value: Floats, bound: npt.NDArray[np.float64]) -> Floats:
    """Identity up to 70 % of the bound, then a tanh that reaches it at infinity."""
    knee = 0.7 * bound
    room = bound - knee
    excess = np.abs(value) - knee
    bent = knee + room * np.tanh(np.maximum(excess, 0.0) / room)
    return np.where(excess > 0, np.sign(value) * bent, value).astype(np.float32)


def rotation_matrix(rotation_vector: Floats) -> Floats:
    """Rodrigues: rotation vector [3] in radians -> matrix float32 [3, 3]."""
    x, y, z = (float(component) for component in rotation_vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-9:
        return np.eye(3, dtype=np.float32)
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) / angle
    matrix = np.eye(3) + math.sin(angle) * skew + (1.0 - math.cos(angle)) * skew @ skew
    return matrix.astype(np.float32)
