"""What to do about a missing virtual camera: one sentence for each cause, on each system."""

from __future__ import annotations

import getpass
import os
import platform
import sys
from pathlib import Path
from typing import Final

from vasa_cam.errors import InputError
from vasa_cam.output.v4l2 import LABEL, MODPROBE, LoopbackCamera, loopback_cameras, module_loaded

_INSTALL: Final = {
    "debian": "sudo apt install v4l2loopback-dkms",
    "ubuntu": "sudo apt install v4l2loopback-dkms",
    "arch": "sudo pacman -S v4l2loopback-dkms",
    "fedora": "sudo dnf install akmod-v4l2loopback` from RPM Fusion, then `sudo akmods",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
_INSTALL_SOMEHOW: Final = (
    "install v4l2loopback (Debian, Ubuntu and Arch: package v4l2loopback-dkms; Fedora: "
    "akmod-v4l2loopback)"
)
_RELOAD: Final = f"`sudo modprobe -r v4l2loopback && {MODPROBE}`"


def choose_loopback(device: str | None, root: Path = Path("/")) -> str:
    """The device file of the loopback camera to write to.

    device: a path, a number or a label; None takes the first free one, "vasa_cam" before others.
    Raises InputError with the one thing to do.
    """
    cameras = loopback_cameras(root)
    if not cameras:
        raise InputError(_no_camera(device, root))
    if device is not None:
        return _named(device, cameras, root)
    free = [camera for camera in cameras if camera.state == "free"]
    if not free:
        raise InputError(_unusable(cameras[0], root))
    return min(free, key=lambda camera: camera.label != LABEL).path


def advice_for_other_systems(backend: str | None, reason: str) -> str:
    """What to do on Windows and macOS when pyvirtualcam found no camera, for `reason`."""
    reason = " ".join(reason.split()).rstrip(".")
    if backend == "unitycapture":
        return (
            f"no virtual camera ({reason}); install Unity Capture (run its Install.bat as "
            "administrator), then start again."
        )
    system = "Windows" if sys.platform == "win32" else "macOS"
    once = (
        "install OBS Studio 28 or later"
        if system == "Windows"
        else "install OBS Studio 30 or later, press Start Virtual Camera in it once and allow its "
        "system extension in System Settings"
    )
    return (
        f"no virtual camera on {system} ({reason}); {once}, close OBS's own virtual camera, then "
        "start again."
    )


def _no_camera(device: str | None, root: Path) -> str:
    what = "no virtual camera" if device is None else f"no virtual camera {device}"
    if module_loaded(root):
        return f"{what}: v4l2loopback is loaded without a device; run {_RELOAD}."
    if not (root / "proc/modules").exists():
        return (
            f"{what}: this kernel cannot load modules (a container or a small virtual machine); "
            "use the preview or its OBS browser source instead."
        )
    if _module_installed(root):
        return f"{what}: the module v4l2loopback is not loaded; run `{MODPROBE}`."
    return f"{what}: v4l2loopback is not installed; {_how_to_install(root)}, then run `{MODPROBE}`."


def _named(device: str, cameras: list[LoopbackCamera], root: Path) -> str:
    path = f"/dev/video{device}" if device.isdecimal() else device
    for camera in cameras:
        if camera.label == device or Path(camera.path) == root / path.lstrip("/"):
            if camera.state == "free":
                return camera.path
            raise InputError(_unusable(camera, root))
    known = ", ".join(f"{camera.path} ({camera.label})" for camera in cameras)
    raise InputError(f"no virtual camera {device}; there is {known}.")


def _unusable(camera: LoopbackCamera, root: Path) -> str:
    name = f"the virtual camera {camera.path} ({camera.label})"
    if camera.state == "forbidden":
        return (
            f"{name} may not be opened by this user; run "
            f"`sudo usermod -aG video {_user()}` and log in again."
        )
    if camera.state == "written":
        holders = _holders(camera.path, root)
        by = f" ({', '.join(holders)} has it open)" if holders else ""
        return f"{name} is being written to by another program{by}; stop that one first."
    return (
        f"{name} is stuck: v4l2loopback before 0.13 with exclusive_caps=1 accepts no program after "
        f"one that did not announce its stream; close what shows the camera and run {_RELOAD}."
    )


def _how_to_install(root: Path) -> str:
    try:
        lines = (root / "etc/os-release").read_text(errors="replace").splitlines()
    except OSError:
        return _INSTALL_SOMEHOW
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    names = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', " ").split()
    for name in names:
        for known, command in _INSTALL.items():
            if name.startswith(known) or (known == "suse" and "suse" in name):
                return f"run `{command}`"
    return _INSTALL_SOMEHOW


def _module_installed(root: Path) -> bool:
    modules = root / "lib/modules" / platform.release() / "modules.dep"
    try:
        return "v4l2loopback.ko" in modules.read_text(errors="replace")
    except OSError:
        return False


def _holders(path: str, root: Path) -> list[str]:
    """Programs of this user that have the device open, as "name, process 12"."""
    holders = []
    for folder in (root / "proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) == path for link in (folder / "fd").iterdir()):
                name = (folder / "comm").read_text().strip()
                holders.append(f"{name}, process {folder.name}")
        except OSError:
            continue  # another user's, or gone
    return holders


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "$USER"
