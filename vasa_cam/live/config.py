"""Every setting of the live daemon: one frozen tree, each default and unit stated once, here.

`vasa_cam.live.config_file` reads it from TOML and writes it; the command line's options override
it. A value outside its limits is refused when the object is made, whoever makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Literal

from vasa_cam.errors import InputError

PanicMode = Literal["freeze", "photo", "black", "real-camera"]
PANIC_MODES: Final[tuple[PanicMode, ...]] = ("freeze", "photo", "black", "real-camera")
EMOTIONS: Final = ("neutral", "happy", "sad", "angry", "surprised")
MAX_SIDE_PX: Final = 1920
MAX_FPS: Final = 60


def _setting(
    default: Any,
    unit: str,
    note: str,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field with its unit, what it means, and what it may be."""
    about = {"unit": unit, "note": note, "limits": limits, "choices": choices}
    return field(default=default, metadata=about)


class _Section:
    """Checks every field of a section against its metadata when the object is made."""

    TABLE: ClassVar[str]

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]
            check_value(f"{self.TABLE}.{one.name}", getattr(self, one.name), one.metadata)


def check_value(name: str, value: object, about: Any) -> None:
    """Raise InputError when a value lies outside the limits or choices of its setting."""
    limits, choices, unit = about.get("limits"), about.get("choices"), about.get("unit")
    if limits is not None and value is not None:
        low, high = limits
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(math.isfinite(number) and low <= number <= high for number in numbers):
            raise InputError(f"{name} must be {low:g} to {high:g} ({unit}), got {value}.")
    if choices is not None and value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


@dataclass(frozen=True)
class AudioSettings(_Section):
    """Where the voice comes from."""

    TABLE: ClassVar[str] = "audio"
    source: str = _setting(
        "mic",
        "source",
        "mic, mic:NAME_OR_INDEX, monitor, monitor:NAME, file:PATH, pcm:-, ws or silence",
    )
    block_ms: int = _setting(10, "ms", "length of one captured block", (2, 100))
    loop: bool = _setting(False, "true/false", "a file source starts again at its end")
    stop_at_end: bool = _setting(False, "true/false", "end when the source has ended")


@dataclass(frozen=True)
class VideoSettings(_Section):
    """The picture that every output gets."""

    TABLE: ClassVar[str] = "video"
    width_px: int = _setting(1280, "pixels", "width, an even number", (64, MAX_SIDE_PX))
    height_px: int = _setting(720, "pixels", "height, an even number", (64, MAX_SIDE_PX))
    fps: int = _setting(40, "frames a second", "25, 30, 40, 50 or 60 are usual", (1, MAX_FPS))
    background: str = _setting(
        "photo", "background", "photo, blur, transparent, #rrggbb or an image file"
    )
    mirror: bool = _setting(False, "true/false", "mirror the preview; others see you unmirrored")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width_px % 2 or self.height_px % 2:
            raise InputError(
                f"video.width_px and video.height_px must be even, got "
                f"{self.width_px}x{self.height_px}; cameras store colour at half resolution."
            )


@dataclass(frozen=True)
class MotionSettings(_Section):
    """How the voice drives the face; all but seed, style, weights can be changed while live."""

    TABLE: ClassVar[str] = "motion"
    seed: int = _setting(0, "number", "another one: other blinks, glances, nods", (0, 2**31 - 1))
    style: str | None = _setting(
        None, "file", 'lips like those in this track of you talking (vasa-cam track); "" for none'
    )
    weights: str | None = _setting(
        None, "folder", 'networks that you trained instead of the shipped ones; "" for those'
    )
    lips: float = _setting(1.0, "gain", "movement of the mouth", (0.0, 3.0))
    face: float = _setting(1.0, "gain", "movement of brows and cheeks", (0.0, 3.0))
    head: float = _setting(1.0, "gain", "movement of the head", (0.0, 3.0))
    blinks: float = _setting(1.0, "gain", "how often it blinks", (0.0, 3.0))
    wander: float = _setting(1.0, "gain", "how much the eyes stray; 0 is a stare", (0.0, 3.0))
    gaze_right_deg: float = _setting(
        0.0, "degrees", "gaze to the picture's right; 0 is into the camera", (-35.0, 35.0)
    )
    gaze_up_deg: float = _setting(0.0, "degrees", "gaze upwards", (-35.0, 35.0))
    distance: float = _setting(1.0, "ratio", "1 as in the photo, 1.2 farther away", (0.5, 2.0))
    emotion: str = _setting("neutral", "name", "one of " + ", ".join(EMOTIONS), None, EMOTIONS)
    emotion_amount: float = _setting(0.0, "share", "how much of the emotion", (0.0, 1.0))


