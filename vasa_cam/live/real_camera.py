"""The real camera, for the panic mode that shows it."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from vasa_cam.live.messages import Bytes

if TYPE_CHECKING:
    from av import VideoFrame

_FORMATS: Final = {"linux": ("v4l2", "/dev/video0"), "darwin": ("avfoundation", "0")}
_WINDOWS: Final = ("dshow", "video=Integrated Camera")

_log = logging.getLogger(__name__)


class RealCamera:
    """Reads a camera in a thread and keeps its newest picture at one size.

    device: path or name, None for the system's first. input_format: FFmpeg's, None for the
    system's own. problem: why there is no picture, for people.
    """

    def __init__(
        self, width_px: int, height_px: int, device: str | None, input_format: str | None = None
    ) -> None:
        own_format, first = _FORMATS.get(sys.platform, _WINDOWS)
        self.device = device or first
        self.problem = ""
        self._format = input_format or own_format
        self._size = (width_px, height_px)
        self._picture: Bytes | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; nothing when it is running."""
        if self._thread is None or not self._thread.is_alive():
            self.problem, self._picture = "", None
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="real-camera", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Let the camera go soon."""
        self._stopping.set()
        self._picture = None

    def picture(self) -> Bytes | None:
        """The newest picture, uint8 [H, W, 3]; None before the first and without a camera."""
        return self._picture

    def _run(self) -> None:
        import av

        try:
            with av.open(self.device, format=self._format, timeout=2.0) as container:
                for frame in container.decode(video=0):
                    if self._stopping.is_set():
                        return
                    self._picture = _cover(frame, self._size)
            self.problem = f"the camera {self.device} gives no more pictures"
        except (av.FFmpegError, OSError, IndexError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.problem = f"the camera {self.device} cannot be read ({reason}); showing black"
        self._picture = None
        _log.error("%s", self.problem)


def _cover(frame: VideoFrame, size: tuple[int, int]) -> Bytes:
    """A video frame scaled and cropped to fill the size, uint8 [H, W, 3]."""
    width, height = size
    scale = max(width / frame.width, height / frame.height)
    scaled = (max(width, round(frame.width * scale)), max(height, round(frame.height * scale)))
    pixels = frame.reformat(*scaled, format="rgb24").to_ndarray()
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
