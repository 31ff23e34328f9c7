"""Frames of any size, with or without alpha, brought to the RGB picture that an output wants."""

from __future__ import annotations

from typing import Final

import numpy as np

from vasa_cam.ops.compose import compose_over
from vasa_cam.output.sink import Bytes

GREY: Final = 46
"""Level of the plain background behind transparent frames and in the bars beside scaled ones."""


class Canvas:
    """RGB of one size. A frame of that size without alpha passes untouched, at no cost.

    Alpha is laid over the background; another size is scaled until it fits, with bars at the sides.
    A frame that is one pixel wider or higher (an odd size, which cameras and codecs lack) loses its
    last column or row and stays sharp.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._plain = np.full((height, width, 3), GREY, np.uint8)
        self._background = self._plain
        self._out = np.empty_like(self._plain)

    def set_background(self, background: Bytes | None) -> None:
        """uint8 [H, W, 3] of the canvas's size; None, or another size, is plain grey."""
        fits = background is not None and background.shape == self._plain.shape
        self._background = np.array(background) if fits else self._plain

    def draw(self, frame: Bytes) -> Bytes:
        """The picture for a frame, uint8 [H, W, 3]: to be read only, until the next call."""
        over_x, over_y = frame.shape[1] - self.width, frame.shape[0] - self.height
        if (over_x, over_y) != (0, 0):
            if over_x in (0, 1) and over_y in (0, 1):
                frame = frame[: self.height, : self.width]
            else:
                frame = self._scaled(frame)
        frame = np.ascontiguousarray(frame)
        left = (self.width - frame.shape[1]) // 2
        top = (self.height - frame.shape[0]) // 2
        if frame.shape[2] == 4:
            return compose_over(self._background, frame, (left, top), out=self._out)
        if (left, top) == (0, 0) and frame.shape == self._plain.shape:
            return frame
        self._out[:] = self._background
        self._out[top : top + frame.shape[0], left : left + frame.shape[1]] = frame
        return self._out

    def _scaled(self, frame: Bytes) -> Bytes:
        from PIL import Image

        height, width = frame.shape[:2]
        scale = min(self.width / width, self.height / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = Image.fromarray(np.ascontiguousarray(frame))
        # Two steps when much is thrown away: the box filter is quick and hides no aliasing.
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
