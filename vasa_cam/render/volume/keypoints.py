"""The arithmetic of keypoints and head pose, in float32 and without torch.

Coordinates are normalised to -1 .. 1: x to the image right, y down, z into the picture. Points are
row vectors: a rotation R turns them as x @ R.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_BIN_DEGREES = 3.0
_FIRST_BIN_DEGREES = -97.5


def degrees(bins: npt.ArrayLike) -> Floats:
    """Angles [..] from scores over bins of 3 degrees [.., 66]: the mean, -97.5 .. 97.5.

    Values [.., 1] are angles already.
    """
    scores = np.asarray(bins, np.float32)
    if scores.shape[-1] == 1:
        return scores[..., 0]
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    centre = weights @ np.arange(scores.shape[-1], dtype=np.float32)
    return np.asarray(_BIN_DEGREES * centre + _FIRST_BIN_DEGREES, np.float32)


def rotation(pitch: npt.ArrayLike, yaw: npt.ArrayLike, roll: npt.ArrayLike) -> Floats:
    """R [.., 3, 3] = (Rz(roll) Ry(yaw) Rx(pitch))^T of angles [..] in degrees."""
    x, y, z = (np.deg2rad(np.asarray(angle, np.float32)) for angle in (pitch, yaw, roll))
    turned = _about(2, z) @ _about(1, y) @ _about(0, x)
    return np.asarray(np.swapaxes(turned, -1, -2), np.float32)


def _about(axis: int, angle: Floats) -> Floats:
    """Right-handed rotation about x, y or z."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*np.shape(angle), 3, 3), np.float32)
    matrix[..., axis, axis] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = np.cos(angle)
    matrix[..., j, i] = np.sin(angle)
    matrix[..., i, j] = -matrix[..., j, i]
    return matrix


def transform(kp: Floats, R: Floats, exp: Floats, scale: Floats, t: Floats) -> Floats:
    """scale (kp R + exp) + t without t's z: keypoints [.., K, 3] in the picture.

    kp, exp: [.., K, 3]. R: [.., 3, 3]. scale: [..]. t: [.., 3].
    """
    moved = np.asarray(scale, np.float32)[..., None, None] * (kp @ R + exp)
    moved[..., :2] += t[..., None, :2]
    return np.asarray(moved, np.float32)


def hull_volume(points: npt.ArrayLike) -> float:
    """Volume of the convex hull of points [n, 3]; 0 when they lie in a plane.

    A triangle of points is a face when all others lie on one side: with 21 points there are 1,330
    triangles, which NumPy tests at once.
    """
    given = np.asarray(points, np.float64)
    centred = given - given.mean(axis=0)
    size = np.abs(centred).max(initial=0.0)
    if len(given) < 4 or size == 0.0:
        return 0.0
    # Four points in one plane would give overlapping faces: a tiny fixed scatter separates them.
    scatter = np.random.default_rng(0).standard_normal(centred.shape)
    centred += 1e-9 * size * scatter
    corners = np.array(list(combinations(range(len(given)), 3)))
    a, b, c = (centred[corners[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    side = normal @ centred.T - (normal * a).sum(axis=1, keepdims=True)
    side[np.arange(len(corners))[:, None], corners] = 0.0
    outside = np.where((side <= 0.0).all(axis=1), 1.0, np.where((side >= 0.0).all(axis=1), -1, 0.0))
    volume = float((outside * (normal * a).sum(axis=1)).sum()) / 6.0
    return volume if volume > 1e-7 * size**3 else 0.0


def expression_factor(source: Floats, driving: Floats) -> float:
    """How much larger the source's face is than the driving one's, from keypoints [K, 3] of both.

    LivePortrait's measure: the square root of the ratio of the convex hulls' volumes. 1 when either
    hull is flat.
    """
    volumes = hull_volume(source), hull_volume(driving)
    if 0.0 in volumes:
        return 1.0
    return float(np.sqrt(volumes[0]) / np.sqrt(volumes[1]))


def stitched(driving: Floats, delta: Floats) -> Floats:
    """Driving keypoints [.., K, 3] after the stitching network's result [.., 3 K + 2]."""
    offsets = delta[..., :-2].reshape(driving.shape)
    moved = driving + offsets
    moved[..., :2] += delta[..., None, -2:]
    return np.asarray(moved, np.float32)
