"""What there is to listen with, play to and film with: devices as the operating system names them.

Nothing here opens a device for streaming; cameras are only asked what they are.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vasa_cam.audio import pulse
from vasa_cam.audio.portaudio import sounddevice

if sys.platform == "linux":
    import fcntl

_VIDEO_CLASS: Final = Path("/sys/class/video4linux")
_DEV: Final = Path("/dev")
# _IOR('V', 0, struct v4l2_capability) of linux/videodev2.h.
_QUERYCAP: Final = 0x80685600
_CAPABILITY: Final = struct.Struct("=16s32s32sIII12x")
_CAPTURE: Final = 0x1 | 0x1000
_OUTPUT: Final = 0x2 | 0x2000
_DEVICE_CAPS: Final = 0x80000000


@dataclass(frozen=True)
class SoundDevice:
    """One device of PortAudio. index and name are what `--source mic:` and `--voice-out` take.

    api: the sound system it belongs to. inputs, outputs: channels. rate_hz: its own sample rate.
    """

    index: int
    name: str
    api: str
    inputs: int
    outputs: int
    rate_hz: float
    default_input: bool
    default_output: bool


@dataclass(frozen=True)
class ServerDevice:
    """A source or sink of PulseAudio or PipeWire; its name, or a part of it, names it here too.

    direction: input or output. monitor: an input that hears what an output plays.
    """

    name: str
    description: str
    direction: str
    monitor: bool
    default: bool


@dataclass(frozen=True)
class Camera:
    """A video device. captures: programs can read pictures; takes: pictures can be written to it.

    virtual: no hardware behind it. problem: why it could not be asked, else empty.
    """

    path: str
    name: str
    driver: str = ""
    captures: bool = False
    takes: bool = False
    virtual: bool = False
    problem: str = ""


def sound_devices() -> list[SoundDevice]:
    """PortAudio's devices. Raises MissingDependencyError when its library is not installed."""
    module = sounddevice()
    apis = [str(api["name"]) for api in module.query_hostapis()]
    default_input, default_output = module.default.device
    return [
        SoundDevice(
            index=index,
            name=str(one["name"]),
            api=apis[one["hostapi"]],
            inputs=int(one["max_input_channels"]),
            outputs=int(one["max_output_channels"]),
            rate_hz=float(one["default_samplerate"]),
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, one in enumerate(module.query_devices())
    ]


def server_devices() -> list[ServerDevice] | None:
    """Sources and sinks of PulseAudio or PipeWire; None when no such server answers."""
    if not pulse.server_answers():
        return None
    found = []
    directions: tuple[pulse.Direction, ...] = ("input", "output")
    for direction in directions:
        default = pulse.default_device(direction)
        found += [
            ServerDevice(one.name, one.description, direction, one.monitor, one.name == default)
            for one in pulse.devices(direction)
        ]
    return found


def sound_server() -> str | None:
    """Name of the running PulseAudio or PipeWire server; None when there is none."""
    try:
        info = pulse.pactl("info")
    except pulse.PulseError:
        return None
    names = [line.partition(":")[2] for line in info.splitlines() if line.startswith("Server Name")]
    return names[0].strip() if names else "a sound server"


def cameras() -> list[Camera]:
    """Video devices, in the order of their numbers; metadata nodes of cameras are left out."""
    if sys.platform != "linux":
        return _foreign_cameras()
    nodes = sorted(_VIDEO_CLASS.glob("video*"), key=lambda node: int(node.name[5:] or 0))
    found = [_ask_camera(_DEV / node.name, node) for node in nodes]
    return [camera for camera in found if camera.captures or camera.takes or camera.problem]


def _ask_camera(path: Path, node: Path) -> Camera:
    try:
        name = (node / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = ""
    virtual = "/virtual/" in str(node.resolve())
    try:
        driver, card, flags = _capabilities(path)
    except PermissionError:
        problem = "no permission; run: sudo usermod -aG video $USER, then log in again"
        return Camera(str(path), name, virtual=virtual, problem=problem)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        return Camera(str(path), name, virtual=virtual, problem=problem)
    return Camera(
        path=str(path),
        name=name or card,
        driver=driver,
        captures=bool(flags & _CAPTURE),
        takes=bool(flags & _OUTPUT),
        virtual=virtual,
    )


def _capabilities(path: Path) -> tuple[str, str, int]:
    """Driver, card and capability flags of one device node, by VIDIOC_QUERYCAP."""
    if sys.platform != "linux":
        raise OSError("video devices have no such nodes here")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(handle, _QUERYCAP, bytes(_CAPABILITY.size))
    finally:
        os.close(handle)
    driver, card, _, _, device, own = _CAPABILITY.unpack(answer)
    flags = own if device & _DEVICE_CAPS else device
    return _text(driver), _text(card), flags


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "replace")


def _foreign_cameras() -> list[Camera]:
    """Capture devices as FFmpeg lists them on Windows and macOS."""
    import av

    form = "dshow" if sys.platform == "win32" else "avfoundation"
    try:
        found = av.enumerate_input_devices(form)
    except (av.FFmpegError, ValueError, OSError):
        return []
    return [
        Camera(one.name, one.description or one.name, form, captures=True)
        for one in found
        if "video" in getattr(one, "media_types", ("video",))
    ]
