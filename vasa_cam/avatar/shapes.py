"""ARKit's 52 shapes fitted to one face, and the correction that brings a smiling photo to rest.

The canonical offsets are scaled to the person's mouth and eyes; what must meet exactly (lids of a
blink, lips of a closed mouth) is solved anew on the person's own landmarks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.handles import HandleField
from vasa_cam.face_model import FaceModel
from vasa_cam.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    LOWER_MOUTH_LINE,
    MOUTH_CORNERS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_RINGS,
    UPPER_MOUTH_LINE,
)
from vasa_cam.motion.space import ARKIT_NAMES, COEFFICIENTS, INDEX

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

IOD_CM: Final = 6.302
"""Eye centre to eye centre on the canonical face."""
REST_ROW: Final = COEFFICIENTS
"""Row of the rest correction, applied with weight 1 to every frame."""

MOUTH_SCALE_RANGE: Final = (0.75, 1.3)
EYE_SCALE_RANGE: Final = (0.45, 1.8)
LIP_SCALE_RANGE: Final = (0.5, 1.6)
LID_MEET: Final = 0.88
"""Closed lids meet this far down from the upper towards the lower lid."""
LID_BULGE_CM: Final = 0.12
"""A closed lid follows the eyeball: this much nearer to the camera in its middle."""
UNSMILE: Final = 0.6
"""Share of a photographed smile that the rest correction takes back; more looks pulled."""
SMILE_LIFT_CM: Final = 0.6
SMILE_WIDENING: Final = 0.3
"""What both mouthSmile at 1 do to the canonical mouth: corners up, width in shares."""
GAP_WITHOUT_JAW_CM: Final = 0.35
"""An open mouth up to this gap is closed by the lips alone, beyond it half by the jaw."""
SEAL_FOLLOW: Final = (0.5, 0.72, 0.9, 1.0)
"""How far the lip rings, outer to inner, follow when an open mouth is closed."""

_EYES: Final = (
    ("Right", RIGHT_UPPER_LID, RIGHT_LOWER_LID),
    ("Left", LEFT_UPPER_LID, LEFT_LOWER_LID),
)
_LIP_HEIGHT_SHAPES: Final = (
    "mouthRollUpper",
    "mouthRollLower",
    "mouthPressLeft",
    "mouthPressRight",
)


def personal_shapes(model: FaceModel, rest_cm: Floats, closed_mouth: bool) -> tuple[Floats, Floats]:
    """Offsets [53, 468, 3] in cm and fold weights [53, 468] of one person; both float32.

    rest_cm: [468, 3] the person's landmarks in the head frame (cm, our axes) as photographed.
    Rows 0..51 are ARKit's coefficients. Row 52 is the rest correction: zero for a closed mouth,
    otherwise it closes the mouth exactly and takes back most of a smile. Lids meet exactly at
    eyeBlink = 1, and jawOpen = mouthClose = w leaves a closed mouth closed. Offsets hold for the
    face after row 52. Raises ValueError when the shape of rest_cm is wrong.
    """
    if rest_cm.shape != model.vertices.shape:
        raise ValueError(f"rest_cm must be {model.vertices.shape}, got {rest_cm.shape}")
    rest = rest_cm.astype(np.float64)
    canonical = model.vertices.astype(np.float64)
    field = HandleField(canonical, model.triangles)
    offsets = np.zeros((COEFFICIENTS + 1, *rest.shape))
    offsets[:COEFFICIENTS] = model.offsets
    folds = np.zeros((COEFFICIENTS + 1, len(rest)))
    folds[:COEFFICIENTS] = model.folds
    if not closed_mouth:
        smile = smile_amount(canonical, rest)
        offsets[REST_ROW] = _rest_correction(field, offsets, rest, smile)
        _nasolabial_rows(folds)[:] *= 1 - UNSMILE * smile
    settled = rest + offsets[REST_ROW]
    _scale_mouth(offsets, canonical, settled)
    for side, upper, lower in _EYES:
        _fit_eye(offsets, field, (canonical, settled), side, (upper, lower))
    return offsets.astype(np.float32), folds.astype(np.float32)


def smile_amount(canonical: Array, rest: Array) -> float:
    """How much a photographed face smiles, 0..1, from corner height and mouth width.

    canonical, rest: [468, 3] cm. Heights are taken against the upper lip, which a dropped jaw
    leaves in place.
    """

    def measures(face: Array) -> tuple[float, float]:
        right, left = face[list(MOUTH_CORNERS)]
        drop = (right[1] + left[1]) / 2 - face[UPPER_LIP_RINGS[0][5], 1]
        return float(drop), float(np.linalg.norm((left - right)[:2]))

    (usual_drop, usual_width), (drop, width) = measures(canonical), measures(rest)
    by_height = (usual_drop - drop) / SMILE_LIFT_CM
    by_width = (width / usual_width - 1) / SMILE_WIDENING
    return float(np.clip(0.6 * by_height + 0.4 * by_width, 0, 1))


def _nasolabial_rows(folds: Array) -> Array:
    return folds[INDEX["mouthSmileLeft"] : INDEX["mouthSmileRight"] + 1]


def _rest_correction(field: HandleField, offsets: Array, rest: Array, smile: float) -> Array:
    """Offset [468, 3] that closes an open mouth, jaw included, and takes back its smile."""
    upper, lower = np.asarray(UPPER_MOUTH_LINE), np.asarray(LOWER_MOUTH_LINE)
    gap = float((rest[lower] - rest[upper])[:, 1].max())
    jaw = offsets[INDEX["jawOpen"]]
    jaw_gap = float((jaw[lower] - jaw[upper])[:, 1].max())
    share = max(0.0, gap - GAP_WITHOUT_JAW_CM) * 0.5 / jaw_gap
    smiles = offsets[INDEX["mouthSmileLeft"]] + offsets[INDEX["mouthSmileRight"]]
    correction = -UNSMILE * smile * smiles - share * jaw
    return np.asarray(correction + _closing(field, rest + correction))


def _closing(field: HandleField, face: Array) -> Array:
    """Offset [468, 3] that brings the two mouth lines together, the lips following."""
    centre = face[[UPPER_MOUTH_LINE[5], LOWER_MOUTH_LINE[5]]].mean(0)
    distance = np.linalg.norm((face - centre) * np.array([1.0, 1.0, 0.5]), axis=1)
    handles = {int(i): np.zeros(3) for i in np.flatnonzero(distance > 4.6)}
    handles |= {i: np.zeros(3) for i in (2, 97, 326, 98, 327, 152, 148, 377)}
    for k in range(len(UPPER_MOUTH_LINE)):
        above, below = face[UPPER_MOUTH_LINE[k]], face[LOWER_MOUTH_LINE[k]]
        meet = 0.45 * above + 0.55 * below
        meet[2] = min(above[2], below[2])
        for follow, up, low in zip(SEAL_FOLLOW, UPPER_LIP_RINGS, LOWER_LIP_RINGS, strict=True):
            if up[k] == low[k]:
                handles[up[k]] = follow * (2 * meet - above - below) / 2
            else:
                handles[up[k]] = follow * (meet - above)
                handles[low[k]] = follow * (meet - below)
    return field.solve(handles)


def _scale_mouth(offsets: Array, canonical: Array, face: Array) -> None:
    """Mouth shapes to the person's mouth width; rolls and presses also to the lips' height."""
    right, left = MOUTH_CORNERS
    width = np.linalg.norm(face[left] - face[right]) / np.linalg.norm(
        canonical[left] - canonical[right]
    )
    width = float(np.clip(width, *MOUTH_SCALE_RANGE))
    for name in ARKIT_NAMES:
        if name.startswith("mouth") and name != "mouthClose":
            offsets[INDEX[name]] *= width
    # The jaw's drop belongs to the skull, not to the lips; mouthClose must undo exactly it.
    offsets[[INDEX["jawOpen"], INDEX["mouthClose"]], :, 0] *= width
    for rings, rows in ((UPPER_LIP_RINGS, True), (LOWER_LIP_RINGS, False)):
        outer, line = rings[0][5], rings[3][5]
        height = abs(face[line, 1] - face[outer, 1]) / abs(canonical[line, 1] - canonical[outer, 1])
        height = float(np.clip(height / width, *LIP_SCALE_RANGE))
        here = _beside_lip(canonical, rows)
        for name in _LIP_HEIGHT_SHAPES:
            offsets[INDEX[name], here, 1] *= height


def _beside_lip(canonical: Array, upper: bool) -> npt.NDArray[np.bool_]:
    """Vertices above (or below) the mouth line, the lips' own sides of the cut included."""
    seam = (canonical[UPPER_MOUTH_LINE[5], 1] + canonical[LOWER_MOUTH_LINE[5], 1]) / 2
    above = canonical[:, 1] < seam
    above[[i for ring in UPPER_LIP_RINGS for i in ring[1:-1]]] = True
    above[[i for ring in LOWER_LIP_RINGS for i in ring[1:-1]]] = False
    return np.asarray(above if upper else ~above)


