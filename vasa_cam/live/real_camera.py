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
_PATIENCE_S: Final = 2.0

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
        self._stopping: threading.Event | None = None  # of the reading thread, while it is wanted
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; nothing when it is running."""
        if self._stopping is None:
            self.problem, self._picture = "", None
            self._stopping = threading.Event()
            arguments = (self._stopping, self._thread)
            self._thread = threading.Thread(
                target=self._run, args=arguments, name="real-camera", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Let the camera go soon."""
        stopping, self._stopping, self._picture = self._stopping, None, None
        if stopping is not None:
            stopping.set()

    def picture(self) -> Bytes | None:
        """The newest picture, uint8 [H, W, 3]; None before the first and without a camera."""
        return self._picture

    def _run(self, stopping: threading.Event, before: threading.Thread | None) -> None:
        import av

        if before is not None:  # it may not have let go of the camera yet
            before.join(_PATIENCE_S)
        try:
            with av.open(self.device, format=self._format, timeout=_PATIENCE_S) as container:
                for frame in container.decode(video=0):
                    if stopping.is_set():
                        return
                    self._picture = _cover(frame, self._size)
            problem = f"the camera {self.device} gives no more pictures; showing black"
        except (av.FFmpegError, OSError, IndexError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            problem = f"the camera {self.device} cannot be read ({reason}); showing black"
        if not stopping.is_set():
            self.problem, self._picture = problem, None
            _log.error("%s", problem)


def _cover(frame: VideoFrame, size: tuple[int, int]) -> Bytes:
    """A video frame scaled and cropped to fill the size, uint8 [H, W, 3]."""
    width, height = size
    scale = max(width / frame.width, height / frame.height)
    scaled = (max(width, round(frame.width * scale)), max(height, round(frame.height * scale)))
    pixels = frame.reformat(*scaled, format="rgb24").to_ndarray()
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
