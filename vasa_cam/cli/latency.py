"""`vasa-cam latency`: how late picture and voice really are, seen and heard from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from vasa_cam.audio.blocks import Floats
    from vasa_cam.live.config import LiveConfig
    from vasa_cam.live.latency import LatencyReport
    from vasa_cam.live.latency_probe import FrameReader

_STARTS_S: Final = 120.0
_ENDS_S: Final = 20.0
_POLL_S: Final = 0.5
# Measured once the delay has stayed within so much over so many polls, or after so long.
_STEADY_MS: Final = 4.0
_STEADY_POLLS: Final = 24
_SETTLES_S: Final = 60.0


def latency(
    avatar: Annotated[
        Path | None, typer.Argument(help="A .vasa avatar or a photo; default: the built-in one.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings, a TOML file.")] = None,
    play: Annotated[
        str | None, typer.Option(help="Output device to play the test signal to.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(help="Source that hears it, such as mic:NAME; the avatar's.")
    ] = None,
    hear: Annotated[
        str | None, typer.Option(help="Source that has the delayed voice, such as mic:NAME.")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Camera device to read; default: the webcam fed, or none.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Width x height in pixels.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frames a second.")] = None,
    against: Annotated[
        str,
        typer.Option(help="lips of the motion model, or loudness if another one moves the mouth."),
    ] = "lips",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play a test signal, read the frames back, tell how late picture and voice are."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from vasa_cam.live.config import LiveConfig
    from vasa_cam.live.config_file import read_config

    if against not in ("lips", "loudness"):
        raise InputError(f"--against must be lips or loudness, got {against!r}.")
    settings = LiveConfig() if config is None else read_config(config)
    with ExitStack() as stack:
        path = stack.enter_context(_sound_path(play, listen))
        extra = [
            *([] if avatar is None else [str(avatar)]),
            *([] if config is None else ["--config", str(config)]),
            *([] if size is None else ["--size", size]),
            *([] if fps is None else ["--fps", str(fps)]),
        ]
        with Console(stderr=True).status("Starting the avatar"):
            about = stack.enter_context(_running(path, extra))
        with Console(stderr=True).status("Measuring, for half a minute"):
            voice = hear or _voice(about)
            sources = {} if voice is None else {"voice": voice}
            report = _measure(path, _frame_reader(camera, about), sources, settings, against)
    typer.echo(json.dumps(asdict(report), indent=2) if as_json else describe(report))


def describe(report: LatencyReport) -> str:
    """What was measured, in sentences."""
    lines = [
        f"microphone to picture: {report.picture_ms:.0f} ms (+-{report.picture_spread_ms:.0f} ms "
        f"over parts of the signal; the mouth follows with a correlation of {report.follows:.2f})",
        f"frames read: {report.frames}, {report.fps:.1f} a second",
    ]
    if report.voice_ms is not None and report.offset_ms is not None:
        late = "late" if report.offset_ms > 0 else "early"
        lines += [
            f"microphone to delayed voice: {report.voice_ms:.0f} ms",
            f"the picture is {abs(report.offset_ms):.0f} ms {late} against the voice",
        ]
    return "\n".join(lines)


@dataclass(frozen=True)
class _SoundPath:
    """play: where the test signal goes in. listen: the source that hears it. own: made for this."""

    play: str
    listen: str
    own: bool


@contextmanager
def _sound_path(play: str | None, listen: str | None) -> Iterator[_SoundPath]:
    """The path that was named, or a private one: a sink that only the avatar listens to."""
    if play is not None:
        yield _SoundPath(play, listen or f"monitor:{play}", False)
        return
    if listen is not None:
        raise InputError("--listen needs --play: name the output that it hears.")
    from vasa_cam.audio import pulse

    name = f"vasa_cam_test_{os.getpid()}"
    try:
        module = pulse.pactl("load-module", "module-null-sink", f"sink_name={name}", "rate=48000")
    except pulse.PulseError as error:
        raise InputError(
            f"no private sound path can be made ({error}); name a loopback device with --play and "
            "what hears it with --listen."
        ) from error
    try:
        yield _SoundPath(name, f"monitor:{name}", True)
    finally:
        pulse.pactl("unload-module", module.strip())


@contextmanager
def _running(path: _SoundPath, extra: list[str]) -> Iterator[dict[str, Any]]:
    """What a running daemon tells about itself; without one, it is started for the while."""
    from vasa_cam.live.control_client import ControlClient

    try:
        with ControlClient() as client:
            about = client.about
    except InputError:
        about = None
    if about is not None:
        if path.own:
            raise InputError(
                "vasa-cam live is running; stop it, or name the output that it hears with --play."
            )
        yield about
        return
    command = [sys.executable, "-m", "vasa_cam", "live", "--no-tui", "--source", path.listen]
    command += ["--virtual-mic"] if path.own else []
    process = subprocess.Popen([*command, *extra], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield _wait_for_daemon(process)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_daemon(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Until it shows frames and its delay has settled; what it tells about itself.

    Raises InputError when it ends.
    """
    from vasa_cam.live.control_client import ControlClient

    give_up = time.monotonic() + _STARTS_S
    settled_by: float | None = None
    delays_ms: list[float] = []
    while process.poll() is None and time.monotonic() < give_up:
        time.sleep(_POLL_S)
        try:
            with ControlClient() as client:
                status = client.send({"command": "status"})
        except InputError:
            continue  # not yet
        if status["counters"]["motion_frames"] == 0:
            continue
        settled_by = settled_by or time.monotonic() + _SETTLES_S
        delays_ms = [*delays_ms, status["delay_ms"]][-_STEADY_POLLS:]
        steady = len(delays_ms) == _STEADY_POLLS and max(delays_ms) - min(delays_ms) < _STEADY_MS
        if steady or time.monotonic() > settled_by:
            return client.about
    if process.poll() is None:
        raise InputError("vasa-cam live did not begin; see what it says when started alone.")
    assert process.stderr is not None
    lines = process.stderr.read().decode(errors="replace").splitlines() or ["no reason was given"]
    raise InputError(f"vasa-cam live ended: {lines[-1].removeprefix('vasa-cam: ')}")


