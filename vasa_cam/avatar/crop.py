"""Head and shoulders: which part of the photo becomes the canvas, and at what scale.

The view is the square that is shown at 1:1 framing. The canvas is the view and an overscan around
it, so that motion reveals pixels; it may reach beyond the photo, where `portrait` continues it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

MIN_VIEW_PX: Final = 512
MAX_VIEW_PX: Final = 1024
FACE_SHARE: Final = 0.45
"""Height of the face over the view's, where the photo has room."""
TIGHTEST_SHARE: Final = 0.69
"""A view is never tighter around the face than this, even when it leaves the photo."""
FACE_CENTRE: Final = 0.53
"""Height of the face's centre in the view: room for hair above, shoulders below."""
OVERSCAN: Final = 0.14
WIDEST: Final = 16 / 9


@dataclass(frozen=True)
class Framing:
    """How the canvas lies on the photo: canvas = (photo - origin) * scale, in pixel edges.

    canvas: width, height. view: x, y, width, height (a square) in canvas px.
    inside: x0, y0, x1, y1, the canvas pixels that the photo covers (end exclusive).
    """

    origin: tuple[float, float]
    scale: float
    canvas: tuple[int, int]
    view: tuple[int, int, int, int]
    inside: tuple[int, int, int, int]

    def to_canvas(self, points: F32) -> F32:
        """Points [.., 3] in photo pixels (centres at whole numbers) to canvas pixels; z scaled."""
        origin = np.array([*self.origin, 0.0])
        half = np.array([0.5, 0.5, 0.0])
        moved: F32 = ((points + half - origin) * self.scale - half).astype(np.float32)
        return moved


def frame_head(photo_size: tuple[int, int], face_box: tuple[float, float, float, float]) -> Framing:
    """Choose view and canvas for a face box (x, y, width, height) in a photo (width, height).

    The face takes 45 % of the view's height; the view shrinks and shifts to stay inside the photo
    while the face takes up to 69 %, and leaves the photo beyond that. Its side becomes 512 .. 1024
    canvas px, at the photo's own resolution when that lies between. The overscan is 14 % on every
    side, and wider left and right, up to 16:9, where the photo has it.
    """
    width, height = photo_size
    x, y, face_width, face_height = face_box
    size = max(face_height, 1.05 * face_width)
    side = round(min(size / FACE_SHARE, max(min(width, height), size / TIGHTEST_SHARE)))
    left = _keep_inside(x + face_width / 2 - side / 2, side, width)
    top = _keep_inside(y + face_height / 2 - FACE_CENTRE * side, side, height)
    view = min(max(side, MIN_VIEW_PX), MAX_VIEW_PX)
    scale = view / side
    overscan = math.ceil(OVERSCAN * view)
    most = math.floor((WIDEST - 1) / 2 * view)
    before = min(max(math.floor(left * scale), overscan), most)
    after = min(max(math.floor((width - left - side) * scale), overscan), most)
    canvas = (before + view + after, view + 2 * overscan)
    origin = (left - before / scale, top - overscan / scale)
    inside = (
        max(0, math.ceil(-origin[0] * scale - 1e-6)),
        max(0, math.ceil(-origin[1] * scale - 1e-6)),
        min(canvas[0], math.floor((width - origin[0]) * scale + 1e-6)),
        min(canvas[1], math.floor((height - origin[1]) * scale + 1e-6)),
    )
    return Framing(origin, scale, canvas, (before, overscan, view, view), inside)


def _keep_inside(start: float, side: int, length: int) -> int:
    """`start` moved as little as needed so that start .. start + side lies in 0 .. length.

    A side longer than the length covers it whole.
    """
    low, high = sorted((0, length - side))
    return round(min(max(start, low), high))


def resample(pixels: U8, framing: Framing) -> U8:
    """The photo's part under `framing.inside`, uint8 [h, w] or [h, w, C], Lanczos-filtered.

    At scale 1 the photo's own pixels, untouched.
    """
    x0, y0, x1, y1 = framing.inside
    height, width = pixels.shape[:2]
    box = (
        min(max(x0 / framing.scale + framing.origin[0], 0), width),
        min(max(y0 / framing.scale + framing.origin[1], 0), height),
        min(max(x1 / framing.scale + framing.origin[0], 0), width),
        min(max(y1 / framing.scale + framing.origin[1], 0), height),
    )
    margin = math.ceil(4 / min(framing.scale, 1.0))  # Lanczos reaches three pixels of the result
    left, top = max(0, math.floor(box[0]) - margin), max(0, math.floor(box[1]) - margin)
    right, bottom = math.ceil(box[2]) + margin, math.ceil(box[3]) + margin
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    local = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    size = (x1 - x0, y1 - y0)
    if framing.scale == 1.0:
        corner_x, corner_y = round(local[0]), round(local[1])
        resized: U8 = part[corner_y : corner_y + size[1], corner_x : corner_x + size[0]].copy()
        return resized
    resized = np.array(Image.fromarray(part).resize(size, Image.Resampling.LANCZOS, box=local))
    return resized
