"""Picture memory that frames reuse: allocated once, lent out, counted back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from vasa_cam.live.messages import Bytes, Frame


@dataclass(eq=False)
class Picture:
    """Memory of one frame: rgb uint8 [H, W, 3], rgba uint8 [H, W, 4] or None."""

    rgb: Bytes
    rgba: Bytes | None
    holders: int = 0


@dataclass(frozen=True, eq=False)
class LentFrame:
    """A frame and the memory that it lies in.

    ready_ns: when it had been drawn. repeat: it was shown before.
    """

    frame: Frame
    picture: Picture
    ready_ns: int
    repeat: bool = False


@dataclass(eq=False)
class PicturePool:
    """Lends pictures of one size. Whoever keeps a frame holds its picture and lets go once.

    limit: pictures that exist at most; above it `borrow` gives None. alpha: pictures have rgba.
    """

    width_px: int
    height_px: int
    alpha: bool
    limit: int
    _free: list[Picture] = field(default_factory=list)
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def borrow(self) -> Picture | None:
        """A picture that nobody else uses, held once; None when all are held."""
        with self._lock:
            if self._free:
                picture = self._free.pop()
            elif self._made < self.limit:
                self._made += 1
                picture = self._make()
            else:
                return None
            picture.holders = 1
            return picture

    def hold(self, picture: Picture) -> None:
        """One more holder."""
        with self._lock:
            picture.holders += 1

    def let_go(self, picture: Picture) -> None:
        """One holder less; the last one gives the picture back."""
        with self._lock:
            picture.holders -= 1
            if picture.holders == 0:
                self._free.append(picture)

    @property
    def lent(self) -> int:
        """Pictures in use."""
        return self._made - len(self._free)

    def _make(self) -> Picture:
        shape = (self.height_px, self.width_px)
        rgba = np.zeros((*shape, 4), np.uint8) if self.alpha else None
        return Picture(np.zeros((*shape, 3), np.uint8), rgba)
