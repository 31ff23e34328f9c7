"""What can be evaluated: anything that turns a voice into motion, and the rows to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.models import load_models
from vasa_cam.motion.sampler import LIVE, SamplerConfig
from vasa_cam.motion.space import Motion
from vasa_cam.motion.voice import VoiceConfig, VoiceMotion, VoiceStream
from vasa_cam.training.evaluation_data import EvalClip

Floats = npt.NDArray[np.float32]

MotionSource = Callable[[Floats, int], Motion]
"""(audio float32 [n] at 16 kHz, seed) -> motion at 25 Hz with ceil(n / 640) frames."""

SAMPLES_A_FRAME = 640


@dataclass(frozen=True)
class MotionSystem:
    """A way to turn voices into motion.

    whole: knows the recording's level before it starts, as `render` does. live: hears it for the
    first time, as a microphone does; None if there is no such mode.
    """

    name: str
    whole: MotionSource
    live: MotionSource | None = None


def voice_system(
    weights: Path | None = None, sampler: SamplerConfig = LIVE, public: str | None = None
) -> MotionSystem:
    """The shipped model, or the weight files in a folder; drawn as `sampler` says.

    public: a public encoder, see load_public_encoder; it has no live mode. Raises InputError when
    the weights cannot be read.
    """
    encoder, generator = load_models(weights, public)

    def whole(audio: Floats, seed: int) -> Motion:
        config = VoiceConfig(seed, sampler=sampler)
        return VoiceMotion(config, encoder, generator).motion(audio)

    def live(audio: Floats, seed: int) -> Motion:
        stream = VoiceStream(VoiceConfig(seed, sampler=sampler), encoder, generator)
        count = -(-len(audio) // SAMPLES_A_FRAME)
        ending = np.zeros(round(stream.latency_ms * 16) + 2 * SAMPLES_A_FRAME, np.float32)
        frames = stream.push(np.concatenate([audio, ending]))
        return Motion(frames[:count])

    name = "shipped" if weights is None else weights.name
    return MotionSystem(name, whole, None if encoder.public else live)


def another_voice(clips: Sequence[EvalClip], motions: Sequence[Motion]) -> list[Motion]:
    """To each clip the motion that another clip of its split made, repeated or cut to its length.

    The neighbour in the split, so a speaker's clips get another sentence of the same speaker.
    """
    chosen = []
    for k, clip in enumerate(clips):
        others = [j for j, other in enumerate(clips) if other.split == clip.split and j != k]
        frames = motions[min((j for j in others if j > k), default=others[0])].frames
        times = -(-clip.frames // len(frames))
        chosen.append(Motion(np.tile(frames, (times, 1))[: clip.frames]))
    return chosen


def mean_face(clips: Sequence[EvalClip]) -> list[Motion]:
    """The same still face for all: the mean of the tracked ones."""
    mean = np.concatenate([clip.real.frames for clip in clips]).mean(axis=0)
    return [Motion(np.tile(mean, (clip.frames, 1)).astype(np.float32)) for clip in clips]
