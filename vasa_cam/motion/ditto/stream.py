"""A voice to Ditto's motion, clip by clip.

Clips of 80 frames follow each other by 80 - overlap frames; see `clips`. For recordings (overlap 10
as published) the first clip begins with the sound. Live, clips begin `overlap` frames of silence
before the sound, so that with an overlap of 70 or 75 a frame leaves after two times 10 or 5 new
frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.ditto.clips import ClipJoiner
from vasa_cam.motion.ditto.condition import (
    MOTION_SIZE,
    POSE,
    SOUND_SIZE,
    DittoSource,
    beside_the_sound,
)
from vasa_cam.motion.ditto.diffusion import ddim_steps
from vasa_cam.motion.ditto.driving import FPS, driven
from vasa_cam.motion.ditto.generator import Ditto
from vasa_cam.motion.ditto.hearing import (
    BEFORE,
    FRAME_SAMPLES,
    GIVEN,
    WINDOW_SAMPLES,
    Hearing,
)
from vasa_cam.motion.latent import LatentMotion
from vasa_cam.motion.latent_stream import SAMPLE_RATE_HZ, checked, frames_of

Floats = npt.NDArray[np.float32]

_STRIDE: Final = GIVEN * FRAME_SAMPLES


@dataclass(frozen=True)
class DittoConfig:
    """How motion is drawn. seed: of all noise. steps: network evaluations a clip (10 live).

    overlap: frames that clips share. live: begin before the sound, fade over as few frames as are
    new. emotion: one of condition.EMOTIONS. relative, drive_eyes: see driving.driven.
    restart_every: after so many clips the next one starts from the source's expression instead of
    the last frame's, 0 for never; the published live configuration has 1.
    """

    seed: int = 0
    steps: int = 50
    overlap: int = 10
    live: bool = False
    emotion: str = "neutral"
    relative: bool = True
    drive_eyes: bool = True
    restart_every: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise InputError(f"steps must be 1 to 1000, got {self.steps}.")
        if self.restart_every < 0:
            raise InputError(f"restart_every must be 0 or more, got {self.restart_every}.")


LIVE: Final = DittoConfig(steps=10, overlap=70, live=True, restart_every=1)
"""As Ditto's published live configuration: a frame leaves after 0.8 s of sound, and computing."""


