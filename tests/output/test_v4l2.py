"""Advice about loopback cameras, and the real device where there is one.

The last tests write to v4l2loopback and run where it is loaded: in the virtual machine of
`tests/live`, or on a computer that has it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.errors import InputError
from vasa_cam.ops import pixel
from vasa_cam.output import v4l2
from vasa_cam.output.camera_advice import choose_loopback
from vasa_cam.output.sink import SinkError
from vasa_cam.output.webcam import WebcamConfig, WebcamSink

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")


def machine(root: Path, os_release: str = "ID=debian", modules: str = "", loaded: bool = False):
    """A file system that looks like a computer's."""
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text(os_release + "\n")
    (root / "proc").mkdir()
    (root / "proc/modules").touch()
    tree = root / "lib/modules" / platform.release()
    tree.mkdir(parents=True)
    (tree / "modules.dep").write_text(modules)
    if loaded:
        (root / "sys/module/v4l2loopback/parameters").mkdir(parents=True)
        (root / "sys/module/v4l2loopback/parameters/exclusive_caps").write_text("Y,N,N\n")
    return root


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        ("ID=debian", "sudo apt install v4l2loopback-dkms"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', "sudo apt install v4l2loopback-dkms"),
        ("ID=fedora", "sudo dnf install akmod-v4l2loopback"),
        ("ID=manjaro\nID_LIKE=arch", "sudo pacman -S v4l2loopback-dkms"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "sudo zypper install v4l2loopback-kmp"),
        ("ID=other", "package v4l2loopback-dkms"),
    ],
)
def test_a_missing_package_is_named_for_each_system(
    tmp_path: Path, os_release: str, command: str
) -> None:
    with pytest.raises(InputError) as caught:
        choose_loopback(None, machine(tmp_path, os_release))
    message = str(caught.value)
    assert command in message and "not installed" in message
    assert 'modprobe v4l2loopback exclusive_caps=1 card_label="vasa_cam" video_nr=10' in message


def test_an_installed_module_only_needs_loading(tmp_path: Path) -> None:
    root = machine(tmp_path, modules="updates/dkms/v4l2loopback.ko.xz: kernel/videodev.ko\n")
    with pytest.raises(InputError, match="is not loaded; run `sudo modprobe v4l2loopback excl"):
        choose_loopback(None, root)


def test_a_loaded_module_without_devices_is_loaded_anew(tmp_path: Path) -> None:
    root = machine(tmp_path, loaded=True)
    with pytest.raises(InputError, match=r"modprobe -r v4l2loopback && sudo modprobe"):
        choose_loopback(None, root)
    assert v4l2.module_version(root) == "0.12"
    assert v4l2.exclusive_caps(root) is True


def test_a_kernel_without_modules_points_to_the_preview(tmp_path: Path) -> None:
    root = machine(tmp_path)
    (root / "proc/modules").unlink()
    with pytest.raises(InputError, match=r"cannot load modules .* preview"):
        choose_loopback("/dev/video3", root)
    assert v4l2.module_version(root) is None
    assert v4l2.exclusive_caps(root) is None


def cameras(monkeypatch: pytest.MonkeyPatch, *found: v4l2.LoopbackCamera) -> None:
    monkeypatch.setattr("vasa_cam.output.camera_advice.loopback_cameras", lambda root: list(found))


def camera(number: int, state: v4l2.CameraState, label: str = "cam") -> v4l2.LoopbackCamera:
    return v4l2.LoopbackCamera(f"/dev/video{number}", label, state)


def test_our_label_comes_first_then_any_free_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras(monkeypatch, camera(1, "written"), camera(2, "free"), camera(10, "free", "vasa_cam"))
    assert choose_loopback(None) == "/dev/video10"
    assert choose_loopback("2") == choose_loopback("/dev/video2") == "/dev/video2"
    assert choose_loopback("vasa_cam") == "/dev/video10"
    cameras(monkeypatch, camera(1, "written", "vasa_cam"), camera(2, "free"))
    assert choose_loopback(None) == "/dev/video2"
    with pytest.raises(InputError, match=r"no virtual camera 7; there is /dev/video1 \(vasa_cam\)"):
        choose_loopback("7")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("written", ["written to by another program", "stop that one"]),
        ("stuck", ["exclusive_caps=1", "modprobe -r"]),
        ("forbidden", ["usermod -aG video"]),
    ],
)
def test_unusable_cameras_are_explained(
    monkeypatch: pytest.MonkeyPatch, state: v4l2.CameraState, words: list[str]
) -> None:
    cameras(monkeypatch, camera(4, state))
    for device in (None, "/dev/video4"):
        with pytest.raises(InputError) as caught:
            choose_loopback(device)
        assert all(word in str(caught.value) for word in words)


