"""Lip targets: the lower-face coefficients whose shapes explain tracked lip and jaw landmarks.

The two sides share one value (a portrait should not inherit one speaker's asymmetry), so 16
controls stand for 23 coefficients. The fit is least squares through the face model's linear
shapes, with 0 <= value <= 1 and a small quadratic cost that keeps rarely needed shapes at rest.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from vasa_cam.face_model import load_face_model
from vasa_cam.motion.lips import CONTROLS, controls_to_coefficients
from vasa_cam.training.talk_data import TalkClip

Floats = npt.NDArray[np.float32]

LIP_JAW = np.r_[0:40, 52:60]
"""Rows of the tracked landmarks that the targets follow: both lip rings and the jaw."""

TRACKED_VERTICES = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
    *(172, 150, 176, 152, 400, 379, 397, 199),
)
"""Mesh indices of LIP_JAW, in its order."""

_MIRRORED_VERTICES = (
    *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(397, 379, 400, 152, 176, 150, 172, 199),
)
_MIRROR = np.array([TRACKED_VERTICES.index(vertex) for vertex in _MIRRORED_VERTICES])

# How much a control costs against the squared landmark error; the jaw is almost free.
_COST = {"jawOpen": 0.002, "mouthClose": 0.01, "mouthPucker": 0.006, "mouthFunnel": 0.01,
         "mouthStretch": 0.012, "mouthSmile": 0.02, "mouthLowerDown": 0.006,
         "mouthUpperUp": 0.008, "mouthShrugUpper": 0.1, "mouthShrugLower": 0.04,
         "jawForward": 0.05, "mouthFrown": 0.08, "mouthDimple": 0.08,
         "mouthRollUpper": 0.05}  # fmt: skip
_DEFAULT_COST = 0.03
_DEPTH_WEIGHT = 0.25
_INNER_LIP_WEIGHT = 1.6
_SWEEPS = 40
_CLOSED_IOD = 0.02


@cache
def control_basis() -> Floats:
    """Landmark movement per control, float32 [16, 48, 3], in inter-ocular distances, our axes."""
    model = load_face_model()
    v = model.vertices
    eyes = 0.5 * (v[33] + v[133]), 0.5 * (v[263] + v[362])
    iod_cm = float(np.linalg.norm(eyes[0] - eyes[1]))
    rows = controls_to_coefficients(np.eye(len(CONTROLS), dtype=np.float32))
    offsets = model.offsets[:, list(TRACKED_VERTICES)].reshape(len(model.offsets), -1)
    return (rows @ offsets / iod_cm).reshape(len(CONTROLS), len(TRACKED_VERTICES), 3)


def aperture(points: Floats) -> Floats:
    """Opening of the inner lips, |13 - 14| without depth, from landmarks [..., 48 or 60, 3]."""
    return np.asarray(np.hypot(*np.moveaxis(points[..., 15, :2] - points[..., 5, :2], -1, 0)))


def width(points: Floats) -> Floats:
    """Distance of the mouth corners, from landmarks [..., 48 or 60, 3]."""
    return np.asarray(np.linalg.norm(points[..., 10, :2] - points[..., 0, :2], axis=-1))


def closed_rest(clips: list[TalkClip]) -> Floats:
    """A speaker's face with closed lips, float32 [48, 3]: median over closed silent frames."""
    frames = []
    for clip in clips:
        points = clip.landmarks[:, LIP_JAW]
        silent = np.ones(len(points), bool)
        for start, end, symbol in clip.phones or []:
            if symbol != "SIL":
                silent[max(0, round(start * 25) - 3) : round(end * 25) + 3] = False
        gap = aperture(points)
        # Who never closes the lips for the tracker is taken at the smallest tenth of the openings.
        frames.append(points[silent & (gap < max(_CLOSED_IOD, float(np.percentile(gap, 10.0))))])
    return np.asarray(np.median(np.concatenate(frames), axis=0), np.float32)


def closed_rests(clips: list[TalkClip]) -> dict[str, Floats]:
    """closed_rest of every speaker among the clips."""
    speakers = dict.fromkeys(clip.speaker for clip in clips)
    return {who: closed_rest([c for c in clips if c.speaker == who]) for who in speakers}


def clip_movement(clip: TalkClip, rest: Floats) -> Floats:
    """Landmark movement from the closed mouth, mirrored and averaged, float32 [T, 48, 3].

    The clip's own offset against the speaker's rest (the head frame moves a little from clip to
    clip) is the median over its closed frames; most of it is removed.
    """
    points = clip.landmarks[:, LIP_JAW]
    still = aperture(points) < _CLOSED_IOD
    if still.sum() >= 10:
        drift = np.median(points[still], axis=0) - rest
        points = points - 0.8 * drift
    moved = points - rest
    mirrored = moved[:, _MIRROR] * np.array([-1.0, 1.0, 1.0], np.float32)
    return np.asarray(0.5 * (moved + mirrored), np.float32)


def landmark_weights() -> Floats:
    """Weights of the landmark coordinates in fits and losses, float32 [48, 3]."""
    weights = np.ones((len(TRACKED_VERTICES), 3), np.float32)
    weights[:20] *= _INNER_LIP_WEIGHT
    weights[:, 2] *= _DEPTH_WEIGHT
    return weights


def fit_controls(movement: Floats) -> Floats:
    """Controls in 0..1 that explain landmark movement, float32 [T, 48, 3] -> [T, 16].

    Exact cyclic coordinate descent on the box-constrained quadratic problem, all frames at once.
    """
    weights = landmark_weights().reshape(-1)
    basis = control_basis().reshape(len(CONTROLS), -1) * weights
    data = movement.reshape(len(movement), -1) * weights
    cost = np.array([_COST.get(name, _DEFAULT_COST) for name in CONTROLS], np.float32)
    hessian = basis @ basis.T + np.diag(cost)
    linear = data @ basis.T
    values = np.zeros((len(data), len(CONTROLS)), np.float32)
    for _ in range(_SWEEPS):
        for k in range(len(CONTROLS)):
            gradient = values @ hessian[k] - linear[:, k]
            values[:, k] = np.clip(values[:, k] - gradient / hessian[k, k], 0.0, 1.0)
    return values


def predicted_movement(controls: Floats) -> Floats:
    """Landmark movement of controls, float32 [T, 16] -> [T, 48, 3]."""
    basis = control_basis()
    return (controls @ basis.reshape(len(basis), -1)).reshape(-1, *basis.shape[1:])


def signed_opening(movement: Floats) -> Floats:
    """Lip opening of a movement from closed lips, inter-ocular distances; negative = pressed."""
    return np.asarray(movement[..., 15, 1] - movement[..., 5, 1], np.float32)
