"""The motion thread: sound in, motion frames with capture times out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.audio.file import SPEECH_RATE_HZ
from vasa_cam.audio.resample import SpeechResampler
from vasa_cam.live.clock import MONOTONIC, NS_A_MS, Clock
from vasa_cam.live.delay import FRAME_NS, DelayControl
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.motion_driver import MotionDriver
from vasa_cam.live.sample_times import SampleTimes
from vasa_cam.live.source_supervisor import SourceSupervisor
from vasa_cam.live.stage_thread import StageThread
from vasa_cam.live.stages import BlockTap
from vasa_cam.live.timeline import MotionTimeline
from vasa_cam.motion.controls import Controls

Floats = npt.NDArray[np.float32]

TOO_LATE_NS: Final = 400 * NS_A_MS
"""Sound this old is not listened to any more: motion must not fall further and further behind."""

_READ_S: Final = 0.1

_log = logging.getLogger(__name__)


class MotionStage(StageThread):
    """Feeds the timeline. quiet: listen to silence instead of the voice. Runs until `stop`.

    taps: who else wants the sound. controls: set from any thread, the newest counts.
    """

    def __init__(
        self,
        source: SourceSupervisor,
        driver: MotionDriver,
        timeline: MotionTimeline,
        delay: DelayControl,
        metrics: Metrics,
        taps: Sequence[BlockTap] = (),
        clock: Clock = MONOTONIC,
    ) -> None:
        super().__init__("motion")
        self.quiet = False
        self.controls: Controls | None = None
        self._source = source
        self._driver = driver
        self._timeline = timeline
        self._delay = delay
        self._metrics = metrics
        self._taps = taps
        self._clock = clock
        self._times: SampleTimes | None = None
        self._resampler = SpeechResampler(SPEECH_RATE_HZ)
        self._origin = 0  # samples at 16 kHz that were pushed before the current rate began
        self._pushed = 0

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                block = self._source.read(_READ_S)
                if block is not None and len(block.samples):
                    self.take(block)
            except Exception:
                # Nothing above may end the thread; what it is will be the same for every block.
                _log.exception("the motion thread met something unforeseen")
                self._stopping.wait(_READ_S)

    def take(self, block: AudioBlock) -> None:
        """One block of sound; called by the thread."""
        begun_ns = self._clock.now_ns()
        self._metrics.count("blocks")
        self._metrics.hops["capture_to_block"].add_ns(begun_ns - block.capture_ns)
        if self.quiet:
            block = AudioBlock(np.zeros_like(block.samples), block.rate_hz, block.capture_ns)
        self._tell_taps(block)
        if begun_ns - block.end_ns > TOO_LATE_NS:
            self._metrics.count("blocks_dropped")
            return
        controls, self.controls = self.controls, None
        if controls is not None:
            self._driver.set_controls(controls)
        times = self._follow(block)
        samples = self._resampler.push(np.ascontiguousarray(block.samples, np.float32))
        self._pushed += len(samples)
        frames, first = self._driver.push(samples)
        if len(frames):
            self._publish(frames, first, times)
            self._metrics.hops["block_to_motion"].add_ns(self._clock.now_ns() - begun_ns)

    def _tell_taps(self, block: AudioBlock) -> None:
        for tap in self._taps:
            try:
                tap.push(block)
            except Exception:
                _log.exception("the voice could not be passed on; it is left out from now on")
                self._taps = [other for other in self._taps if other is not tap]
                return

    def _follow(self, block: AudioBlock) -> SampleTimes:
        """The times of the stream that this block belongs to."""
        times = self._times
        if times is None or times.rate_hz != block.rate_hz:
            times = self._times = SampleTimes(block.rate_hz)
            self._resampler = SpeechResampler(block.rate_hz)
            self._origin = self._pushed
        times.hear(block)
        return times

    def _publish(self, frames: Floats, first: int, times: SampleTimes) -> None:
        now_ns = self._clock.now_ns()
        start_ns = times.time_ns((first - self._origin) / SPEECH_RATE_HZ)
        stamps = start_ns + FRAME_NS * np.arange(len(frames), dtype=np.int64)
        self._timeline.append(stamps, frames, now_ns)
        self._metrics.count("motion_frames", len(frames))
        for stamp in stamps.tolist():
            self._delay.arrived(now_ns - stamp)
            self._metrics.hops["capture_to_motion"].add_ns(now_ns - stamp)