def test_the_program_that_writes_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path / "video5"
    device.touch()
    cameras(monkeypatch, v4l2.LoopbackCamera(str(device), "cam", "written"))
    with device.open("rb"), pytest.raises(InputError, match=f"process {os.getpid()} has it open"):
        choose_loopback(None)


def test_structures_have_the_kernels_sizes() -> None:
    if struct.calcsize("P") == 8:
        assert (v4l2._QUERYCAP, v4l2._S_FMT) == (0x80685600, 0xC0D05605)
    assert (v4l2._STREAMON, v4l2._S_PARM) == (0x40045612, 0xC0CC5616)


def test_the_backend_fails_cleanly_on_what_is_no_camera(tmp_path: Path) -> None:
    file = tmp_path / "video9"
    file.touch()
    before = len(os.listdir("/proc/self/fd"))
    settings = {"width": 64, "height": 64, "fps": 30.0}
    with pytest.raises(OSError):
        v4l2.V4l2Camera(**settings, fourcc=v4l2.I420_FOURCC, device=str(file))
    with pytest.raises(RuntimeError, match="expected I420"):
        v4l2.V4l2Camera(**settings, fourcc=0, device=str(file))
    assert len(os.listdir("/proc/self/fd")) == before


# On a real loopback camera.


@pytest.fixture
def device() -> Iterator[str]:
    free = [each.path for each in v4l2.loopback_cameras() if each.state == "free"]
    if not free:
        pytest.skip("no free v4l2loopback camera on this machine")
    yield free[0]


def picture(k: int) -> np.ndarray:
    y, x = np.mgrid[:240, :320]
    return np.stack([(x + 8 * k) % 256, (y + k) % 256, (x + y) % 256], axis=-1).astype(np.uint8)


def reader_of(device: str, *output: object) -> subprocess.Popen[bytes]:
    """ffmpeg showing the camera."""
    command = ["ffmpeg", "-v", "error", "-f", "v4l2", "-i", device, *map(str, output)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def opened(device: str, size: tuple[int, int] = (320, 240)) -> WebcamSink:
    sink = WebcamSink(WebcamConfig(*size, 30.0, device))
    sink.open()
    return sink


def test_frames_come_back_bit_exact(device: str, tmp_path: Path) -> None:
    wanted = pixel(picture(0), "i420").tobytes()
    with contextlib.closing(opened(device)) as sink:
        sink.send(picture(0), 0, 0, 0)
        raw = tmp_path / "frames"
        reader = reader_of(device, "-frames:v", 5, "-f", "rawvideo", raw)
        for k in range(2_000):
            sink.send(picture(0), 0, 0, k)
            with contextlib.suppress(subprocess.TimeoutExpired):
                reader.wait(0.03)
                break
        assert reader.poll() == 0
    assert raw.read_bytes() == 5 * wanted


def test_the_device_can_be_opened_again_and_again(device: str) -> None:
    """With exclusive_caps=1 on 0.12 this is what pyvirtualcam's own backend cannot do."""
    for k in range(3):
        sink = opened(device)
        sink.send(picture(k), 0, 0, k)
        states = {each.path: each.state for each in v4l2.loopback_cameras()}
        if v4l2.exclusive_caps():
            assert states[device] == "written"
        sink.close()
    assert {each.path: each.state for each in v4l2.loopback_cameras()}[device] == "free"


def test_a_killed_writer_leaves_the_device_free(device: str) -> None:
    program = (
        "import sys, time, numpy as np\n"
        "from vasa_cam.output.webcam import WebcamConfig, WebcamSink\n"
        "sink = WebcamSink(WebcamConfig(320, 240, 30.0, sys.argv[1]))\n"
        "sink.open()\n"
        "sink.send(np.zeros((240, 320, 3), np.uint8), 0, 0, 0)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, device], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        if v4l2.exclusive_caps():
            with pytest.raises(InputError, match=f"process {writer.pid}"):
                choose_loopback(device)
        writer.send_signal(signal.SIGKILL)
    sink = opened(device)
    sink.send(picture(1), 0, 0, 1)
    sink.close()


def test_a_watched_device_keeps_its_size_and_says_so(device: str) -> None:
    sink = opened(device)
    sink.send(picture(0), 0, 0, 0)
    reader = reader_of(device, "-f", "null", "-")
    try:
        for k in range(40):
            sink.send(picture(k), 0, 0, k)
            with contextlib.suppress(subprocess.TimeoutExpired):
                reader.wait(0.05)
        sink.close()
        with pytest.raises((InputError, SinkError), match=r"320x240|busy"):
            opened(device, (160, 120))
        sink.open()
        sink.send(picture(1), 0, 0, 1)
    finally:
        sink.close()
        reader.kill()
        reader.wait()
