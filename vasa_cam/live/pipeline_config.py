"""What the daemon's pipeline needs to know; the command line makes it from `LiveConfig`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vasa_cam.live.config import PanicMode
from vasa_cam.live.delay import DelayConfig
from vasa_cam.motion.controls import DEFAULT_CONTROLS, Controls


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of a `LiveDaemon`.

    width_px, height_px, fps, background: of the picture. seed: of all chance in the motion.
    controls: of the face at the start. mirror: of outputs that can mirror. delay: how it follows
    what is needed. render_threads: CPU threads that draw a frame. cpu_cores: numbers of the cores
    to run on, none for all. niceness: of the process. metrics_file: JSON lines are appended to it
    every metrics_interval_s seconds. panic: what `panic` without a mode shows. real_camera: device
    of that panic mode, None for the first. stop_at_end: stop when the source has ended and its last
    moment was shown. models: folder with MediaPipe's files, for photos that become avatars later;
    None for the usual one.
    """

    width_px: int = 1280
    height_px: int = 720
    fps: int = 40
    background: str = "photo"
    seed: int = 0
    controls: Controls = DEFAULT_CONTROLS
    mirror: bool = False
    delay: DelayConfig = field(default_factory=DelayConfig)
    render_threads: int = 1
    cpu_cores: tuple[int, ...] = ()
    niceness: int = 0
    metrics_file: Path | None = None
    metrics_interval_s: float = 1.0
    panic: PanicMode = "photo"
    real_camera: str | None = None
    stop_at_end: bool = False
    models: Path | None = None
