"""Keeps motion coming whatever happens to the motion model.

A model that throws is built anew and goes on. One that keeps throwing is replaced by idle motion
and tried again later, at growing intervals. Changes are blended, so that no head jumps.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from vasa_cam.live.clock import MONOTONIC, NS_A_SECOND, Clock
from vasa_cam.live.idle_motion import IdleMotion
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.stages import MotionStream
from vasa_cam.motion.controls import DEFAULT_CONTROLS, Controls
from vasa_cam.motion.space import MOTION_SIZE, neutral
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]
Driving = Literal["voice", "idle"]

SAMPLES_A_FRAME: Final = 640
BLEND_FRAMES: Final = 10
_PATIENCE: Final = 3  # failures ...
_WITHIN_NS: Final = 10 * NS_A_SECOND  # ... in this time, then idle motion
_FIRST_WAIT_NS: Final = 5 * NS_A_SECOND
_LONGEST_WAIT_NS: Final = 60 * NS_A_SECOND

_log = logging.getLogger(__name__)


class MotionDriver:
    """Owns the motion stream; used by one thread.

    make: builds a stream that starts with these controls; may raise. seed: of the idle motion.
    driving: what moves the face now. problem: what went wrong last, for people.
    """

    def __init__(
        self,
        make: Callable[[Controls], MotionStream],
        metrics: Metrics,
        seed: int = 0,
        controls: Controls = DEFAULT_CONTROLS,
        clock: Clock = MONOTONIC,
    ) -> None:
        self.driving: Driving = "voice"
        self.problem = ""
        self._make = make
        self._metrics = metrics
        self._seed = seed
        self._clock = clock
        self._controls = controls
        self._failures: deque[int] = deque(maxlen=_PATIENCE)
        self._wait_ns = _FIRST_WAIT_NS
        self._retry_ns = 0
        self._heard = 0
        self._origin = self._made = 0
        self._last: Floats | None = None
        self._blend_from: Floats | None = None
        self._blended = 0
        self._stream: MotionStream = IdleMotion(seed)
        self._start()

    @property
    def latency_ms(self) -> float:
        """Of the stream in use."""
        return self._stream.latency_ms

    def set_controls(self, controls: Controls) -> None:
        """Use these from the next frame on."""
        self._controls = controls
        try:
            self._stream.set_controls(controls)
        except Exception as error:
            self._failed(error)

    def push(self, samples: Floats) -> tuple[Floats, int]:
        """Take samples float32 [n] at 16 kHz.

        Returns the frames float32 [m, 58] that they complete, and the place of the first of them in
        all samples ever pushed; the others follow at 640 samples each.
        """
        if self.driving == "idle" and self._clock.now_ns() >= self._retry_ns:
            self._start()
        self._heard += len(samples)
        try:
            frames = _checked(self._stream.push(samples))
        except Exception as error:
            self._failed(error)
            frames = neutral(0)
        first = self._origin + SAMPLES_A_FRAME * self._made
        self._made += len(frames)
        return self._blend(frames), first

    def _start(self) -> None:
        """A new stream that listens from the next sample on."""
        try:
            stream = self._make(self._controls)
        except Exception as error:
            self._failed(error)
        else:
            self._use(stream, "voice")

    def _failed(self, error: Exception) -> None:
        now_ns = self._clock.now_ns()
        self._metrics.count("motion_failures")
        self._failures.append(now_ns)
        self.problem = f"the motion model failed ({type(error).__name__}: {error})"
        on_trial = self._retry_ns > 0 and now_ns - self._retry_ns < _WITHIN_NS
        if self._retry_ns and not on_trial:
            self._retry_ns, self._wait_ns = 0, _FIRST_WAIT_NS
        often = len(self._failures) == _PATIENCE and now_ns - self._failures[0] < _WITHIN_NS
        if on_trial or often:
            self._retry_ns = now_ns + self._wait_ns
            seconds = self._wait_ns / NS_A_SECOND
            self._wait_ns = min(2 * self._wait_ns, _LONGEST_WAIT_NS)
            _log.error("%s; idle motion instead, next try in %.0f s", self.problem, seconds)
            self._use(IdleMotion(self._seed, self._controls), "idle")
        else:
            _log.warning("%s; it is started anew", self.problem, exc_info=error)
            self._start()

    def _use(self, stream: MotionStream, driving: Driving) -> None:
        self._stream, self.driving = stream, driving
        self._origin, self._made = self._heard, 0
        self._blend_from, self._blended = self._last, 0

    def _blend(self, frames: Floats) -> Floats:
        """Frames that leave from where the stream before ended."""
        if not len(frames):
            return frames
        if self._blend_from is not None:
            frames = frames.copy()
            steps = self._blended + 1 + np.arange(len(frames))
            part = smoothstep(0.0, BLEND_FRAMES + 1.0, steps)[:, None]
            frames[:] = self._blend_from + part * (frames - self._blend_from)
            self._blended += len(frames)
            if self._blended > BLEND_FRAMES:
                self._blend_from = None
        self._last = frames[-1].copy()
        return frames


def _checked(frames: Floats) -> Floats:
    if frames.ndim != 2 or frames.shape[1] != MOTION_SIZE:
        raise ValueError(f"motion frames must be [m, {MOTION_SIZE}], got {frames.shape}")
    if not np.isfinite(frames).all():
        raise ValueError("motion frames hold values that are not finite")
    return frames
