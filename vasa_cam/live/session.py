"""One live session from its settings: source, outputs, playback, daemon and control socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vasa_cam.audio.echo import echo_warning, feedback_problem
from vasa_cam.audio.pcm import PcmSource
from vasa_cam.audio.playback import VoicePlayback
from vasa_cam.audio.sources import AudioSource, audio_source
from vasa_cam.avatar.file import Avatar
from vasa_cam.errors import InputError
from vasa_cam.live.av_sync import DriftController
from vasa_cam.live.commands import check_command
from vasa_cam.live.config import LiveConfig, MotionSettings, PanicMode
from vasa_cam.live.control import ControlServer
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.delay import DelayConfig
from vasa_cam.live.pipeline_config import PipelineConfig
from vasa_cam.live.runtime_dir import runtime_folder
from vasa_cam.live.stages import MotionStream
from vasa_cam.live.virtual_mic import SOURCE_NAME, VirtualMic
from vasa_cam.live.voice_out import VoiceOut
from vasa_cam.motion.controls import Controls
from vasa_cam.output.recording import RecordingConfig, RecordingSink
from vasa_cam.output.sink import Sink
from vasa_cam.output.webcam import WebcamConfig, WebcamSink

if TYPE_CHECKING:
    from vasa_cam.output.preview import PreviewServer


@dataclass(frozen=True, eq=False)
class Session:
    """What runs; None is what was switched off. notices: what the user should know, sentences."""

    daemon: LiveDaemon
    webcam: WebcamSink | None
    preview: PreviewServer | None
    control: ControlServer | None
    notices: tuple[str, ...]


MotionMaker = Callable[[Controls], MotionStream]


@contextmanager
def live_session(
    config: LiveConfig,
    avatar: Avatar,
    make_motion: MotionMaker | None = None,
    models: Path | None = None,
) -> Iterator[Session]:
    """Everything but `daemon.run`, which the caller does; all is closed at the end.

    make_motion: another way from voice to motion than the built-in one. models: folder with
    MediaPipe's files, for photos that become avatars while it runs. What is missing but can be
    done without is a notice for the user: a webcam, while there are other outputs. Raises
    InputError when the settings cannot work here.
    """
    notices: list[str] = []
    with ExitStack() as stack:
        source = audio_source(
            config.audio.source, loop=config.audio.loop, block_ms=config.audio.block_ms
        )
        late = _Late()
        webcam = _webcam(config, notices)
        preview = _preview(config, source, late)
        recording = _recording(config)
        sinks: list[Sink] = [one for one in (webcam, preview, recording) if one is not None]
        if not sinks:
            raise InputError(
                "there is no output; switch on the webcam or the preview, or name a recording."
            )
        playback = _playback(config, stack, notices)
        voice = VoiceOut(late.delay_ns, playback, [recording] if recording else [])
        daemon = late.daemon = LiveDaemon(
            pipeline_config(config, models),
            avatar,
            source,
            sinks,
            taps=[voice],
            make_motion=make_motion or _own_motion(config.motion),
        )
        if playback is not None:
            daemon.metrics.info["voice"] = voice.status
        if preview is not None:
            preview.open()  # now, so that its address can be told
            stack.callback(preview.close)
        control = _control(config, daemon, webcam, preview)
        if control is not None:
            stack.enter_context(control)
        yield Session(daemon, webcam, preview, control, tuple(notices))


def pipeline_config(config: LiveConfig, models: Path | None = None) -> PipelineConfig:
    """The settings of the pipeline."""
    video, performance = config.video, config.performance
    return PipelineConfig(
        width_px=video.width_px,
        height_px=video.height_px,
        fps=video.fps,
        background=video.background,
        seed=config.motion.seed,
        controls=_controls(config.motion),
        mirror=video.mirror,
        delay=DelayConfig(margin_ms=config.voice.margin_ms),
        render_threads=performance.render_threads,
        cpu_cores=performance.cpu_cores,
        niceness=performance.niceness,
        metrics_file=Path(config.metrics.file) if config.metrics.file else None,
        metrics_interval_s=config.metrics.interval_s,
        panic=cast(PanicMode, config.safety.panic),
        real_camera=config.safety.real_camera,
        stop_at_end=config.audio.stop_at_end,
        models=models,
    )


def _own_motion(motion: MotionSettings) -> MotionMaker | None:
    """Makes motion with the lips of a person's track, by a user's own networks; None for neither.

    Files are read now, so that what is wrong with them is said before anything starts.
    """
    if motion.style is None and motion.weights is None:
        return None
    from vasa_cam.motion.lips import DEFAULT_STYLE
    from vasa_cam.motion.models import load_models
    from vasa_cam.motion.voice import VoiceConfig, VoiceStream
    from vasa_cam.render_video import read_style

    models = load_models(None if motion.weights is None else Path(motion.weights).expanduser())
    style = DEFAULT_STYLE
    if motion.style is not None:
        style = read_style(Path(motion.style).expanduser(), *models)
    return lambda controls: VoiceStream(VoiceConfig(motion.seed, controls, style), *models)


def _controls(motion: MotionSettings) -> Controls:
    return Controls(
        gaze_deg=(motion.gaze_right_deg, motion.gaze_up_deg),
        distance=motion.distance,
        emotion={motion.emotion: motion.emotion_amount} if motion.emotion_amount else {},
        lips=motion.lips,
        face=motion.face,
        head=motion.head,
        blinks=motion.blinks,
        wander=motion.wander,
    )


class _Late:
    """What outputs ask the daemon, which is made after them."""

    daemon: LiveDaemon

    def delay_ns(self) -> int:
        return self.daemon.delay_ns

    def metrics(self) -> str:
        return self.daemon.metrics.prometheus()

    def web_command(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return self.daemon.handle(check_command(message, from_web=True))


def _webcam(config: LiveConfig, notices: list[str]) -> WebcamSink | None:
    outputs, video = config.outputs, config.video
    if not outputs.webcam:
        return None
    webcam = WebcamSink(
        WebcamConfig(video.width_px, video.height_px, video.fps, outputs.webcam_device)
    )
    try:
        webcam.open()
    except InputError as error:
        if not (outputs.preview or outputs.record):
            raise
        # The daemon tries again, so that a camera that appears later is used.
        webcam.problem = str(error)
        notices.append(f"{error} Until then: without a webcam.")
    return webcam


def _preview(config: LiveConfig, source: AudioSource, late: _Late) -> PreviewServer | None:
    outputs = config.outputs
    fed = source if isinstance(source, PcmSource) and config.audio.source == "ws" else None
    if not outputs.preview:
        if fed is not None:
            raise InputError("the source ws comes through the preview server; switch that on.")
        return None
    from vasa_cam.output.preview import PreviewConfig, PreviewServer  # late: aiohttp is large

    return PreviewServer(
        PreviewConfig(outputs.preview_port, outputs.preview_token, outputs.preview_alpha),
        metrics=late.metrics,
        control=late.web_command,
        pcm=None if fed is None else fed.feed,
        clear=None if fed is None else fed.clear,
    )


def _recording(config: LiveConfig) -> RecordingSink | None:
    if config.outputs.record is None:
        return None
    video = config.video
    recording = RecordingSink(
        RecordingConfig(
            Path(config.outputs.record).expanduser(),
            Fraction(video.fps),
            (video.width_px, video.height_px),
        )
    )
    recording.open()
    return recording


def _control(
    config: LiveConfig,
    daemon: LiveDaemon,
    webcam: WebcamSink | None,
    preview: PreviewServer | None,
) -> ControlServer | None:
    if not config.control.enabled:
        return None
    about = {
        "webcam": None if webcam is None else webcam.device,
        "preview": None if preview is None else preview.url,
        "microphone": SOURCE_NAME if config.voice.virtual_mic else None,
    }
    control = ControlServer(daemon.handle, config.control.commands_per_s, runtime_folder(), about)
    daemon.metrics.info["control"] = control.counts
    return control


def _playback(config: LiveConfig, stack: ExitStack, notices: list[str]) -> VoicePlayback | None:
    voice = config.voice
    device, before_open = voice.output_device, None
    if voice.virtual_mic:
        if device is not None:
            raise InputError("choose either --virtual-mic or --voice-out; the voice goes one way.")
        microphone = VirtualMic()
        microphone.create()
        stack.callback(microphone.remove)
        device, before_open = microphone.sink_name, microphone.ensure
    if device is None:
        return None
    if (problem := feedback_problem(config.audio.source, device)) is not None:
        raise InputError(problem)
    if (warning := echo_warning(device)) is not None:
        notices.append(warning)
    playback = VoicePlayback(
        device, DriftController, delay_ms=DelayConfig().start_ms, before_open=before_open
    )
    playback.start()
    stack.callback(playback.stop)
    return playback
