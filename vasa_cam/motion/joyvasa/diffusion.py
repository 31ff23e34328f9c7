"""Drawing a window of motion: JoyVASA's cosine schedule and ancestral sampling with guidance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from vasa_cam.motion.joyvasa.denoiser import Denoiser

Noise = Callable[[int], torch.Tensor]
"""Noise [1, L, d] for a step 2 .. T, drawn in the order of the steps: from T down."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Noise schedule of T steps; each tensor is float32 [T + 1], entry 0 stands for no noise.

    betas: share of noise a step adds. alpha_bars: share of signal left. sigmas: size of the noise
    that a step of ancestral sampling puts back.
    """

    betas: torch.Tensor
    alpha_bars: torch.Tensor
    sigmas: torch.Tensor

    @property
    def steps(self) -> int:
        """T, network evaluations a window takes."""
        return len(self.betas) - 1

    def update(self, step: int) -> tuple[float, float, float]:
        """(keep, clean, noise) of a step t: x_{t-1} = keep x_t + clean x_0 + noise z."""
        beta, bar = float(self.betas[step]), float(self.alpha_bars[step])
        before = float(self.alpha_bars[step - 1])
        left = 1.0 - bar
        keep = (1.0 - before) * math.sqrt(1.0 - beta) / left
        return keep, beta * math.sqrt(before) / left, float(self.sigmas[step])


def cosine_schedule(steps: int) -> Schedule:
    """The cosine schedule (Nichol and Dhariwal 2021) with betas in 1e-4 .. 0.999, in float32.

    Single precision as in the public code: near the clean end its rounding is not negligible.
    """
    shift = 0.008
    at = torch.arange(steps + 1, dtype=torch.float32) / steps
    bars = torch.cos((at + shift) / (1 + shift) * torch.pi * 0.5) ** 2
    betas = torch.clip(1 - bars[1:] / bars[:-1], 1e-4, 0.999)
    betas = torch.cat([torch.zeros(1), betas])
    # A running sum of logarithms, one at a time: the order of torch.cumsum is not fixed.
    logs, total = torch.log(1 - betas), torch.zeros(())
    alpha_bars = torch.empty_like(logs)
    for index, value in enumerate(logs):
        total = total + value
        alpha_bars[index] = torch.exp(total)
    sigmas = torch.zeros_like(betas)
    sigmas[1:] = torch.sqrt((1 - alpha_bars[:-1]) / (1 - alpha_bars[1:]) * betas[1:])
    return Schedule(betas, alpha_bars, sigmas)


@dataclass(frozen=True, eq=False)
class Window:
    """What a window is drawn from. previous: [1, P, d], motion before it.

    cross: [layers, 2, P + L, D], of the sound: first without it (the null feature in its place),
    then with it; see Denoiser.cross.
    """

    previous: torch.Tensor
    cross: torch.Tensor


def guided(
    denoiser: Denoiser, x: torch.Tensor, step: int, window: Window, scale: float
) -> torch.Tensor:
    """Clean motion [1, L, d] of a noisy window x [1, L, d]: u + scale (c - u), both in one run."""
    tokens = torch.cat([window.previous, x], dim=1).expand(2, -1, -1)
    without, heard = denoiser(tokens, step, window.cross)[:, -x.shape[1] :].split(1)
    return without + scale * (heard - without)


def denoise(
    denoiser: Denoiser,
    schedule: Schedule,
    window: Window,
    scale: float,
    start: torch.Tensor,
    noise: Noise,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yields (t, x_t) for t = T - 1 .. 0 from the first noise [1, L, d]; the last is the motion."""
    x = start
    for step in range(schedule.steps, 0, -1):
        keep, clean, size = schedule.update(step)
        x = keep * x + clean * guided(denoiser, x, step, window, scale)
        if step > 1:
            x = x + size * noise(step)
        yield step - 1, x
