"""What the generators of latent motion have in common: sound goes in block by block, frames come.

A stream takes 16 kHz mono sound in blocks of any size and gives the frames that each block
completes. Cutting the sound differently changes nothing. At the end `finish` gives the rest, so
that the motion lasts as long as the sound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import LatentMotion

Floats = npt.NDArray[np.float32]

SAMPLE_RATE_HZ: Final = 16_000
_BLOCK_SAMPLES: Final = 480_000  # half a minute


class LatentStream(Protocol):
    """A generator at work on one voice."""

    drives: ClassVar[Mapping[str, Any]]
    """How its motion wants to drive a source: settings of the volume renderer's DrivingConfig."""

    @property
    def fps(self) -> float:
        """Frames a second."""
        ...

    @property
    def latency_ms(self) -> float:
        """From a sound's arrival to the frame that shows it, at most, without computing time."""
        ...

    def reset(self) -> None:
        """Forget everything; the next frame is the first of the first seed again."""
        ...

    def push(self, samples: Floats) -> LatentMotion:
        """Take samples float32 [n], return the frames that they complete."""
        ...

    def finish(self) -> LatentMotion:
        """The frames that are left at the end of the sound; then the stream is as after reset."""
        ...


def latent_motion(stream: LatentStream, audio: Floats) -> LatentMotion:
    """Motion of a whole recording, float32 [n] at 16 kHz mono: ceil(n / 16000 * fps) frames.

    Raises InputError when the audio is not a finite mono signal.
    """
    samples = checked(audio)
    if len(samples) == 0:
        raise InputError("The audio holds no samples: give at least one.")
    stream.reset()
    starts = range(0, len(samples), _BLOCK_SAMPLES)
    # In blocks, which changes nothing but the memory that a long recording takes.
    parts = [stream.push(samples[start : start + _BLOCK_SAMPLES]) for start in starts]
    return LatentMotion.joined([*parts, stream.finish()])


def checked(samples: Floats) -> Floats:
    """Samples as contiguous float32 [n]. Raises InputError when they are not finite and mono."""
    sound = np.ascontiguousarray(samples, np.float32)
    if sound.ndim != 1:
        raise InputError(f"Expected mono audio, got shape {sound.shape}.")
    if not np.isfinite(sound).all():
        raise InputError("The audio holds values that are not finite: export it again.")
    return sound


def frames_of(samples: int, fps: float) -> int:
    """Frames that last at least as long as so many samples."""
    return math.ceil(samples * fps / SAMPLE_RATE_HZ)
