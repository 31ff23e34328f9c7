"""The plain meaning of `spade`'s ops in NumPy, in float64, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.ops import reference_pixel
from vasa_cam.ops.pixel import ColourMatrix, default_matrix
from vasa_cam.ops.spade import LEAKY_SLOPE, TailFormat

Floats = npt.NDArray[Any]
Levels = npt.NDArray[np.uint8]


def instance_statistics(x: Floats) -> Floats:
    """As `vasa_cam.ops.instance_statistics`: [N, 2, C]."""
    wide = x.astype(np.float64)
    mean, variance = wide.mean(axis=(1, 2)), wide.var(axis=(1, 2))
    return np.stack([mean, 1 / np.sqrt(variance + 1e-5)], axis=1)


def spade_modulate(
    x: Floats,
    statistics: Floats,
    gamma_beta: Floats,
    *,
    bias: Floats | None = None,
    slope: float = LEAKY_SLOPE,
) -> Floats:
    """As `vasa_cam.ops.spade_modulate`: [N, H, W, C]."""
    wide = gamma_beta.astype(np.float64)
    if bias is not None:
        wide = wide + bias
    gamma, beta = np.split(wide, 2, axis=-1)
    mean, rstd = (statistics[:, which, None, None].astype(np.float64) for which in (0, 1))
    factor = gamma_beta.shape[1] // max(1, x.shape[1])
    normed = (x.astype(np.float64) - mean) * rstd
    y = normed.repeat(factor, axis=1).repeat(factor, axis=2) * (1 + gamma) + beta
    return np.where(y < 0, y * slope, y)


def phase_expand(
    parts: Sequence[Floats],
    bias: Floats,
    factor: int,
    *,
    groups: int | None = None,
    relu: bool = True,
) -> Floats:
    """As `vasa_cam.ops.phase_expand`: [N, f h, f w, C], or [G, N, f h, f w, C / G]."""
    if factor == 1:
        whole = parts[0].astype(np.float64)
    else:
        images, height, width, channels = parts[0].shape
        height, width, channels = factor * (height - 1), factor * (width - 1), channels // 4
        whole = np.empty((images, height, width, channels))
        # Pixels before an edge, those behind it, and which edges and numbers of a cell are theirs.
        around = (
            (slice(factor - 1, None, factor), slice(1, None), 0),
            (slice(0, None, factor), slice(None, -1), 1),
        )
        between = [slice(phase, None, factor) for phase in range(1, factor - 1)]
        for y, rows, below in around:
            for x, columns, right in around:
                at = (2 * below + right) * channels
                whole[:, y, x] = parts[0][:, rows, columns, at : at + channels]
            mine = slice(below * channels, (below + 1) * channels)
            for x in between:
                whole[:, y, x] = parts[1][:, rows, :, mine]
                whole[:, x, y] = parts[2][:, :, rows, mine]
        for y in between:
            for x in between:
                whole[:, y, x] = parts[3]
    whole = whole + bias
    if relu:
        whole = np.where(whole < 0, 0, whole)
    if groups is None:
        return whole
    split = np.split(whole, groups, axis=-1)
    return np.stack(split)


def decoder_tail(
    x: Floats, pixel_format: TailFormat = "rgb", *, matrix: ColourMatrix | None = None
) -> Levels:
    """As `vasa_cam.ops.decoder_tail`; like the networks' users it rounds sigmoids to float32."""
    images, height, width, _ = x.shape
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-x[..., :12].astype(np.float64)))
    level = np.nan_to_num(sigmoid.astype(np.float32) * np.float32(255), nan=0.0)
    cells = level.astype(np.uint8).reshape(images, height, width, 3, 2, 2)
    rgb = cells.transpose(0, 1, 4, 2, 5, 3).reshape(images, 2 * height, 2 * width, 3)
    if pixel_format == "rgb":
        return np.ascontiguousarray(rgb)
    weights = matrix or default_matrix(2 * height)
    planes = [reference_pixel.pixel(image, "i420", weights) for image in rgb]
    return np.stack(planes) if planes else np.empty((0, 3 * height, 2 * width), np.uint8)
