"""Checks of everything `vasa-cam live` needs, each with the one thing to do where it fails."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError, VasaCamError
from vasa_cam.live.config import LiveConfig

State = Literal["good", "note", "bad"]

_FRAMES: Final = 30
_DRAWS_S: Final = 2.0
_LISTEN_S: Final = 1.0
_FIRST_SOUND_S: Final = 5.0
_QUIET_DBFS: Final = -50.0
_CLIPPED: Final = 0.985
_SLEEPS: Final = 60
_SLEEP_S: Final = 0.005


@dataclass(frozen=True)
class Finding:
    """What one check found.

    state: good; note: live works, but something is missing; bad: live does not work. remedy: the
    one thing to do, empty when good.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def examine(config: LiveConfig | None = None, listen: bool = True) -> Iterator[Finding]:
    """All checks, one after the other; takes some seconds. listen: one second of microphone.

    No check raises: one that breaks is a bad finding of its own.
    """
    config = config or LiveConfig()
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python),
        ("native core", _core),
        ("GPU", _gpu),
        ("drawing", lambda: _drawing(config)),
        ("microphone", lambda: _microphone(config, listen)),
        ("sound server", _sound_server),
        ("webcam", lambda: _webcam(config)),
        ("preview", _preview),
        ("models", _models),
        ("clock", _clock),
    ]
    for name, check in checks:
        try:
            yield check()
        except Exception as error:
            yield Finding(name, "bad", f"the check broke: {error!r}", "report it as a defect")


def _python() -> Finding:
    version = platform.python_version()
    found = f"Python {version}, {platform.system()} {platform.release()}, {platform.machine()}"
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", "note", found, "use Python 3.10 to 3.13, which are tested")
    return Finding("Python", "good", found)


def _core() -> Finding:
    try:
        from vasa_cam.ops import build_info
    except ImportError as error:
        remedy = "install again with a C++ compiler: pip install --force-reinstall vasa-cam"
        return Finding("native core", "bad", f"cannot be loaded: {error}", remedy)
    info = build_info()
    found = f"{info['simd']} in use (of {', '.join(info['simd_available'])}), {info['compiler']}"
    best = info["simd_available"][-1]
    if info["simd"] != best:
        remedy = "unset VASA_CAM_SIMD"
        return Finding("native core", "note", f"{found}; {best} would be faster", remedy)
    return Finding("native core", "good", found)


def _gpu() -> Finding:
    from vasa_cam.ops import build_info

    info = build_info()
    driver = os.path.exists("/proc/driver/nvidia/version") or bool(info["cuda_devices"])
    if info["cuda_compiled"] and info["cuda_devices"]:
        found = f"{info['cuda_devices']} CUDA device(s), core built with {info['cuda_version']}"
        return Finding("GPU", "good", found)
    if driver and not info["cuda_compiled"]:
        remedy = "to use it, install the CUDA toolkit (nvcc) and build vasa-cam again"
        return Finding("GPU", "note", "an NVIDIA driver, but a core without CUDA", remedy)
    return Finding("GPU", "good", "none in use; the CPU draws")


def _drawing(config: LiveConfig) -> Finding:
    """How long a frame of the configured size takes, with the built-in avatar."""
    from vasa_cam.avatar.file import load_avatar
    from vasa_cam.motion.space import neutral
    from vasa_cam.render.layered import LayeredRenderer, RenderConfig

    video = config.video
    renderer = LayeredRenderer(RenderConfig(video.width_px, video.height_px))
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        state = renderer.prepare(load_avatar(path))
    times_ms: list[float] = []
    give_up = time.monotonic() + _DRAWS_S
    while len(times_ms) < _FRAMES and (not times_ms or time.monotonic() < give_up):
        started = time.monotonic_ns()
        renderer.render(state, neutral()[0])
        times_ms.append((time.monotonic_ns() - started) / 1e6)
    median, budget = float(np.median(times_ms)), 1000.0 / video.fps
    found = (
        f"{median:.1f} ms a frame of {video.width_px}x{video.height_px} "
        f"({budget:.0f} ms at {video.fps} fps)"
    )
    if median > 0.7 * budget:
        remedy = "choose a smaller --size or a lower --fps, or close other programs"
        return Finding("drawing", "note", found, remedy)
    return Finding("drawing", "good", found)


