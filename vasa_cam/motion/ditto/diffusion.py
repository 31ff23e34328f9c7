"""Drawing a clip of motion: DDIM with fresh noise (eta = 1) over Ditto's cosine schedule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from vasa_cam.motion.ditto.denoiser import Denoiser, Memory

TIMES: Final = 1000
"""Steps of the schedule that the network was trained with."""

GUIDANCE: Final = 2.0

_SHIFT: Final = 0.008


def alpha_bars() -> npt.NDArray[np.float64]:
    """Share of signal left at times 0 .. 999, float64; betas are at most 0.999."""
    at = np.arange(TIMES + 1) / TIMES + _SHIFT
    bars = np.cos(at / (1 + _SHIFT) * np.pi / 2) ** 2
    betas = np.clip(1 - bars[1:] / bars[:-1], 0.0, 0.999)
    return np.asarray(np.cumprod(1 - betas), np.float64)


@dataclass(frozen=True)
class Step:
    """x_s = signal x_0 + direction eps + noise z, with eps = to_noise (x_t - clean x_0).

    time: the diffusion time t.
    """

    time: int
    clean: float
    to_noise: float
    signal: float
    direction: float
    noise: float


def ddim_steps(count: int) -> tuple[Step, ...]:
    """The steps of a clip, 1 .. 1000 of them; the last one's result is x_0. Raises ValueError."""
    if not 1 <= count <= TIMES:
        raise ValueError(f"ddim_steps: expected 1 to {TIMES} steps, got {count}")
    times = np.linspace(-1, TIMES - 1, count + 1).astype(int)[::-1]
    bars = alpha_bars()
    steps = []
    for time, after in itertools.pairwise(times):
        bar = float(bars[time])
        clean, to_noise = math.sqrt(bar), 1.0 / math.sqrt(1.0 - bar)
        if after < 0:
            steps.append(Step(int(time), clean, to_noise, 1.0, 0.0, 0.0))
            continue
        left = float(bars[after])
        sigma = math.sqrt((1.0 - bar / left) * (1.0 - left) / (1.0 - bar))
        direction = math.sqrt(max(0.0, 1.0 - left - sigma * sigma))
        steps.append(Step(int(time), clean, to_noise, math.sqrt(left), direction, sigma))
    return tuple(steps)


def guided(
    denoiser: Denoiser, x: torch.Tensor, frame: torch.Tensor, time: int, memory: Memory
) -> torch.Tensor:
    """Clean motion [1, N, d] of a noisy clip [1, N, d]: u + 2 (c - u), both in one run."""
    without, told = denoiser(x, frame, time, memory).split(1)
    return without + GUIDANCE * (told - without)


def draw_clip(
    denoiser: Denoiser,
    frame: torch.Tensor,
    memory: Memory,
    steps: Sequence[Step],
    noise: Sequence[torch.Tensor],
) -> torch.Tensor:
    """A clip [1, N, d]. frame: [1, d], the motion before it.

    noise: the first noise and one for each step but the last, each [1, N, d].
    """
    x = noise[0]
    for index, step in enumerate(steps):
        clean = guided(denoiser, x, frame, step.time, memory)
        if index == len(steps) - 1:
            return clean
        eps = step.to_noise * (x - step.clean * clean)
        x = step.signal * clean + step.direction * eps + step.noise * noise[index + 1]
    return x
