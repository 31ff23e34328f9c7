"""Panic: show something harmless at once, whatever the rest is doing."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np

from vasa_cam.live.config import PANIC_MODES, PanicMode
from vasa_cam.live.messages import Bytes
from vasa_cam.live.real_camera import RealCamera
from vasa_cam.live.scene_keeper import SceneKeeper
from vasa_cam.motion.space import neutral

__all__ = ["PANIC_MODES", "PanicMode", "PanicScreen"]

_REST: Final = neutral()[0]

_log = logging.getLogger(__name__)


class PanicScreen:
    """What is shown instead of the live picture. mode: None while there is no panic.

    `enter` and `leave` may be called by any thread; `draw` belongs to the one that draws.
    """

    def __init__(self, camera: RealCamera) -> None:
        self.mode: PanicMode | None = None
        self._camera = camera

    def enter(self, mode: PanicMode) -> None:
        """Show this from the next frame on."""
        _log.warning("panic: %s", mode)
        self.mode = mode
        if mode == "real-camera":
            if self._camera.problem:  # perhaps it is there now
                self._camera.stop()
            self._camera.start()
        else:
            self._camera.stop()

    def leave(self) -> None:
        """Back to the live picture."""
        self.mode = None
        self._camera.stop()

    def toggle(self, mode: PanicMode) -> None:
        """Enter, or leave whatever mode it is."""
        if self.mode is None:
            self.enter(mode)
        else:
            self.leave()

    @property
    def problem(self) -> str:
        """Why the real camera is not shown."""
        return self._camera.problem if self.mode == "real-camera" else ""

    def draw(self, keeper: SceneKeeper, rgb: Bytes, rgba: Bytes | None, now_ns: int) -> bool:
        """Draw into uint8 [H, W, 3] and [H, W, 4]; False when the last frame is to stay."""
        mode = self.mode
        if mode is None or mode == "freeze":
            return False
        if mode == "photo" and keeper.draw(_REST, rgb, rgba, now_ns):
            return True
        camera = self._camera.picture() if mode == "real-camera" else None
        if camera is None:
            rgb.fill(0)
        else:
            np.copyto(rgb, camera)
        if rgba is not None:
            rgba[..., :3] = rgb
            rgba[..., 3] = 255
        return True
