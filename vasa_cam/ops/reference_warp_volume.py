"""The plain meaning of `warp_volume` in NumPy, in float64 and eight neighbours at a time."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.warp_volume import Padding

F64 = npt.NDArray[np.float64]


def warp_volume(
    volume: npt.NDArray[Any],  # [N, D, H, W, C] or [1, D, H, W, C]
    grid: npt.NDArray[Any],  # [N, Do, Ho, Wo, 3]
    *,
    padding: Padding = "zeros",
    align_corners: bool = False,
) -> F64:
    """As `vasa_cam.ops.warp_volume`, without its checks, and float64 comes out."""
    samples, channels = len(grid), volume.shape[-1]
    places = np.asarray(grid, np.float64).reshape(samples, int(np.prod(grid.shape[1:4])), 3)
    out = np.zeros((samples, places.shape[1], channels))
    for sample in range(samples):
        voxels = np.asarray(volume[sample % len(volume)], np.float64)
        out[sample] = look_up(voxels, places[sample], padding, align_corners)
    return out.reshape(*grid.shape[:-1], channels)


def look_up(voxels: F64, places: F64, padding: Padding, align_corners: bool) -> F64:
    """Places [P, 3] (x, y, z) of one sample [D, H, W, C], as [P, C]."""
    size = np.array(voxels.shape[2::-1])  # W, H, D
    faces = ((places + 1) * size - 1) / 2
    position = (places + 1) / 2 * (size - 1) if align_corners else faces
    if padding == "border":
        position = np.where(np.isnan(position), size - 1, np.clip(position, 0, size - 1))
    # A place that has no neighbour inside, or is no number, is moved to where all are outside.
    position = np.where((position >= -1) & (position < size), position, -2)
    low = np.floor(position).astype(np.int64)
    upper = position - low
    out = np.zeros((len(places), voxels.shape[-1]))
    for step in product((0, 1), repeat=3):
        neighbour = low + step
        inside = ((neighbour >= 0) & (neighbour < size)).all(1)
        weight = np.where(step, upper, 1 - upper).prod(1)
        x, y, z = neighbour[inside].T
        out[inside] += weight[inside, None] * voxels[z, y, x]
    return out
