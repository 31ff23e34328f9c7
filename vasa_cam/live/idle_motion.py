"""The motion stream that cannot fail for want of a network: an avatar that breathes, looks, blinks.

It stands in for the motion model when that keeps failing. It hears nothing; the mouth rests.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.audio.file import SPEECH_RATE_HZ
from vasa_cam.motion.controls import DEFAULT_CONTROLS, ControlGlide, Controls
from vasa_cam.motion.idle import IdleStream
from vasa_cam.motion.idle_face import compose
from vasa_cam.motion.space import COEFFICIENTS, MOTION_RATE_HZ, neutral

Floats = npt.NDArray[np.float32]

_SAMPLES_A_FRAME = round(SPEECH_RATE_HZ / MOTION_RATE_HZ)


class IdleMotion:
    """A MotionStream without a voice. seed: of all chance in it."""

    latency_ms = 0.0

    def __init__(self, seed: int = 0, controls: Controls = DEFAULT_CONTROLS) -> None:
        self._idle = IdleStream(seed)
        self._glide = ControlGlide(controls)
        self._waiting = 0

    def push(self, samples: Floats) -> Floats:
        """Frames float32 [m, 58] for as many samples at 16 kHz, whatever is in them."""
        self._waiting += len(samples)
        count, self._waiting = divmod(self._waiting, _SAMPLES_A_FRAME)
        if count == 0:
            return neutral(0)
        silence = np.zeros(count, np.float32)
        controls = self._glide.advance(count)
        self._idle.steer(float(controls.blinks[-1]), float(controls.wander[-1]))
        lips = np.zeros((count, COEFFICIENTS), np.float32)
        return compose(lips, self._idle.push(silence, silence), controls)

    def set_controls(self, controls: Controls) -> None:
        """Glide to these from the next frame on."""
        self._glide.set(controls)