def _frame_reader(camera: str | None, about: dict[str, Any]) -> FrameReader:
    from vasa_cam.live.latency_probe import CameraReader, PreviewReader

    if device := camera or about.get("webcam"):
        return CameraReader(device)
    if url := about.get("preview"):
        return PreviewReader(url)
    raise InputError("there is neither a webcam nor a preview to read frames from.")


def _voice(about: dict[str, Any]) -> str | None:
    microphone = about.get("microphone")
    return None if microphone is None else f"mic:{microphone}"


def _measure(
    path: _SoundPath, frames: FrameReader, sources: dict[str, str], config: LiveConfig, against: str
) -> LatencyReport:
    from vasa_cam.live.latency import measure
    from vasa_cam.live.latency_probe import watch_and_listen

    signal, opening = _test_signal(against)
    heard_by = {"reference": path.listen, **sources}
    seen, heard = watch_and_listen(frames, path.play, signal, heard_by, config.audio.block_ms)
    return measure(signal, opening, heard["reference"], seen, heard.get("voice"))


def _test_signal(against: str) -> tuple[Floats, Floats]:
    """Speech, float32 [n] at 16 kHz, and what the lips do to it, float32 [m] at 25 Hz."""
    from importlib import resources

    from vasa_cam.audio import read_speech
    from vasa_cam.live.latency import loudness, mouth_opening

    source = resources.files("vasa_cam") / "assets" / "demo_speech.flac"
    with resources.as_file(source) as path:
        signal = read_speech(path)
    if against == "loudness":
        return signal, loudness(signal)
    from vasa_cam.motion.voice import VoiceMotion

    return signal, mouth_opening(VoiceMotion().motion(signal).frames)