def _microphone(config: LiveConfig, listen: bool) -> Finding:
    from vasa_cam.audio.sources import audio_source

    spec = config.audio.source if config.audio.source.startswith("mic") else "mic"
    source = audio_source(spec)
    try:
        source.start()
    except VasaCamError as error:
        return Finding("microphone", "bad", "not usable", str(error))
    try:
        if not listen:
            return Finding("microphone", "good", source.name)
        blocks, give_up = [], time.monotonic() + _FIRST_SOUND_S
        heard_s = 0.0
        while heard_s < _LISTEN_S and time.monotonic() < give_up:
            block = source.read(0.1)
            if block is not None:
                blocks.append(block.samples)
                heard_s += len(block.samples) / block.rate_hz
    except VasaCamError as error:
        return Finding("microphone", "bad", f"{source.name} stopped", str(error))
    finally:
        source.stop()
    if not blocks:
        remedy = "allow this program to use the microphone, or name another one (--source mic:NAME)"
        return Finding("microphone", "bad", f"{source.name} gives no sound at all", remedy)
    return judge_level(source.name, np.concatenate(blocks))


def judge_level(name: str, samples: npt.NDArray[np.float32]) -> Finding:
    """What one second of a microphone, float32 [n], says about it."""
    peak = float(np.abs(samples).max())
    if peak == 0.0:
        remedy = "unmute it in the sound settings, or name another one (--source mic:NAME)"
        return Finding("microphone", "note", f"{name} gives pure silence", remedy)
    peak_db = 20 * np.log10(peak)
    rms_db = 20 * np.log10(max(1e-9, float(np.sqrt(np.mean(np.square(samples))))))
    found = f"{name}: peak {peak_db:.0f} dBFS, mean {rms_db:.0f} dBFS"
    if peak > _CLIPPED:
        return Finding("microphone", "note", found, "it clips; turn its level down")
    if peak_db < _QUIET_DBFS:
        remedy = "very quiet; if you were speaking, turn its level up"
        return Finding("microphone", "note", found, remedy)
    return Finding("microphone", "good", found)


def _sound_server() -> Finding:
    from vasa_cam.live.devices import sound_server

    server = sound_server()
    if server is not None:
        return Finding("sound server", "good", server)
    if sys.platform != "linux":
        return Finding("sound server", "good", "the system's own")
    remedy = "for --virtual-mic start PipeWire or PulseAudio, and install pulseaudio-utils (pactl)"
    return Finding("sound server", "note", "no PulseAudio or PipeWire answers", remedy)


def _webcam(config: LiveConfig) -> Finding:
    if sys.platform != "linux":
        return Finding("webcam", "good", "OBS Virtual Camera is looked for at start")
    from vasa_cam.output.camera_advice import choose_loopback
    from vasa_cam.output.v4l2 import module_version

    try:
        path = choose_loopback(config.outputs.webcam_device)
    except InputError as error:
        return Finding("webcam", "note", "none; the preview works without", str(error))
    return Finding("webcam", "good", f"{path}, v4l2loopback {module_version()}")


def _preview() -> Finding:
    """Whether a port on this machine, and the folder for the control socket, can be had."""
    import socket

    from vasa_cam.live.runtime_dir import runtime_folder

    try:
        folder = runtime_folder()
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except InputError as error:
        return Finding("preview", "bad", "no control socket", str(error))
    except OSError as error:
        remedy = "allow connections on 127.0.0.1 in the firewall or sandbox"
        return Finding("preview", "bad", f"no port on this machine: {error.strerror}", remedy)
    return Finding("preview", "good", f"ports on 127.0.0.1; control in {folder}")


def _models() -> Finding:
    from vasa_cam.avatar.models import FACE_LANDMARKER, MODELS_VARIABLE, cache_folder

    folders = [cache_folder()]
    if os.environ.get(MODELS_VARIABLE):
        from pathlib import Path

        folders.insert(0, Path(os.environ[MODELS_VARIABLE]))
    for folder in folders:
        if (folder / FACE_LANDMARKER.name).is_file():
            return Finding("models", "good", f"for enrolment, in {folder}")
    found = "avatars need none; enrolling a photo fetches 4 MB once"
    return Finding("models", "good", found)


def _clock() -> Finding:
    """Resolution of the clock, and how late this machine wakes a sleeper."""
    resolution_ns = time.get_clock_info("monotonic").resolution * 1e9
    late_ms = []
    for _ in range(_SLEEPS):
        due = time.monotonic_ns() + int(_SLEEP_S * 1e9)
        time.sleep(_SLEEP_S)
        late_ms.append((time.monotonic_ns() - due) / 1e6)
    p95 = float(np.percentile(late_ms, 95))
    found = f"resolution {resolution_ns:.0f} ns, sleepers wake {p95:.1f} ms late (p95)"
    if resolution_ns > 1e6 or p95 > 5.0:
        remedy = "close programs that keep the processor busy; frames will come unevenly"
        return Finding("clock", "note", found, remedy)
    return Finding("clock", "good", found)