class DittoStream:
    """Voice to latent motion, see LatentStream.

    generator: the network. source: the face to move. hearing: what it hears with; None for sound
    features that come from elsewhere (`motion_of_features`). config: how it is used. Raises
    InputError when they do not fit each other.
    """

    drives: ClassVar[Mapping[str, Any]] = {"mode": "absolute"}

    def __init__(
        self,
        generator: Ditto,
        source: DittoSource,
        hearing: Hearing | None = None,
        config: DittoConfig | None = None,
    ) -> None:
        self.config = config or DittoConfig()
        self._generator, self._source, self._hearing = generator, source, hearing
        frames, overlap = generator.frames, self.config.overlap
        if not 1 <= overlap < frames:
            raise InputError(f"overlap must be 1 to {frames - 1} frames, got {overlap}.")
        self._beside = beside_the_sound(source, self.config.emotion, generator.parts)
        if SOUND_SIZE + len(self._beside) != generator.sizes.condition:
            raise InputError(
                f"the Ditto generator is told {generator.sizes.condition} numbers a frame and got "
                f"{SOUND_SIZE + len(self._beside)}: name the parts that it was trained with."
            )
        self._new = frames - overlap
        self._steps = ddim_steps(self.config.steps)
        self.reset()

    @property
    def fps(self) -> float:
        """Frames a second."""
        return FPS

    @property
    def latency_ms(self) -> float:
        """Frames that must be heard from a frame's own on, and the look-ahead of hearing."""
        frames = 2 * self._new if self.config.live else self._generator.frames
        # Frames are heard by fives; where clips do not end with one, up to four more are waited.
        frames += 0 if self._new % GIVEN == frames % GIVEN == 0 else GIVEN - 1
        ahead = WINDOW_SAMPLES - (BEFORE + GIVEN) * FRAME_SAMPLES
        return 1000.0 * (frames / FPS + ahead / SAMPLE_RATE_HZ)

    def reset(self) -> None:
        """Forget everything; the next frame is the first of the first seed again."""
        frames, config = self._generator.frames, self.config
        self._rng = np.random.default_rng([config.seed, 0xD1])
        shape = (config.steps, frames, MOTION_SIZE)
        # The noise of the steps is drawn once for all clips, as published; the first is fresh.
        self._noise = self._rng.standard_normal(shape, np.float32)
        fuse = min(config.overlap, self._new) if config.live else config.overlap
        self._joiner = ClipJoiner(frames, config.overlap, fuse)
        self._frame = self._source.motion
        self._first: Floats | None = None
        self._clips = self._heard = self._given = self._frames_told = 0
        self._sound = np.zeros(BEFORE * FRAME_SAMPLES, np.float32)
        self._told = np.zeros((0, self._generator.sizes.condition), np.float32)
        # Frames before the sound, which are never given out.
        self._lead = self._silent = config.overlap if config.live else 0

    def push(self, samples: Floats) -> LatentMotion:
        """Take samples float32 [n] at 16 kHz, return the frames that they complete.

        Raises InputError without an encoder to hear with.
        """
        sound = checked(samples)
        self._heard += len(sound)
        self._sound = np.concatenate([self._sound, sound])
        self._hear()
        return self._take(self._clips_of(self._told))

    def finish(self) -> LatentMotion:
        """The frames that are left at the end of the sound; then the stream is as after reset."""
        count = frames_of(self._heard, FPS)
        rows = np.zeros((0, MOTION_SIZE), np.float32)
        if self._given < count:
            ending = np.zeros(WINDOW_SAMPLES + _STRIDE, np.float32)
            self._sound = np.concatenate([self._sound, ending])
            self._hear()
            # What was heard after the end is not told.
            extra = self._frames_told - count
            self._told = self._told[: len(self._told) - extra]
            rows = self._last_clips(count)
        motion = self._take(rows)
        self.reset()
        return motion

    def motion_of_features(self, features: Floats) -> LatentMotion:
        """Motion [T] of features that were computed elsewhere, float32 [T, 1024], 25 a second.

        Live, silence is what the first frame sounds like. Raises InputError for another shape.
        """
        if features.ndim != 2 or features.shape[1] != SOUND_SIZE or not np.isfinite(features).all():
            raise InputError(
                f"Expected finite sound features [T, {SOUND_SIZE}], got {list(features.shape)}."
            )
        self.reset()
        if len(features) == 0:
            return driven(np.zeros((0, MOTION_SIZE), np.float32), self._frame, self._source)
        self._tell(features, features[:1])
        self._heard = len(features) * FRAME_SAMPLES
        motion = self._take(self._last_clips(len(features)))
        self.reset()
        return motion

    def _hear(self) -> None:
        """Turn the sound that is there into conditions."""
        if self._hearing is None:
            raise InputError(
                "this Ditto stream has nothing to hear with: give it the encoder's ONNX file, or "
                "sound features."
            )
        while len(self._sound) >= WINDOW_SAMPLES:
            silent = np.zeros((0, SOUND_SIZE), np.float32)
            if self._silent:
                silent = self._hearing(np.zeros(WINDOW_SAMPLES, np.float32))
            self._tell(self._hearing(self._sound[:WINDOW_SAMPLES]), silent)
            self._sound = self._sound[_STRIDE:]

    def _tell(self, features: Floats, silence: Floats) -> None:
        """Add conditions of features [n, 1024]; before the first, of silence [m, 1024]."""
        self._frames_told += len(features)
        if self._silent:
            repeats = -(-self._silent // len(silence))
            before = np.tile(silence, (repeats, 1))[: self._silent]
            features, self._silent = np.concatenate([before, features]), 0
        beside = np.broadcast_to(self._beside, (len(features), len(self._beside)))
        told = np.concatenate([features, beside], axis=1)
        self._told = np.concatenate([self._told, told])

    def _clips_of(self, told: Floats) -> Floats:
        """Frames float32 [n, 265] that become final with the clips that are told in full."""
        parts = [np.zeros((0, MOTION_SIZE), np.float32)]
        frames, config = self._generator.frames, self.config
        while len(told) >= frames:
            start = self._rng.standard_normal((1, frames, MOTION_SIZE), np.float32)
            noise = np.concatenate([start, self._noise[1:]])
            clip = self._generator.draw(self._frame, told[:frames], self._steps, noise)
            parts.append(self._joiner.add(clip))
            if self._first is None:
                self._first = parts[-1][0].copy()
            told = told[self._new :]
            self._clips += 1
            self._frame = self._joiner.before_next()
            if config.restart_every and self._clips % config.restart_every == 0:
                pose = self._frame[POSE]
                self._frame = self._source.motion.copy()
                self._frame[POSE] = pose
        self._told = told
        return np.concatenate(parts)

    def _last_clips(self, count: int) -> Floats:
        """Frames float32 [n, 265] up to frame `count`; what is told last goes on."""
        rows = self._clips_of(self._told)
        while len(rows) < count - self._given + self._lead:
            missing = self._generator.frames - len(self._told)
            told = np.concatenate([self._told, np.repeat(self._told[-1:], missing, axis=0)])
            rows = np.concatenate([rows, self._clips_of(told)])
        return rows

    def _take(self, rows: Floats) -> LatentMotion:
        """Motion of final rows, without those before the sound and after its end."""
        before = min(self._lead, len(rows))
        self._lead -= before
        rows = rows[before:][: max(0, frames_of(self._heard, FPS) - self._given)]
        self._given += len(rows)
        first = self._source.motion if self._first is None else self._first
        config = self.config
        return driven(rows, first, self._source, relative=config.relative, eyes=config.drive_eyes)