@dataclass(frozen=True)
class OutputSettings(_Section):
    """Where the picture goes."""

    TABLE: ClassVar[str] = "outputs"
    webcam: bool = _setting(True, "true/false", "feed a virtual webcam")
    webcam_device: str | None = _setting(
        None, "device", 'path, number or label, such as /dev/video10; "" takes the first free one'
    )
    preview: bool = _setting(True, "true/false", "serve the preview page on this machine")
    preview_port: int = _setting(0, "port", "on 127.0.0.1; 0 takes a free one", (0, 65_535))
    preview_token: str | None = _setting(
        None, "secret", '16 or more letters; a fixed one keeps OBS\'s address; "" for a new one'
    )
    preview_alpha: bool = _setting(
        True, "true/false", "draw transparency for the OBS browser source, which takes time"
    )
    record: str | None = _setting(None, "file", '.mp4 or .mkv to record to; "" for none')


@dataclass(frozen=True)
class VoiceSettings(_Section):
    """The voice that is played in time with the picture."""

    TABLE: ClassVar[str] = "voice"
    virtual_mic: bool = _setting(
        False, "true/false", "make a PulseAudio/PipeWire microphone and play the voice into it"
    )
    output_device: str | None = _setting(
        None, "device", 'name or index to play the delayed voice to; "" for none'
    )
    margin_ms: float = _setting(
        3.0, "ms", "added to the measured delay; more gives fewer repeats", (0.0, 500.0)
    )


@dataclass(frozen=True)
class SafetySettings(_Section):
    """What is shown when you press panic."""

    TABLE: ClassVar[str] = "safety"
    panic: str = _setting("photo", "mode", "one of " + ", ".join(PANIC_MODES), None, PANIC_MODES)
    real_camera: str | None = _setting(
        None, "device", 'for panic = "real-camera", such as /dev/video0; "" takes the first'
    )


@dataclass(frozen=True)
class ControlSettings(_Section):
    """The control socket on this machine."""

    TABLE: ClassVar[str] = "control"
    enabled: bool = _setting(True, "true/false", "listen for `vasa-cam ctl` on 127.0.0.1")
    commands_per_s: int = _setting(
        100, "commands a second", "above it, only the newest of a kind is done", (1, 10_000)
    )


@dataclass(frozen=True)
class PerformanceSettings(_Section):
    """How much of the machine is used."""

    TABLE: ClassVar[str] = "performance"
    render_threads: int = _setting(1, "threads", "CPU threads that draw one frame", (1, 64))
    cpu_cores: tuple[int, ...] = _setting(
        (), "core numbers", "run on these cores only; [] for all", (0, 1023)
    )
    niceness: int = _setting(0, "nice", "process priority, lower is more", (-20, 19))


@dataclass(frozen=True)
class MetricsSettings(_Section):
    """What is written about speed."""

    TABLE: ClassVar[str] = "metrics"
    file: str | None = _setting(None, "file", 'JSON lines; "" for none')
    interval_s: float = _setting(1.0, "s", "between two lines", (0.1, 3600.0))


@dataclass(frozen=True)
class LiveConfig:
    """All settings of `vasa-cam live`; each part is one table of the TOML file."""

    audio: AudioSettings = field(default_factory=AudioSettings)
    video: VideoSettings = field(default_factory=VideoSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    outputs: OutputSettings = field(default_factory=OutputSettings)
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    safety: SafetySettings = field(default_factory=SafetySettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    performance: PerformanceSettings = field(default_factory=PerformanceSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
