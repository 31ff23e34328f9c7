"""A voice to JoyVASA's motion, window by window.

A window is four seconds of sound with the released weights, and is drawn when all of it has been
heard: this is for recordings, and not for live use. Windows do not overlap; each begins with the
last frames of motion and of sound of the one before, and with the same first noise as all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.joyvasa.generator import JoyVasa
from vasa_cam.motion.latent import EXPRESSION, LATENT_SIZE, LatentMotion
from vasa_cam.motion.latent_stream import SAMPLE_RATE_HZ, checked, frames_of

Floats = npt.NDArray[np.float32]

_LEAD_SAMPLES: Final = 1280
"""Silence before the sound, as the published program adds it."""


@dataclass(frozen=True)
class JoyVasaConfig:
    """How motion is drawn. seed: of all noise.

    guidance: how much more than without sound (2.8 in JoyVASA's program, 1.2 in FasterLivePortrait,
    1 for none). smoothing: share of a new frame in scale, translation and angles, as published; 1
    for no smoothing. The expression is never smoothed.
    """

    seed: int = 0
    guidance: float = 2.8
    smoothing: float = 0.01

    def __post_init__(self) -> None:
        if not 0.0 < self.smoothing <= 1.0:
            raise InputError(f"smoothing must be above 0 and at most 1, got {self.smoothing}.")
        if not np.isfinite(self.guidance):
            raise InputError(f"guidance must be a number, got {self.guidance}.")


class JoyVasaStream:
    """Voice to latent motion, see LatentStream. generator: the network. config: how it is used."""

    drives: ClassVar[Mapping[str, Any]] = {"mode": "relative", "absolute_lips": True}

    def __init__(self, generator: JoyVasa, config: JoyVasaConfig | None = None) -> None:
        self._generator = generator
        self.config = config or JoyVasaConfig()
        self._samples = round(generator.window * SAMPLE_RATE_HZ / generator.fps)
        if self._samples != 640 * generator.window:
            raise InputError(
                f"JoyVASA's audio encoder gives 25 frames a second and this checkpoint was trained "
                f"for {generator.fps:g}: use one for 25."
            )
        self.reset()

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self._generator.fps

    @property
    def latency_ms(self) -> float:
        """A whole window, less the silence before it."""
        return 1000.0 * (self._samples - _LEAD_SAMPLES) / SAMPLE_RATE_HZ

    def reset(self) -> None:
        """Forget everything; the next frame is the first of the first seed again."""
        self._rng = np.random.default_rng([self.config.seed, 0x10F])
        shape = self._generator.window, self._generator.denoiser.sizes.motion
        self._noise = self._rng.standard_normal(shape, np.float32)
        self._past = self._generator.first()
        self._sound = np.zeros(_LEAD_SAMPLES, np.float32)
        self._heard = self._given = 0
        self._ready = np.zeros((0, LATENT_SIZE), np.float32)
        self._smooth: Floats | None = None

    def push(self, samples: Floats) -> LatentMotion:
        """Take samples float32 [n] at 16 kHz, return the frames of the windows they complete."""
        sound = checked(samples)
        self._heard += len(sound)
        self._sound = np.concatenate([self._sound, sound])
        while len(self._sound) >= self._samples:
            self._window(self._sound[: self._samples])
            self._sound = self._sound[self._samples :]
        return self._take()

    def finish(self) -> LatentMotion:
        """The frames that are left, from a window filled up with silence; then as after reset."""
        while self._given + len(self._ready) < frames_of(self._heard, self.fps):
            ending = self._sound[: self._samples]
            silence = np.zeros(self._samples - len(ending), np.float32)
            self._window(np.concatenate([ending, silence]))
            self._sound = self._sound[self._samples :]
        motion = self._take()
        self.reset()
        return motion

    def _window(self, sound: Floats) -> None:
        """Make the frames of the next window's sound ready."""
        generator, scale = self._generator, self.config.guidance
        heard = generator.hear(sound)
        motion, self._past = generator.draw(heard, self._past, self._noise, scale, self._rng)
        rows = generator.template.rows(motion)
        share = np.float32(self.config.smoothing)
        for row in rows:
            new = row[EXPRESSION.stop :]
            old = new.copy() if self._smooth is None else self._smooth
            self._smooth = share * new + (1 - share) * old
            row[EXPRESSION.stop :] = self._smooth
        self._ready = np.concatenate([self._ready, rows])

    def _take(self) -> LatentMotion:
        """Frames that are ready, none after the end of what was heard."""
        count = min(len(self._ready), frames_of(self._heard, self.fps) - self._given)
        rows, self._ready = self._ready[:count], self._ready[count:]
        self._given += count
        return LatentMotion.from_rows(rows, self.fps)
