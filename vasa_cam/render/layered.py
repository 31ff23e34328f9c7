"""The layered renderer: explicit geometry, one photo, no downloaded weights.

Skin, hair and body are one mesh warped over the background plate; eyes and mouth are drawn into the
openings between the lids and lips; glasses lie on top and move with the head alone. The native core
does the work on every frame; this module prepares it once per avatar and orders the calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION, TRANSLATION
from vasa_cam.render.framing import Framing, feather_cut_edges, make_background
from vasa_cam.render.limits import MotionLimits, rotation_matrix
from vasa_cam.render.rigid_layers import EyeLayer, RigidLayers

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RenderConfig:
    """What the picture is like. width, height: pixels. background: see `make_background`."""

    width: int = 512
    height: int = 512
    background: str = "photo"
    limits: MotionLimits = field(default_factory=MotionLimits)
