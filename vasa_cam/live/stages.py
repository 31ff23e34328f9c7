"""What the daemon expects of the parts that it joins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from vasa_cam.audio.blocks import AudioBlock

if TYPE_CHECKING:
    from vasa_cam.motion.controls import Controls

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class MotionStream(Protocol):
    """Voice to motion, block by block; used by one thread.

    latency_ms: from a sound's arrival to the motion frame that shows it, at most: look-ahead and
    one frame.
    """

    @property
    def latency_ms(self) -> float:
        """See above."""
        ...

    def push(self, samples: Floats) -> Floats:
        """Take samples float32 [n] at 16 kHz; return the motion frames that they complete.

        Frames are float32 [m, 58] at 25 Hz; frame k belongs to sample 640 k of the stream.
        """
        ...

    def set_controls(self, controls: Controls) -> None:
        """Use these controls from the next frame on."""
        ...


class BlockTap(Protocol):
    """Whoever wants to hear what the daemon hears, such as the playback of the delayed voice."""

    def push(self, block: AudioBlock) -> None:
        """Take a block, from the motion thread: never blocks, never raises.

        Muted or paused, and while the source is lost, the samples are zero.
        """
        ...


class Scene(Protocol):
    """An avatar and its background, ready to be drawn at one size; used by one thread."""

    def draw(self, motion: Floats, rgb: Bytes, rgba: Bytes | None) -> None:
        """Draw one motion frame, float32 [58], into uint8 [H, W, 3] and, where given, [H, W, 4]."""
        ...