def _fit_eye(
    offsets: Array,
    field: HandleField,
    faces: tuple[Array, Array],
    side: str,
    lids: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    """Eye shapes of one side to its opening; the blink's lids to exact contact."""
    canonical, face = faces
    upper, lower = (np.asarray(lid) for lid in lids)

    def opening(points: Array) -> float:
        return float(np.linalg.norm(points[upper] - points[lower], axis=1)[2:-2].mean())

    ratio = float(np.clip(opening(face) / opening(canonical), *EYE_SCALE_RANGE))
    for name in ("LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide", "Blink"):
        offsets[INDEX[f"eye{name}{side}"]] *= ratio
    blink = offsets[INDEX[f"eyeBlink{side}"]]
    meet = (1 - LID_MEET) * face[upper] + LID_MEET * face[lower]
    meet[:, 2] -= LID_BULGE_CM * min(ratio, 1.0) * np.sin(np.linspace(0, np.pi, len(upper)))
    middle = canonical[np.concatenate([upper, lower])].mean(0)
    distance = np.linalg.norm((canonical - middle)[:, :2] / np.array([3.4, 1.9]), axis=1)
    handles = {int(i): np.zeros(3) for i in np.flatnonzero(distance > 1)}
    for k in range(len(upper)):
        handles[int(upper[k])] = meet[k] - face[upper[k]] - blink[upper[k]]
        if 0 < k < len(upper) - 1:
            handles[int(lower[k])] = meet[k] - face[lower[k]] - blink[lower[k]]
    blink += field.solve(handles)


def shapes_for_landmarks(
    model: FaceModel, rest_iod: Floats, indices: tuple[int, ...] | list[int]
) -> Floats:
    """Offsets [52, 468, 3] cm of a person of whom only some landmarks at rest are known.

    rest_iod: [n, 3] in inter-ocular distances (head frame, our axes), mouth closed; indices: their
    MediaPipe indices, below 468. The canonical face is bent smoothly through them first.
    """
    known = {index: rest_iod[k] * IOD_CM for k, index in enumerate(indices)}
    canonical = model.vertices.astype(np.float64)
    # The two head frames may differ in origin: the landmarks' mean carries no expression.
    shift = np.mean([canonical[i] - p for i, p in known.items()], axis=0)
    handles = {i: p + shift - canonical[i] for i, p in known.items()}
    bent = canonical + HandleField(canonical, model.triangles).solve(handles)
    offsets, _ = personal_shapes(model, bent.astype(np.float32), closed_mouth=True)
    return offsets[:COEFFICIENTS]
