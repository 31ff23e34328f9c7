"""Textures at the output's scale, so that the warp samples them about one to one."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Texture = TypeVar("Texture", npt.NDArray[np.uint8], npt.NDArray[np.int8])


def shrink(texture: Texture, scale: float) -> Texture:
    """[H, W] or [H, W, C] reduced by `scale` with a proper filter; unchanged when scale >= 1.

    Enlarging is left to the warp's bicubic lookup. Colour and alpha
    are reduced independently.
    """
    if scale >= 1.0 or texture.size == 0:
        return texture
    size = (max(1, round(texture.shape[1] * scale)), max(1, round(texture.shape[0] * scale)))
    if texture.dtype == np.int8:
        shifted = (texture.astype(np.int16) + 128).astype(np.uint8)
        small = np.asarray(Image.fromarray(shifted).resize(size, Image.Resampling.BOX))
        return np.ascontiguousarray((small.astype(np.int16) - 128).astype(np.int8))
    channels = [texture] if texture.ndim == 2 else np.moveaxis(texture, 2, 0)
    # Channel by channel: Pillow would premultiply RGBA and blacken the colours under alpha 0, which
    # the warp's straight-alpha lookup reads at the person's edge.
    parts = [Image.fromarray(np.ascontiguousarray(part)) for part in channels]
    reduced = [np.array(part.resize(size, Image.Resampling.LANCZOS), np.uint8) for part in parts]
    return np.asarray(np.stack(reduced, axis=2) if texture.ndim == 3 else reduced[0])


def texture_uv(points_px: Floats, size_px: tuple[int, int], texture: npt.NDArray[Any]) -> Floats:
    """Points of a picture of size (w, h) as pixel coordinates of its (shrunk) texture, [N, 2]."""
    scale = np.array([texture.shape[1] / size_px[0], texture.shape[0] / size_px[1]], np.float32)
    return np.ascontiguousarray((points_px + 0.5) * scale - 0.5, np.float32)
