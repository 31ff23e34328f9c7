"""Loopback cameras on Linux: found, explained, and written to.

pyvirtualcam's own Linux backend drops failed writes, leaves a descriptor of every camera it tries
open, takes no notice when the driver keeps another size, and never announces that it streams. The
last one is why v4l2loopback 0.12 with exclusive_caps=1 refuses every writer after the first until
the module is loaded anew. `V4l2Camera` does the same work without these four; pyvirtualcam drives
it as one of its backends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

LABEL: Final = "vasa_cam"
MODPROBE: Final = (
    f'sudo modprobe v4l2loopback exclusive_caps=1 card_label="{LABEL}" video_nr=10 max_buffers=2'
)
"""exclusive_caps: Chrome, Zoom and Teams list only devices that are nothing but cameras.
max_buffers: a reader that is slow once stays at most two frames behind, not eight."""

I420_FOURCC: Final = int.from_bytes(b"I420", "little")
_YU12: Final = int.from_bytes(b"YU12", "little")
_DRIVER: Final = b"v4l2 loopback"
_CAPTURE, _OUTPUT = 1, 2
_BUFFER_OUTPUT: Final = 2
_FIELD_NONE: Final = 1

# struct v4l2_format holds pointers, so its union starts at their alignment.
_UNION: Final = struct.calcsize("P")
_FORMAT_BYTES: Final = _UNION + 200
_PARM_BYTES: Final = 204
_CAPABILITY_BYTES: Final = 104


def _request(direction: int, number: int, size: int) -> int:
    """An ioctl number of linux/videodev2.h: direction 1 writes, 2 reads, 3 does both."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


_QUERYCAP: Final = _request(2, 0, _CAPABILITY_BYTES)
_S_FMT: Final = _request(3, 5, _FORMAT_BYTES)
_STREAMON: Final = _request(1, 18, 4)
_S_PARM: Final = _request(3, 22, _PARM_BYTES)

CameraState = Literal["free", "written", "stuck", "forbidden"]


@dataclass(frozen=True)
class LoopbackCamera:
    """One loopback camera of this machine.

    path: device file. label: the name that programs show. state: "free" to be written to; "written"
    by some program now; "stuck": no program writes and the driver lets none begin; "forbidden":
    this user may not open it.
    """

    path: str
    label: str
    state: CameraState


def loopback_cameras(root: Path = Path("/")) -> list[LoopbackCamera]:
    """All loopback cameras, by number. Real cameras are never opened. root: for tests."""
    found = []
    folder = root / "sys/devices/virtual/video4linux"
    for entry in sorted(folder.glob("video*"), key=lambda each: (len(each.name), each.name)):
        path = str(root / "dev" / entry.name)
        try:
            label = (entry / "name").read_text().strip()
            state = _state(path)
        except OSError:
            continue  # removed while we looked
        if state is not None:
            found.append(LoopbackCamera(path, label, state))
    return found


def module_loaded(root: Path = Path("/")) -> bool:
    """Whether v4l2loopback is in the kernel."""
    return (root / "sys/module/v4l2loopback").is_dir()


def module_version(root: Path = Path("/")) -> str | None:
    """v4l2loopback's version, None when it is not loaded; "0.12" stands for all before 0.13.

    Those tell no version; what came with 0.13 is the control device.
    """
    if not module_loaded(root):
        return None
    try:
        return (root / "sys/module/v4l2loopback/version").read_text().strip()
    except OSError:
        return "0.13" if (root / "dev/v4l2loopback").exists() else "0.12"


def exclusive_caps(root: Path = Path("/")) -> bool | None:
    """Whether the first loopback camera hides what it is not; None when the module is absent."""
    try:
        text = (root / "sys/module/v4l2loopback/parameters/exclusive_caps").read_text()
    except OSError:
        return None
    return text.strip().startswith(("Y", "1"))


class V4l2Camera:
    """A backend of pyvirtualcam: I420 frames into one loopback camera.

    Raises OSError or RuntimeError, also from `send` when the device is gone.
    """

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: Any
    ) -> None:
        if fourcc != I420_FOURCC or device is None:
            raise RuntimeError("expected I420 frames and a device")
        self._device = device
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _configure(fd, device, width, height, fps)
        except BaseException:
            os.close(fd)
            raise
        self._fd: int | None = fd

    def send(self, frame: npt.NDArray[np.uint8]) -> None:
        """Write one frame, uint8 [W * H * 3 / 2]. The interpreter's lock is released meanwhile."""
        if self._fd is None:
            raise OSError(errno.EBADF, "closed")
        try:
            written = os.write(self._fd, frame.data)
        except BlockingIOError:
            return  # a full queue: this frame is dropped, as a camera would
        if written != frame.nbytes:
            raise OSError(errno.EIO, "the camera has taken another size")

    def close(self) -> None:
        """Let go of the device; the driver then lets others write."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def device(self) -> str:
        """The device file."""
        return self._device

    def native_fourcc(self) -> int:
        """What the device stores: I420, as it comes."""
        return I420_FOURCC


def _configure(fd: int, device: str, width: int, height: int, fps: float) -> None:
    import fcntl

    wanted = bytearray(_FORMAT_BYTES)
    struct.pack_into("=I", wanted, 0, _BUFFER_OUTPUT)
    struct.pack_into("=4I", wanted, _UNION, width, height, _YU12, _FIELD_NONE)
    fcntl.ioctl(fd, _S_FMT, wanted)
    got = struct.unpack_from("=3I", wanted, _UNION)
    if got != (width, height, _YU12):
        # The driver keeps what it has while somebody reads, and calls that success.
        raise RuntimeError(
            f"{device} is being watched at {got[0]}x{got[1]} and cannot change to "
            f"{width}x{height}; close the program that shows it, or choose its size."
        )
    rate = Fraction(fps).limit_denominator(1001)
    parameters = bytearray(_PARM_BYTES)
    struct.pack_into("=5I", parameters, 0, _BUFFER_OUTPUT, 0, 0, rate.denominator, rate.numerator)
    with contextlib.suppress(OSError):  # readers go without the rate where a driver has none
        fcntl.ioctl(fd, _S_PARM, parameters)
    try:
        fcntl.ioctl(fd, _STREAMON, struct.pack("=I", _BUFFER_OUTPUT))
    except OSError as error:
        # Since 0.14 the first write does this itself and asking for it is refused.
        if error.errno != errno.EINVAL:
            raise


def _state(path: str) -> CameraState | None:
    """What can be done with a device now; None when it is no loopback camera."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return "forbidden" if error.errno in (errno.EACCES, errno.EPERM) else None
    answer = bytearray(_CAPABILITY_BYTES)
    try:
        fcntl.ioctl(fd, _QUERYCAP, answer)
    except OSError:
        return None
    finally:
        os.close(fd)
    if answer[:16].rstrip(b"\0") != _DRIVER:
        return None
    (device_caps,) = struct.unpack_from("=I", answer, 88)
    if device_caps & _OUTPUT:
        return "free"
    return "written" if device_caps & _CAPTURE else "stuck"
