"""Drawn faces whose eyes and mouth are known exactly: what enrolment must find again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mesh import HeadFrame
from vasa_cam.face_model import load_face_model
from vasa_cam.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_RINGS,
)

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

SKIN: Final = (196, 150, 126)
WHITE: Final = (214, 206, 198)
IRIS: Final = (84, 62, 40)
LIPS: Final = (172, 96, 92)
TEETH: Final = (206, 184, 160)
IRIS_CENTRE: Final = (128.0, 126.0)
IRIS_RADIUS: Final = 15.0
FACE_PX_PER_CM: Final = 20.0
_EYE_SIZE: Final = 256
_FACE_SIZE: Final = 512


@dataclass(frozen=True)
class DrawnEye:
    """An eye with its landmarks: lid chains [33, 2], iris [5, 2], brow [10, 2], canvas px."""

    canvas: Bytes
    upper: Floats
    lower: Floats
    iris: Floats
    brow: Floats


def drawn_eye(landmark_radius: float = IRIS_RADIUS) -> DrawnEye:
    """An almond eye on plain skin; the lids hide the top of the iris.

    landmark_radius: what the tracker claims; the drawing does not change with it.
    """
    t = np.linspace(0.0, 1.0, 33)
    x = 128.0 + 38.0 * (2.0 * t - 1.0)
    upper, lower = 128.0 - 9.0 * np.sin(np.pi * t), 128.0 + 15.0 * np.sin(np.pi * t)
    fine = 4
    grid = (np.arange(_EYE_SIZE * fine) + 0.5) / fine - 0.5
    px, py = np.meshgrid(grid, grid)
    over, under = np.interp(px, x, upper), np.interp(px, x, lower)
    opening = (py > over) & (py < under) & (px > x[0]) & (px < x[-1])
    disc = np.hypot(px - IRIS_CENTRE[0], py - IRIS_CENTRE[1]) < IRIS_RADIUS
    picture = np.empty((*px.shape, 3), np.float32)
    picture[:] = SKIN
    picture[opening] = WHITE
    picture[opening & disc] = IRIS
    canvas = picture.reshape(_EYE_SIZE, fine, _EYE_SIZE, fine, 3).mean((1, 3))
    rim = np.array([[0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]]) * landmark_radius + IRIS_CENTRE
    along = np.linspace(90.0, 166.0, 5)
    brow = np.concatenate([np.stack([along, np.full(5, height)], 1) for height in (80.0, 92.0)])
    return DrawnEye(
        canvas=np.rint(canvas).astype(np.uint8),
        upper=np.stack([x, upper], 1).astype(np.float32),
        lower=np.stack([x, lower], 1).astype(np.float32),
        iris=rim.astype(np.float32),
        brow=brow.astype(np.float32),
    )


@dataclass(frozen=True)
class DrawnFace:
    """A frontal canonical face: landmarks [468, 3] and dense mouth lines [n, 3], canvas px."""

    canvas: Bytes
    points: Floats
    lip_upper: Floats
    lip_lower: Floats
    frame: HeadFrame


def drawn_face(gap_cm: float = 0.0, teeth_cm: float = 0.0) -> DrawnFace:
    """Flat skin, lips and whites where the canonical face has them.

    gap_cm: the lips' distance at the middle. teeth_cm: height of a row of teeth below the upper
    lip's edge, 0 for a dark mouth.
    """
    import cv2

    model = load_face_model()
    frame = HeadFrame(
        np.eye(3, dtype=np.float32), FACE_PX_PER_CM, np.array([256.0, 230.0, 0.0], np.float32)
    )
    cm = model.vertices.copy()
    upper, lower = list(UPPER_LIP_RINGS[3]), list(LOWER_LIP_RINGS[3])
    seam = 0.5 * (cm[upper] + cm[lower])
    bow = np.sin(np.linspace(0.0, np.pi, len(upper)))[:, None] * np.array([0.0, 1.0, 0.0])
    cm[upper], cm[lower] = seam - 0.5 * gap_cm * bow, seam + 0.5 * gap_cm * bow
    points = frame.to_px(cm)
    canvas = np.empty((_FACE_SIZE, _FACE_SIZE, 3), np.uint8)
    canvas[:] = SKIN

    def fill(outline: Floats, colour: tuple[int, int, int]) -> None:
        cv2.fillPoly(canvas, [np.round(outline[:, :2]).astype(np.int32)], colour)

    for above, below in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        fill(points[[*above, *below[::-1]]], WHITE)
    fill(points[[*UPPER_LIP_RINGS[0], *LOWER_LIP_RINGS[0][::-1]]], LIPS)
    dense = model.subdivide(cm)
    lip_upper = frame.to_px(dense[model.lip_upper])
    lip_lower = frame.to_px(dense[model.lip_lower])
    if gap_cm:
        fill(np.concatenate([lip_upper, lip_lower[::-1]]), (40, 18, 18))
    if teeth_cm:
        ends = np.minimum(lip_upper[:, 1] + teeth_cm * FACE_PX_PER_CM, lip_lower[:, 1])
        edge = np.column_stack([lip_upper[:, 0], ends, lip_upper[:, 2]])
        fill(np.concatenate([lip_upper, edge[::-1]]), TEETH)
    return DrawnFace(canvas, points, lip_upper, lip_lower, frame)
