"""The virtual webcam: v4l2loopback on Linux, OBS Virtual Camera or Unity Capture elsewhere.

pyvirtualcam opens the device and hands the frames over; the pacing is the caller's, and the
conversion to I420 is our own operation (pyvirtualcam's takes 6 to 13 ms a frame, with the
interpreter locked).
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vasa_cam.errors import InputError
from vasa_cam.ops.pixel import ColourMatrix, output_shape, pixel
from vasa_cam.output.camera_advice import advice_for_other_systems, choose_loopback
from vasa_cam.output.canvas import Canvas
from vasa_cam.output.sink import Bytes, SinkError

if TYPE_CHECKING:
    from pyvirtualcam import Camera

MAX_SIDE_PX: Final = 4096
_PATIENCE_S: Final = 3.0
_OWN_BACKEND: Final = "vasa_v4l2"
_ALPHA_BACKENDS: Final = frozenset({"unitycapture"})


@dataclass(frozen=True)
class WebcamConfig:
    """A virtual webcam.

    width, height: pixels, even. fps: frames a second that readers are told. device: on Linux a path
    such as /dev/video10, a number or the camera's label; elsewhere the camera's name; None takes
    the first free one. backend: None is v4l2loopback on Linux and OBS Virtual Camera on Windows and
    macOS; "unitycapture" keeps transparency (Windows). matrix: of the YUV frames, None is BT.709
    from 720 lines and BT.601 below. Raises InputError for sizes and rates no camera has.
    """

    width: int = 1280
    height: int = 720
    fps: float = 40.0
    device: str | None = None
    backend: str | None = None
    matrix: ColourMatrix | None = None

    def __post_init__(self) -> None:
        width, height = self.width, self.height
        if not (16 <= width <= MAX_SIDE_PX and 16 <= height <= MAX_SIDE_PX):
            raise InputError(
                f"a webcam of {width}x{height} is out of range; expected 16 to {MAX_SIDE_PX} on "
                "each side."
            )
        if width % 2 or height % 2:
            raise InputError(
                f"a webcam of {width}x{height} is odd; "
                f"use {width + width % 2}x{height + height % 2}."
            )
        if not (math.isfinite(self.fps) and 1 <= self.fps <= 240):
            raise InputError(f"a webcam of {self.fps} frames a second; expected 1 to 240.")


class WebcamSink:
    """Frames to a virtual webcam. The device stays open from `open` to `close`, pauses included.

    Frames of another size are scaled to the camera's; alpha is laid over the background unless the
    camera itself knows transparency. problem: what its owner has told the user about it already.
    """

    name = "webcam"
    problem = ""

    def __init__(self, config: WebcamConfig | None = None) -> None:
        self.config = config or WebcamConfig()
        self.wants_alpha = self.config.backend in _ALPHA_BACKENDS
        self._camera: Camera | None = None
        self._sending = threading.Lock()
        self._canvas = Canvas(self.config.width, self.config.height)
        shape = output_shape(self.config.height, self.config.width, "i420")
        self._planes = np.empty(shape, np.uint8)

    @property
    def device(self) -> str | None:
        """The device in use, None while closed."""
        return None if self._camera is None else str(self._camera.device)

    def set_background(self, background: Bytes | None) -> None:
        """As `BackgroundSink` says."""
        self._canvas.set_background(background)

    def open(self) -> None:
        """Open the camera. Raises InputError that names the package and command to run."""
        if self._camera is None:
            self._camera = _open_camera(self.config, self.wants_alpha)

    def send(self, frame: Bytes, capture_ns: int, shown_ns: int, sequence: int) -> None:
        """Hand a frame over. Raises SinkError when the device is gone."""
        with self._sending:
            if self._camera is None:
                raise SinkError("the webcam is not open.")
            try:
                self._camera.send(self._converted(frame))
            except Exception as error:
                # Backends raise what they like; whatever it is, this camera takes no more frames.
                reason = getattr(error, "strerror", None) or error
                raise SinkError(
                    f"the webcam {self.device} takes no more frames: {reason}."
                ) from error

    def close(self) -> None:
        """Let go of the camera, unless it has been swallowing a frame for seconds."""
        if not self._sending.acquire(timeout=_PATIENCE_S):
            return
        try:
            camera, self._camera = self._camera, None
            if camera is not None:
                with contextlib.suppress(Exception):
                    camera.close()
        finally:
            self._sending.release()

    def _converted(self, frame: Bytes) -> Bytes:
        if self.wants_alpha:
            if frame.shape == (self.config.height, self.config.width, 4):
                return frame
            return pixel(self._canvas.draw(frame), "rgba")
        return pixel(self._canvas.draw(frame), "i420", self.config.matrix, out=self._planes)


def _open_camera(config: WebcamConfig, alpha: bool) -> Camera:
    import pyvirtualcam
    from pyvirtualcam.camera import BACKENDS

    from vasa_cam.output.v4l2 import V4l2Camera

    backend, device = config.backend, config.device
    if sys.platform.startswith("linux") and backend in (None, "v4l2loopback"):
        pyvirtualcam.register_backend(_OWN_BACKEND, V4l2Camera)
        backend, device = _OWN_BACKEND, choose_loopback(device)
    elif backend is None:
        backend = "obs"
    if backend not in BACKENDS:
        known = ", ".join(sorted(set(BACKENDS) - {_OWN_BACKEND}))
        raise InputError(f"no kind of webcam {backend!r} here; expected {known}.")
    formats = pyvirtualcam.PixelFormat
    try:
        return pyvirtualcam.Camera(
            config.width,
            config.height,
            config.fps,
            fmt=formats.RGBA if alpha else formats.I420,
            device=device,
            backend=backend,
        )
    except RuntimeError as error:
        # pyvirtualcam prefixes each reason with the backend's name.
        reason = str(error).partition(" backend: ")[2] or str(error)
        if backend == _OWN_BACKEND:
            raise InputError(reason if reason.endswith(".") else f"{device}: {reason}.") from error
        raise InputError(advice_for_other_systems(backend, reason)) from error
