"""The diffusion sampler: one window of motion from its conditions and noise.

The paper's generator (arXiv 2404.10667) with a deterministic DDIM solver, guidance with one scale
per condition, and a size of the first noise for the mouth and for everything else. Windows follow
each other in `vasa_cam.motion.voice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.errors import InputError
from vasa_cam.motion.channels import CHANNELS, HEAD_AND_BROWS, MOUTH
from vasa_cam.motion.generator import CONDITIONS, GUIDED, Generator, WindowInputs
from vasa_cam.motion.schedule import SolverTable, ddim_table, guidance_weights

Floats = npt.NDArray[np.float32]


_NOT_HEARD: Final = tuple(name for name in CONDITIONS if name not in ("a_pre", "a"))


@dataclass(frozen=True)
class SamplerConfig:
    """How windows are drawn.

    steps: network evaluations a window. bend: spacing of their times, see ddim_table. hop: frames a
    window gives, 40 ms each. ahead: draw a window when its first frame has been heard, and the
    mouth again with every frame as it is heard (one more evaluation each); otherwise wait for the
    whole window, as the paper does. guidance: (condition, scale) pairs, the paper's lambda; each
    costs one more evaluation a step; "voice" stands for audio and previous audio together.
    guide_all: guide every channel as the paper does, not only head and brows (which costs one run
    less). mouth_noise, other_noise: size of the first noise; 0 gives the mean of what the network
    believes (with a deterministic solver), 1 the whole variety; few steps lose a little of it, so
    the default is more. mouth_share: how much of what the generator changes about the encoder's
    mouth is used, 0..1.
    """

    steps: int = 6
    bend: float = 2.0
    hop: int = 5
    ahead: bool = True
    guidance: tuple[tuple[str, float], ...] = (("voice", 2.0),)
    guide_all: bool = False
    mouth_noise: float = 0.0
    other_noise: float = 1.05
    mouth_share: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 200:
            raise InputError(f"steps must be 1 to 200, got {self.steps}.")
        if not 0.5 <= self.bend <= 4.0:
            raise InputError(f"bend must be 0.5 to 4, got {self.bend}.")
        if self.hop < 1:
            raise InputError(f"hop must be at least 1 frame, got {self.hop}.")
        for name, scale in self.guidance:
            if name not in GUIDED or not np.isfinite(scale):
                raise InputError(
                    f"guidance takes {', '.join(GUIDED)} with a number, got {name}={scale}."
                )


LIVE: Final = SamplerConfig()
"""For live use, and what `render` uses too, so that a file looks as the live picture does."""

PAPER: Final = SamplerConfig(
    steps=50,
    bend=1.0,
    hop=10,
    ahead=False,
    guidance=(("a", 0.5), ("gaze", 1.0)),
    guide_all=True,
    other_noise=1.0,
)
"""The published setting: 50 steps, two guided conditions, whole windows."""


@dataclass(frozen=True, eq=False)
class WindowSampler:
    """Draws one window at a time; holds what no window changes."""

    generator: Generator
    config: SamplerConfig

    def __post_init__(self) -> None:
        longest = self.generator.config.window
        if self.config.hop > longest:
            raise InputError(f"hop must be 1 to {longest} frames, got {self.config.hop}.")

    @property
    def needs_frames(self) -> int:
        """Frames that must have been heard before one can be shown."""
        return 1 if self.config.ahead else self.config.hop

    @cached_property
    def table(self) -> SolverTable:
        """The solver's steps."""
        return ddim_table(self.config.steps, self.config.bend)

    @cached_property
    def _times(self) -> Floats:
        return self.generator.time_rows(self.table.times)

    @cached_property
    def _places(self) -> Floats:
        return self.generator.window_rows(self.config.hop)

    def draw(
        self, inputs: WindowInputs, mouth: Floats, said: float, rng: np.random.Generator
    ) -> Floats:
        """A window of channels, float32 [hop, 54].

        mouth: float32 [hop, 54], channels of which MOUTH holds the encoder's estimate. said: 0 in
        silence to 1; how much of the guidance is used, as silence has nothing to guide by.
        """
        config = self.config
        noise = rng.standard_normal((config.hop, CHANNELS)).astype(np.float32)
        noise *= config.other_noise
        noise[:, MOUTH] *= config.mouth_noise / max(config.other_noise, 1e-6)
        scales = [(name, said * scale) for name, scale in config.guidance if said * scale != 0.0]
        plain = self.generator.conditions(inputs)[None]
        if not scales:
            window = self._solved(plain, np.ones(1, np.float32), noise)
        else:
            without = [self.generator.conditions(inputs, GUIDED[name]) for name, _ in scales]
            weights = guidance_weights([scale for _, scale in scales])
            window = self._solved(np.concatenate([plain, np.stack(without)]), weights, noise)
            if not config.guide_all:
                free = self._solved(plain, np.ones(1, np.float32), noise)
                free[:, HEAD_AND_BROWS] = window[:, HEAD_AND_BROWS]
                window = free
        start = np.repeat(inputs.x_pre[-1:], config.hop, axis=0)
        start[:, MOUTH] = mouth[:, MOUTH]
        drawn: Floats = start + self.generator.scale[: config.hop] * window
        return drawn

    def _solved(self, passes: Floats, weights: Floats, noise: Floats) -> Floats:
        """Clean windows float32 [hop, 54] in units of scale; passes: [P, N, D]; weights: [P]."""
        return ops.sample_window(
            self.generator.model, passes, self._times, self.table.coefficients, weights,
            self._places, noise,
        )  # fmt: skip

    def draw_mouth(self, inputs: WindowInputs, mouth: Floats) -> Floats:
        """The mouth's channels of one heard frame, float32 [len(MOUTH)].

        One evaluation at the highest noise: the mean of what the network believes, from the sound
        alone, so that no gaze, emotion or seed changes what is said. mouth: float32 [1, 54], as for
        `draw`.
        """
        heard = self.generator.conditions(inputs, _NOT_HEARD)
        window = ops.sample_window(
            self.generator.model, heard[None], self._times[:1],
            ddim_table(1).coefficients, np.ones(1, np.float32), self._places[:1],
            np.zeros((1, CHANNELS), np.float32),
        )  # fmt: skip
        drawn: Floats = (mouth[0] + self.generator.scale[0] * window[0])[MOUTH]
        return drawn
