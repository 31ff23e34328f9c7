"""Head pose: rotation vectors, Procrustes to the canonical face, MediaPipe's matrices.

Everything is in our axes: x to the image right, y down, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.landmarks import COARSE_VERTICES, EYE_CORNERS

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

UPPER_FACE_MAX_Y_CM: Final = 2.2
"""Below this the canonical face moves with mouth and jaw and says nothing about the head."""

_AXES: Final = np.array([1.0, -1.0, -1.0])


def rotation_matrices(vectors: npt.NDArray[np.floating]) -> Array:
    """Rotation vectors [..., 3] in radians -> matrices [..., 3, 3] (Rodrigues' formula)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    # Both factors stay exact at angle 0: sinc(0) = 1.
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross))


def rotation_vectors(matrices: npt.NDArray[np.floating]) -> Array:
    """Rotation matrices [..., 3, 3] -> rotation vectors [..., 3] in radians, |angle| < pi."""
    matrices = np.asarray(matrices, np.float64)
    twice = np.stack(
        [
            matrices[..., 2, 1] - matrices[..., 1, 2],
            matrices[..., 0, 2] - matrices[..., 2, 0],
            matrices[..., 1, 0] - matrices[..., 0, 1],
        ],
        axis=-1,
    )
    sine = np.linalg.norm(twice, axis=-1) / 2
    cosine = (np.trace(matrices, axis1=-2, axis2=-1) - 1) / 2
    angle = np.arctan2(sine, cosine)
    scale = np.where(sine > 1e-9, angle / np.maximum(2 * sine, 1e-12), 0.5)
    return np.asarray(twice * scale[..., None])


@dataclass(frozen=True)
class HeadPoses:
    """Where a head is in each frame: picture = scale * rotation @ canonical cm + origin.

    rotation: float64 [T, 3, 3]; scale: float64 [T] picture units a cm; origin: float64 [T, 3], the
    canonical origin, which is the pivot of head motion.
    """

    rotation: Array
    scale: Array
    origin: Array

    def to_head(self, points: Floats, canonical: Floats) -> Floats:
        """Points [T, n, 3] in picture units -> the head frame in inter-ocular distances.

        canonical: [468, 3] cm, which fixes the unit.
        """
        local = (points - self.origin[:, None]) @ self.rotation / self.scale[:, None, None]
        return np.asarray(local / iod_cm(canonical), np.float32)

    def motion(self, canonical: Floats) -> Floats:
        """Rotation vector and translation float32 [T, 6], relative to the median pose.

        Translation in inter-ocular distances; the change of scale becomes translation in z (nearer
        is negative), as seen from a distance of twelve of them.
        """
        vectors = rotation_vectors(self.rotation)
        rest = rotation_matrices(np.median(vectors, axis=0))
        turned = rotation_vectors(self.rotation @ rest.T)
        scale = float(np.median(self.scale))
        moved = (self.origin - np.median(self.origin, axis=0)) / (scale * iod_cm(canonical))
        moved[:, 2] = VIEW_DISTANCE_IOD * (scale / self.scale - 1)
        return np.concatenate([turned, moved], axis=1).astype(np.float32)


VIEW_DISTANCE_IOD: Final = 12.0
"""Assumed distance of a webcam's face: about 75 cm."""


def iod_cm(canonical: Floats) -> float:
    """Distance of the eye centres of a face [>=468, 3], in its own unit."""
    right, left = (np.asarray(canonical)[list(corners)].mean(0) for corners in EYE_CORNERS)
    return float(np.linalg.norm(left - right))


def procrustes_poses(points: Floats, canonical: Floats) -> HeadPoses:
    """Head poses from tracked points [T, >=468, 3] (picture units, our axes).

    Least-squares similarity of the canonical upper face (Umeyama 1991), frame by frame.
    canonical: [468, 3] cm.
    """
    rigid = np.flatnonzero(canonical[:COARSE_VERTICES, 1] < UPPER_FACE_MAX_Y_CM)
    source = canonical[rigid].astype(np.float64)
    target = points[:, rigid].astype(np.float64)
    source_mean, target_mean = source.mean(0), target.mean(1)
    covariance = np.einsum("tni,nj->tij", target - target_mean[:, None], source - source_mean)
    u, s, vt = np.linalg.svd(covariance)
    flip = np.ones_like(s)
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * flip[:, None]) @ vt
    scale = (s * flip).sum(1) / ((source - source_mean) ** 2).sum()
    origin = target_mean - scale[:, None] * (rotation @ source_mean)
    return HeadPoses(rotation, scale, origin)


def pose_from_mediapipe(matrices: npt.NDArray[np.floating], iod: float) -> Floats:
    """MediaPipe's facial transformation matrices [T, 4, 4] -> rotation and translation [T, 6].

    MediaPipe's axes are x right, y up, z to the viewer, and its unit is the cm. Result float32 in
    our axes: rotation vector in radians, translation divided by `iod` (cm), both absolute.
    """
    vectors = rotation_vectors(matrices[:, :3, :3]) * _AXES
    return np.concatenate([vectors, matrices[:, :3, 3] * _AXES / iod], axis=1).astype(np.float32)


def relative_to_median(pose: Floats) -> Floats:
    """Absolute rotation vectors and translations [T, 6] -> the same, relative to their median."""
    rest = np.median(pose, axis=0)
    turned = rotation_matrices(pose[:, :3]) @ rotation_matrices(rest[:3]).T
    return np.concatenate([rotation_vectors(turned), pose[:, 3:] - rest[3:]], axis=1).astype(
        np.float32
    )
