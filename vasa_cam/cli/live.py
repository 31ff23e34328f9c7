"""`vasa-cam live`: a voice drives the avatar, and the picture goes to a webcam, live."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vasa_cam.cli import live_options as options

if TYPE_CHECKING:
    from vasa_cam.avatar.file import Avatar
    from vasa_cam.live.config import LiveConfig
    from vasa_cam.live.session import Session


def live(
    avatar: options.Avatar = None,
    config: options.Config = None,
    source: options.Source = None,
    loop: options.Loop = None,
    stop_at_end: options.StopAtEnd = None,
    fps: options.Fps = None,
    size: options.Size = None,
    background: options.Background = None,
    seed: options.Seed = None,
    style: options.Style = None,
    weights: options.Weights = None,
    webcam: options.Webcam = None,
    webcam_device: options.WebcamDevice = None,
    preview: options.Preview = None,
    port: options.Port = None,
    record: options.Record = None,
    virtual_mic: options.VirtualMic = None,
    voice_out: options.VoiceOut = None,
    mirror: options.Mirror = None,
    panic: options.Panic = None,
    metrics: options.Metrics = None,
    seconds: options.Seconds = None,
    tui: options.Tui = True,
    models: options.Models = None,
) -> None:
    """Speak, and the avatar speaks in your calls."""
    from vasa_cam.cli.render import parse_size
    from vasa_cam.live.config import LiveConfig
    from vasa_cam.live.config_file import override, read_config

    width, height = (None, None) if size is None else parse_size(size)
    changes: dict[str, Any] = {
        "audio.source": source,
        "audio.loop": loop,
        "audio.stop_at_end": stop_at_end,
        "video.fps": fps,
        "video.width_px": width,
        "video.height_px": height,
        "video.background": background,
        "video.mirror": mirror,
        "motion.seed": seed,
        "motion.style": _text(style),
        "motion.weights": _text(weights),
        "outputs.webcam": webcam,
        "outputs.webcam_device": webcam_device,
        "outputs.preview": preview,
        "outputs.preview_port": port,
        "outputs.record": _text(record),
        "voice.virtual_mic": virtual_mic,
        "voice.output_device": voice_out,
        "safety.panic": panic,
        "metrics.file": _text(metrics),
    }
    settings = override(LiveConfig() if config is None else read_config(config), changes)
    _run(settings, avatar, models, seconds, tui)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _run(
    config: LiveConfig, portrait: Path | None, models: Path | None, seconds: float | None, tui: bool
) -> None:
    from rich.console import Console

    from vasa_cam.cli.live_view import keys_and_view, plain_log
    from vasa_cam.live.instance_lock import InstanceLock
    from vasa_cam.live.session import live_session
    from vasa_cam.live.signals import stop_on_signals

    console = Console(stderr=True, highlight=False)
    with InstanceLock():
        with console.status("Opening the avatar"):
            avatar = _open(portrait, models)
        with live_session(config, avatar, models=models) as session:
            daemon = session.daemon
            reads_keys = tui and console.is_terminal and sys.stdin.isatty()
            view = keys_and_view(console, session) if reads_keys else plain_log(console, session)
            with stop_on_signals(daemon), view:
                daemon.run(seconds, on_start=lambda: _introduce(console, session))


def _open(portrait: Path | None, models: Path | None) -> Avatar:
    from importlib import resources

    from vasa_cam.avatar.file import load_avatar
    from vasa_cam.cli.portrait import open_portrait

    if portrait is not None:
        return open_portrait(portrait, models)
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as built_in:
        return load_avatar(built_in)


def _introduce(console: Any, session: Session) -> None:
    from rich.markup import escape

    for notice in session.notices:
        console.print(f"[yellow]{escape(notice)}[/]", soft_wrap=True)
    if session.webcam is not None and session.webcam.device is not None:
        console.print(f"webcam: {escape(session.webcam.device)}")
    if session.preview is not None:
        console.print(f"preview: {session.preview.url}", soft_wrap=True, markup=False)
        console.print(f"browser source: {session.preview.obs_url}", soft_wrap=True, markup=False)
    if session.control is not None:
        console.print("control: vasa-cam ctl, for example vasa-cam ctl status")
