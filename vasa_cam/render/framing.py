"""Framing: how the avatar's canvas is placed in the output, and what is behind the person.

The avatar's view square fills the shorter side of the output. Where the output is wider than the
stored canvas, the background continues as a blurred reflection and the person's cut edge is
feathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageFilter, UnidentifiedImageError

from vasa_cam.errors import InputError

Bytes = npt.NDArray[np.uint8]

_BLUR_SHARE: Final = 0.03
_EXTENSION_BLUR_SHARE: Final = 0.02
_FEATHER_SHARE: Final = 0.04


@dataclass(frozen=True)
class Framing:
    """Maps canvas pixels to output pixels: output = canvas * scale + offset (pixel centres).

    width, height: output size in pixels; scale: output px per canvas px; offset_px: (x, y).
    """

    width: int
    height: int
    scale: float
    offset_px: tuple[float, float]

    @classmethod
    def fit(cls, view_px: tuple[float, float, float, float], width: int, height: int) -> Framing:
        """Fits the view (x, y, w, h in canvas px) into width x height, standing on the bottom."""
        x, y, w, h = view_px
        scale = min(width / w, height / h)
        left = (width - w * scale) / 2.0
        top = height - h * scale
        # Pixel centres sit at integers, so edges are half a pixel off on both sides.
        return cls(
            width,
            height,
            scale,
            (left - (x - 0.5) * scale - 0.5, top - (y - 0.5) * scale - 0.5),
        )


def place(picture: Bytes, framing: Framing) -> Bytes:
    """A canvas picture u8 [Hc, Wc, 3] as u8 [H, W, 3] of the output, continued beyond its edges."""
    height, width = framing.height, framing.width
    x0, y0 = framing.offset_px
    exact = framing.scale == 1.0 and x0 == round(x0) and y0 == round(y0)
    rows = (np.arange(height) - y0) / framing.scale
    columns = (np.arange(width) - x0) / framing.scale
    inside_y = (rows > -0.5) & (rows < picture.shape[0] - 0.5)
    inside_x = (columns > -0.5) & (columns < picture.shape[1] - 0.5)
    if exact:
        source = picture
        row_index, column_index = np.rint(rows).astype(int), np.rint(columns).astype(int)
    else:
        size = (
            max(1, round(picture.shape[1] * framing.scale)),
            max(1, round(picture.shape[0] * framing.scale)),
        )
        source = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
        row_index = np.rint((rows + 0.5) * size[1] / picture.shape[0] - 0.5).astype(int)
        column_index = np.rint((columns + 0.5) * size[0] / picture.shape[1] - 0.5).astype(int)
    row_index = _reflect(row_index, source.shape[0])
    column_index = _reflect(column_index, source.shape[1])
    out = np.ascontiguousarray(source[row_index[:, None], column_index[None, :]])
    if inside_y.all() and inside_x.all():
        return out
    soft = Image.fromarray(out).filter(
        ImageFilter.GaussianBlur(max(1.0, _EXTENSION_BLUR_SHARE * height))
    )
    inside = inside_y[:, None] & inside_x[None, :]
    return np.asarray(np.where(inside[..., None], out, np.asarray(soft)), np.uint8)


def feather_cut_edges(texture_rgba: Bytes, framing: Framing) -> Bytes:
    """Fades the person out at canvas edges that lie inside the output, where the photo was cut."""
    width = texture_rgba.shape[1]
    left = framing.offset_px[0] - 0.5 * framing.scale
    right = left + width * framing.scale
    reach = max(2.0, _FEATHER_SHARE * width)
    column = np.arange(width, dtype=np.float64)
    fade = np.ones(width)
    if left > 0.5:
        fade = np.minimum(fade, column / reach)
    if right < framing.width - 0.5:
        fade = np.minimum(fade, (width - 1 - column) / reach)
    if fade.min() >= 1.0:
        return texture_rgba
    out: Bytes = texture_rgba.copy()
    ramp = np.clip(fade, 0.0, 1.0)
    out[..., 3] = np.rint(out[..., 3] * (ramp * ramp * (3.0 - 2.0 * ramp))[None])
    return out


def check_background(choice: str) -> None:
    """Raises InputError unless `make_background` will accept the choice; reads an image file."""
    if choice not in ("photo", "blur", "transparent") and _colour(choice) is None:
        _picture(Path(choice))


def make_background(choice: str, plate_rgb: Bytes, framing: Framing) -> Bytes:
    """The picture behind the person: u8 [H, W, 3], or [H, W, 4] of zeros for "transparent".

    choice: "photo" (the portrait's own), "blur", "transparent", a colour (`#1e88e5`, `navy`) or the
    path of an image. Raises InputError when it is none of these.
    """
    size = (framing.width, framing.height)
    if choice == "transparent":
        return np.zeros((framing.height, framing.width, 4), np.uint8)
    if choice in ("photo", "blur"):
        placed = place(plate_rgb, framing)
        if choice == "photo":
            return placed
        radius = _BLUR_SHARE * framing.height
        return np.array(Image.fromarray(placed).filter(ImageFilter.GaussianBlur(radius)), np.uint8)
    colour = _colour(choice)
    if colour is None:
        return _cover(_picture(Path(choice)), size)
    return np.tile(np.array(colour, np.uint8), (size[1], size[0], 1))


def _colour(choice: str) -> tuple[int, ...] | None:
    try:
        return ImageColor.getrgb(choice)[:3]
    except ValueError:
        return None


def _picture(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            picture: Image.Image = image.convert("RGB")
            return picture
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        raise InputError(
            f"background must be photo, blur, transparent, a colour such as #1e88e5 or an image "
            f"file, got {str(path)!r}, which is none of these"
        ) from None


def _cover(picture: Image.Image, size: tuple[int, int]) -> Bytes:
    """A picture scaled and cropped to fill the output."""
    scale = max(size[0] / picture.width, size[1] / picture.height)
    scaled = picture.resize(
        (max(size[0], round(picture.width * scale)), max(size[1], round(picture.height * scale))),
        Image.Resampling.LANCZOS,
    )
    left, top = (scaled.width - size[0]) // 2, (scaled.height - size[1]) // 2
    return np.array(scaled.crop((left, top, left + size[0], top + size[1])), np.uint8)


def _reflect(index: npt.NDArray[np.int_], size: int) -> npt.NDArray[np.int_]:
    """Mirrors indices at both ends, as often as needed."""
    period = max(1, 2 * size)
    folded = index % period
    return np.where(folded < size, folded, period - 1 - folded)
