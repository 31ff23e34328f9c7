"""Frames from RGB or RGBA to what cameras, encoders and windows want."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check

PixelFormat = Literal["rgb", "bgr", "rgba", "bgra", "i420", "nv12"]
ColourMatrix = Literal["bt601", "bt709"]
Frame = npt.NDArray[np.uint8]

FORMATS: Final[tuple[str, ...]] = get_args(PixelFormat)
HD_LINES: Final = 720
"""From this height on players assume BT.709, below it BT.601."""


def default_matrix(height_px: int) -> ColourMatrix:
    """The matrix that players assume for a frame of this height."""
    return "bt709" if height_px >= HD_LINES else "bt601"


def output_shape(height_px: int, width_px: int, pixel_format: PixelFormat) -> tuple[int, ...]:
    """Shape of a converted frame: [H, W, 3 or 4], or [H * 3 / 2, W] for i420 and nv12."""
    if pixel_format in ("i420", "nv12"):
        return height_px // 2 * 3, width_px
    return height_px, width_px, 3 if pixel_format in ("rgb", "bgr") else 4


def pixel(
    frame: Frame,  # [H, W, 3 or 4] RGB or RGBA
    pixel_format: PixelFormat,
    matrix: ColourMatrix | None = None,
    out: Frame | None = None,
) -> Frame:
    """Convert a frame; i420 and nv12 are limited range, chroma the mean of 2x2 pixels.

    Alpha is dropped by formats without it (the colour is straight, not multiplied) and 255 where
    the frame has none. `matrix` None takes `default_matrix(H)`: ITU-R BT.601-7 below 720 lines,
    BT.709-6 from there up. Planes of i420 follow one another (Y, U, V); nv12 is Y, then U and V
    interleaved. Returns `out`, or a new array. Raises TypeError or ValueError with the remedy,
    for an odd height or width too when the format is 4:2:0.
    """
    height, width, _ = _check.check_array(frame, "pixel", "frame", "uint8", (None, None, (3, 4)))
    if pixel_format not in FORMATS:
        raise ValueError(f"pixel: format must be one of {', '.join(FORMATS)}, got {pixel_format!r}")
    if matrix is None:
        matrix = default_matrix(height)
    elif matrix not in get_args(ColourMatrix):
        raise ValueError(f"pixel: matrix must be bt601 or bt709, got {matrix!r}")
    if pixel_format in ("i420", "nv12") and (height % 2 or width % 2):
        raise ValueError(
            f"pixel: {pixel_format} needs an even height and width, got {height} x {width}; "
            "crop or pad one line or column"
        )
    shape = output_shape(height, width, pixel_format)
    out = _check.check_output(out, "pixel", "out", "uint8", shape, frame)
    _core.pixel(frame, out, pixel_format, matrix, _check.current_stream(frame))
    return out
