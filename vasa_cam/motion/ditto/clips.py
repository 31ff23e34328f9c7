"""Clips that overlap become one motion: cross-faded, smoothed, given out when nothing changes them.

A clip begins `frames - overlap` frames after the one before. Of what both cover, the last `fuse`
frames before the new ones are faded linearly from the old clip to the new one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.ditto.condition import POSE

Floats = npt.NDArray[np.float32]

_HALF = 1
"""Frames on either side that the pose of a frame is averaged with."""


class ClipJoiner:
    """Takes clips float32 [frames, d] in turn, gives the frames that are final.

    Raises ValueError unless 1 <= fuse <= overlap < frames.
    """

    def __init__(self, frames: int, overlap: int, fuse: int) -> None:
        if not 1 <= fuse <= overlap < frames:
            raise ValueError(
                f"ClipJoiner: 1 <= fuse ({fuse}) <= overlap ({overlap}) < frames ({frames}) fails"
            )
        self._overlap, self._fuse = overlap, fuse
        self._new = frames - overlap
        alpha = np.arange(fuse, dtype=np.float32) / np.float32(fuse)
        self._alpha = alpha[:, None]
        self._rows: Floats | None = None  # The last frames, of which `fuse` may still change.

    def add(self, clip: Floats) -> Floats:
        """Frames that became final, float32 [n, d]."""
        fuse = self._fuse
        if self._rows is None:
            self._rows = _smoothed(clip, 0)
            return self._rows[: len(clip) - fuse]
        given = len(self._rows) - fuse
        old, new = self._rows[given:], clip[-self._new - fuse : -self._new]
        merged = old * (1 - self._alpha) + new * self._alpha
        rows = np.concatenate([self._rows[:given], merged, clip[-self._new :]])
        rows = _smoothed(rows, given)
        final = rows[given : len(rows) - fuse]
        keep = max(self._overlap, fuse + _HALF) + 1
        self._rows = rows[-keep:]
        return final

    def before_next(self) -> Floats:
        """The frame before the next clip's first, float32 [d]."""
        if self._rows is None:
            raise ValueError("ClipJoiner: there is no clip yet")
        frame: Floats = self._rows[len(self._rows) - self._overlap - 1].copy()
        return frame


def _smoothed(rows: Floats, first: int) -> Floats:
    """Rows with the pose of each from `first` on averaged with its neighbours that are there."""
    result: Floats = rows.copy()
    for index in range(first, len(rows)):
        around = rows[max(0, index - _HALF) : index + _HALF + 1, POSE]
        result[index, POSE] = around.mean(axis=0)
    return result
