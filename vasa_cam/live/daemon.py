"""The live daemon: joins source, motion, drawing and outputs, takes commands, stops in a second.

Threads: motion (`motion_stage`), render (`render_stage`), pacer (`pacer`), one per output
(`sink_worker`), and the scene maker (`scene_keeper`). The thread that calls `run` waits, writes the
metrics file and ends it all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from vasa_cam.audio.sources import AudioSource
from vasa_cam.avatar.file import Avatar
from vasa_cam.errors import InputError
from vasa_cam.live.clock import MONOTONIC, NS_A_MS, NS_A_SECOND, Clock
from vasa_cam.live.delay import DelayControl
from vasa_cam.live.frame_grid import FrameGrid
from vasa_cam.live.metrics import Gauge, Metrics, MetricsFile
from vasa_cam.live.motion_driver import MotionDriver
from vasa_cam.live.motion_stage import MotionStage
from vasa_cam.live.pacer import Pacer
from vasa_cam.live.panic import PanicScreen
from vasa_cam.live.pictures import PicturePool
from vasa_cam.live.pipeline_config import PipelineConfig
from vasa_cam.live.process import Usage, resident_mib, tuned_process
from vasa_cam.live.real_camera import RealCamera
from vasa_cam.live.render_stage import RenderStage
from vasa_cam.live.scene import DEFAULT_MAKERS, SceneConfig, SceneMaker
from vasa_cam.live.scene_keeper import SceneKeeper
from vasa_cam.live.sink_worker import SinkWorker
from vasa_cam.live.source_supervisor import SourceSupervisor
from vasa_cam.live.stage_thread import StageThread
from vasa_cam.live.stages import BlockTap, MotionStream
from vasa_cam.live.steering import STEERING, avatar_opener, steer
from vasa_cam.live.timeline import MotionTimeline
from vasa_cam.motion.controls import Controls
from vasa_cam.output.sink import LayeredSink, Sink
from vasa_cam.render.framing import check_background

STOP_S: Final = 0.9
"""Everything has ended this long after a stop, in seconds; what hangs is left behind."""

_WATCH_S: Final = 0.05
_SPARE_PICTURES: Final = 4  # one being drawn, one in the slot, one shown, one to breathe

_log = logging.getLogger(__name__)


class LiveDaemon:
    """One run of the live avatar.

    avatar: shown first. source: of the voice. sinks: where frames go. taps: who else gets the
    voice. make_motion: builds a motion stream; None takes the built-in one. makers: how pictures
    are drawn, best first. clock: for tests and accelerated runs. delay_ns, delay_jumps: how long
    after its capture a moment is shown, and how often that jumped. Raises InputError when the
    background is not usable.
    """

    def __init__(
        self,
        config: PipelineConfig,
        avatar: Avatar,
        source: AudioSource,
        sinks: Sequence[Sink],
        taps: Sequence[BlockTap] = (),
        make_motion: Callable[[Controls], MotionStream] | None = None,
        makers: Sequence[SceneMaker] = DEFAULT_MAKERS,
        clock: Clock = MONOTONIC,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self._clock = clock
        self._sinks = tuple(sinks)
        alpha = any(sink.wants_alpha for sink in sinks)
        size = (config.width_px, config.height_px)
        self._delay = DelayControl(config.delay)
        self._timeline = MotionTimeline()
        self._supervisor = SourceSupervisor(source, self.metrics, clock)
        make_motion = make_motion or _built_in_motion(config.seed)
        self._driver = MotionDriver(make_motion, self.metrics, config.seed, config.controls, clock)
        self._motion = MotionStage(
            self._supervisor, self._driver, self._timeline, self._delay, self.metrics, taps, clock
        )
        scene = SceneConfig(*size, config.background, alpha)
        self._keeper = SceneKeeper(avatar, scene, self.metrics, makers)
        self._panic = PanicScreen(RealCamera(*size, config.real_camera))
        self._pool = PicturePool(*size, alpha, limit=_SPARE_PICTURES + 2 * len(sinks))
        grid = FrameGrid(Fraction(config.fps), clock.now_ns())
        self._render = RenderStage(
            grid,
            self._timeline,
            self._delay,
            self._keeper,
            self._panic,
            self._pool,
            self.metrics,
            clock,
        )
        self._render.wants_alpha = _alpha_watched(sinks)
        self._workers = [SinkWorker(sink, self._pool, self.metrics, clock) for sink in sinks]
        self._pacer = Pacer(grid, self._render.slot, self._workers, self._pool, self.metrics, clock)
        self._controls = config.controls
        self._paused = self._muted = False
        self._mirror = config.mirror
        self._lock = threading.Lock()
        self._stopping = False
        self._toggles = 0
        self._started_ns = clock.now_ns()
        self._add_figures()

    @property
    def delay_ns(self) -> int:
        """A moment is shown, and is to be heard, this long after its capture, in nanoseconds."""
        return self._delay.delay_ns

    @property
    def delay_jumps(self) -> int:
        """How often the delay changed at once instead of gently."""
        return self._delay.jumps

    @property
    def running(self) -> bool:
        """False once a stop was asked for."""
        return not self._stopping

    def run(
        self, duration_s: float | None = None, on_start: Callable[[], None] | None = None
    ) -> None:
        """Run until `stop`, or for so many seconds; on_start is called once all has begun.

        Raises InputError when the source or the metrics file cannot be opened; nothing is left
        running then. A daemon runs once.
        """
        config = self.config
        file = None if config.metrics_file is None else MetricsFile(config.metrics_file)
        try:
            with tuned_process(config.render_threads, config.cpu_cores, config.niceness):
                self._supervisor.start()
                try:
                    self._start()
                    if on_start is not None:
                        on_start()
                    self._watch(duration_s, file)
                finally:
                    self._shut_down()
        finally:
            if file is not None:
                file.close()

    def stop(self) -> None:
        """End `run` soon. Safe in a signal handler and from any thread."""
        self._stopping = True

    def toggle_panic(self) -> None:
        """Enter the configured panic, or leave it. Safe in a signal handler."""
        self._toggles += 1

    def handle(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do a command that `commands.check_command` let through; any thread may call.

        Returns what there is to tell; `status` tells everything. Raises InputError when it cannot
        be done.
        """
        try:
            with self._lock:
                reply = self._do(command)
        except InputError:
            self.metrics.count("commands_refused")
            raise
        self.metrics.count("commands")
        return reply

    def status(self) -> dict[str, Any]:
        """All figures and states, ready for JSON."""
        return self.metrics.snapshot()

    def _do(self, command: Mapping[str, Any]) -> dict[str, Any]:
        name = command["command"]
        if name in STEERING:
            self._controls = steer(self._controls, command)
            self._motion.controls = self._controls
        elif name in ("pause", "resume", "mute", "unmute"):
            self._paused = name == "pause" or (self._paused and name != "resume")
            self._muted = name == "mute" or (self._muted and name != "unmute")
            self._motion.quiet = self._paused or self._muted
        elif name == "panic":
            self._panic.enter(command.get("mode", self.config.panic))
        elif name == "calm":
            self._panic.leave()
        elif name == "avatar":
            path = Path(command["path"]).expanduser()
            self._keeper.show(open_avatar=avatar_opener(path, self.config.models))
        elif name == "background":
            check_background(command["spec"])
            self._keeper.show(background=command["spec"])
        elif name == "mirror":
            self._mirror = command["on"]
            self._set_mirror()
        elif name == "status":
            return self.status()
        elif name == "stop":
            self.stop()
        else:
            raise InputError(f"there is no command {name!r}.")
        return {}

    def _set_mirror(self) -> None:
        for sink in self._sinks:
            set_mirror = getattr(sink, "set_mirror", None)
            if set_mirror is not None:
                set_mirror(self._mirror)

    def _start(self) -> None:
        self._started_ns = self._clock.now_ns()
        self._set_mirror()
        self._keeper.start()
        for worker in self._workers:
            worker.start()
        self._motion.start()
        self._render.start()
        self._pacer.start()

    def _watch(self, duration_s: float | None, file: MetricsFile | None) -> None:
        """Wait for the end; a plain flag, because a signal handler may not take a lock."""
        line_at = time.monotonic()
        toggles = 0
        ended_ns: int | None = None
        while not self._stopping:
            now_ns = self._clock.now_ns()
            if duration_s is not None and now_ns - self._started_ns >= duration_s * NS_A_SECOND:
                return
            if self._supervisor.state == "ended" and self.config.stop_at_end:
                ended_ns = ended_ns or now_ns
                if now_ns - ended_ns > self.delay_ns + 100 * NS_A_MS:
                    return
            if self._toggles != toggles:
                toggles = self._toggles
                self._panic.toggle(self.config.panic)
            if file is not None and time.monotonic() >= line_at:
                line_at = max(line_at + self.config.metrics_interval_s, time.monotonic())
                file.write({"time_s": round(time.time(), 3), **self.status()})
            time.sleep(_WATCH_S)

    def _shut_down(self) -> None:
        """Ask all to end, then wait for them together."""
        self._stopping = True
        until_s = time.monotonic() + STOP_S
        stages: list[StageThread] = [self._motion, self._render, self._pacer, *self._workers]
        for stage in stages:
            stage.stop()
        self._keeper.stop()
        self._panic.leave()
        for stage in stages:
            if not stage.join(max(0.0, until_s - time.monotonic())):
                _log.warning("%s does not end; it is left behind", stage.name)
        self._supervisor.stop(max(0.05, until_s - time.monotonic()))

    def _add_figures(self) -> None:
        usage = Usage()
        gauges = self.metrics.gauges
        gauges["delay_ms"] = Gauge("from capture to picture and sound", self._delay_ms)
        gauges["uptime_s"] = Gauge("seconds since the start", self._uptime_s)
        gauges["cpu_cores"] = Gauge("processor cores kept busy", usage.cores)
        gauges["resident_mib"] = Gauge("memory in use, MiB", resident_mib)
        gauges["threads"] = Gauge("threads of the process", threading.active_count)
        gauges["pictures_lent"] = Gauge("pictures in use", lambda: self._pool.lent)
        gauges["motion_queue"] = Gauge(
            "motion frames computed and not yet shown", self._motion_queue
        )
        gauges["delay_jumps"] = Gauge("times the delay jumped", lambda: self._delay.jumps)
        self.metrics.info["sinks"] = lambda: [worker.status() for worker in self._workers]
        self.metrics.info["source"] = self._source_status
        self.metrics.info["state"] = self._state

    def _delay_ms(self) -> float:
        return self.delay_ns / NS_A_MS

    def _uptime_s(self) -> float:
        return (self._clock.now_ns() - self._started_ns) / NS_A_SECOND

    def _motion_queue(self) -> float:
        newest_ns = self._timeline.newest_ns
        if newest_ns is None:
            return 0.0
        shown_ns = self._clock.now_ns() - self.delay_ns
        return max(0.0, (newest_ns - shown_ns) / NS_A_SECOND * 25.0)

    def _source_status(self) -> dict[str, Any]:
        supervisor = self._supervisor
        return {
            "name": supervisor.source.name,
            "state": supervisor.state,
            "problem": supervisor.problem,
            "drops": supervisor.source.drops,
        }

    def _state(self) -> dict[str, Any]:
        return {
            "fps": self.config.fps,
            "size_px": [self.config.width_px, self.config.height_px],
            "paused": self._paused,
            "muted": self._muted,
            "panic": self._panic.mode,
            "panic_problem": self._panic.problem,
            "motion": self._driver.driving,
            "motion_problem": self._driver.problem,
            "drawing_way": self._keeper.level,
            "picture_problem": self._keeper.problem,
            "making_scene": self._keeper.busy,
            "avatar": self._keeper.avatar_name,
            "background": self._keeper.background,
            "mirror": self._mirror,
            "controls": _told(self._controls),
        }


def _told(controls: Controls) -> dict[str, Any]:
    """Controls as JSON has them, for pages whose sliders show where things stand."""
    gains = {name: getattr(controls, name) for name in ("lips", "face", "head", "blinks")}
    return {
        "gaze_deg": list(controls.gaze_deg),
        "distance": controls.distance,
        "emotion": dict(controls.emotion),
        **gains,
    }


def _alpha_watched(sinks: Sequence[Sink]) -> Callable[[], bool]:
    """Tells whether a picture without background is of use to anybody now."""
    takers = [sink for sink in sinks if sink.wants_alpha]
    layered = [sink for sink in takers if isinstance(sink, LayeredSink)]
    if len(layered) < len(takers):
        return lambda: True
    return lambda: any(sink.alpha_watched for sink in layered)


def _built_in_motion(seed: int) -> Callable[[Controls], MotionStream]:
    def make(controls: Controls) -> MotionStream:
        from vasa_cam.motion.voice import VoiceConfig, VoiceStream

        return VoiceStream(VoiceConfig(seed=seed, controls=controls))

    return make
