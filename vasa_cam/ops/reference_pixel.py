"""The plain meaning of `pixel` in NumPy, in float64 and straight from the standards."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.pixel import ColourMatrix, Frame, PixelFormat, default_matrix, output_shape

_LUMA_WEIGHTS: Final = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Weights of red and blue: ITU-R BT.601-7 section 2.5.1, BT.709-6 item 3.2."""

_ORDER: Final = {"rgb": (0, 1, 2), "bgr": (2, 1, 0), "rgba": (0, 1, 2, 3), "bgra": (2, 1, 0, 3)}


def pixel(
    frame: Frame,  # [H, W, 3 or 4]
    pixel_format: PixelFormat,
    matrix: ColourMatrix | None = None,
    out: Frame | None = None,
) -> Frame:
    """As `vasa_cam.ops.pixel`, without its checks."""
    height, width = frame.shape[:2]
    if out is None:
        out = np.empty(output_shape(height, width, pixel_format), np.uint8)
    if pixel_format in _ORDER:
        opaque = np.full((height, width, 1), 255, np.uint8)
        rgba = np.concatenate([frame, opaque], axis=2)
        out[:] = rgba[:, :, _ORDER[pixel_format]]
        return out
    y, u, v = _yuv_planes(frame[:, :, :3], matrix or default_matrix(height))
    out[:height] = y
    if pixel_format == "nv12":
        out[height:] = np.stack([u, v], axis=2).reshape(height // 2, width)
    else:
        out[height:] = np.concatenate([u.ravel(), v.ravel()]).reshape(height // 2, width)
    return out


def _yuv_planes(rgb: Frame, matrix: ColourMatrix) -> tuple[Frame, Frame, Frame]:
    kr, kb = _LUMA_WEIGHTS[matrix]
    red, green, blue = np.moveaxis(rgb.astype(np.float64), 2, 0) / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma_blue = _mean_2x2((blue - luma) / (2 * (1 - kb)))
    chroma_red = _mean_2x2((red - luma) / (2 * (1 - kr)))
    return _round(16 + 219 * luma), _round(128 + 224 * chroma_blue), _round(128 + 224 * chroma_red)


def _mean_2x2(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    height, width = plane.shape
    means = plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return np.asarray(means)


def _round(plane: npt.NDArray[np.float64]) -> Frame:
    return np.floor(plane + 0.5).astype(np.uint8)
