"""The plain meaning of `dense_motion` in NumPy, in float64, with a field for every candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.reference_warp_volume import F64, warp_volume

F32 = npt.NDArray[np.float32]
HEAT_VARIANCE = 0.01


def identity_grid(depth: int, height: int, width: int) -> F64:
    """(x, y, z) of every voxel, the corners' centres at -1 and 1, [D, H, W, 3]."""
    axes = (2 * np.arange(size) / (size - 1) - 1 for size in (depth, height, width))
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.stack([x, y, z], -1)


def sparse_motion(source: F32, driving: F32, size: tuple[int, ...]) -> F64:
    """Where each candidate looks: the grid, then for each keypoint the grid moved.

    source: [N or 1, K, 3]; driving: [N, K, 3]; size: D, H, W. Returns [N, K + 1, D, H, W, 3].
    """
    shift = source.astype(np.float64) - driving.astype(np.float64)
    shift = np.concatenate([np.zeros_like(shift[:, :1]), shift], 1)
    return identity_grid(*size) + shift[:, :, None, None, None]


def heatmaps(source: F32, driving: F32, size: tuple[int, ...]) -> F64:
    """Heat of each candidate, [N, K + 1, D, H, W]; shapes as for `sparse_motion`."""
    grid = identity_grid(*size)

    def gaussians(points: F32) -> F64:
        away = grid - points.astype(np.float64)[:, :, None, None, None]
        return np.asarray(np.exp(-0.5 * (away**2).sum(-1) / HEAT_VARIANCE))

    heat = gaussians(driving) - gaussians(source)
    return np.concatenate([np.zeros_like(heat[:, :1]), heat], 1)


def dense_motion_input(
    compressed: npt.NDArray[Any],  # [N, D, H, W, 4] or [1, D, H, W, 4]
    keypoints_source: F32,  # [N, K, 3] or [1, K, 3]
    keypoints_driving: F32,  # [N, K, 3]
) -> F64:
    """As `vasa_cam.ops.dense_motion_input`, without its checks, and float64 comes out."""
    size = compressed.shape[1:4]
    motion = sparse_motion(keypoints_source, keypoints_driving, size)
    heat = heatmaps(keypoints_source, keypoints_driving, size)
    candidates = [
        np.concatenate([heat[:, k, ..., None], warp_volume(compressed, motion[:, k])], -1)
        for k in range(motion.shape[1])
    ]
    return np.concatenate(candidates, -1)


def dense_motion_warp(
    mask_logits: npt.NDArray[Any],  # [N, D, H, W, K + 1]
    keypoints_source: F32,  # [N, K, 3] or [1, K, 3]
    keypoints_driving: F32,  # [N, K, 3]
    volume: npt.NDArray[Any],  # [N, D, H, W, C] or [1, D, H, W, C]
) -> tuple[F64, F64]:
    """As `vasa_cam.ops.dense_motion_warp`, without its checks: the result and the deformation."""
    logits = np.asarray(mask_logits, np.float64)
    masks = np.exp(logits - logits.max(-1, keepdims=True))
    masks /= masks.sum(-1, keepdims=True)
    motion = sparse_motion(keypoints_source, keypoints_driving, volume.shape[1:4])
    deformation = np.einsum("ndhwk,nkdhwa->ndhwa", masks, motion)
    return warp_volume(volume, deformation), deformation
