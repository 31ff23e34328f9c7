"""Noise schedule and solver tables of the motion diffusion: immutable, computed once.

x_t = alpha(t) x_0 + sigma(t) noise with alpha = cos(pi t / 2), sigma = sin(pi t / 2), t in 0..1
(the cosine schedule of Nichol and Dhariwal 2021 in its angular form). The network predicts x_0.
A deterministic DDIM step (Song, Meng and Ermon 2021) from t to s is linear in x_t and x_0:

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - alpha_t sigma_s / sigma_t) x_0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vasa_cam.ops import UpdateCoefficients

Floats = npt.NDArray[np.float32]


def alpha_sigma(
    time: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Signal and noise amplitude at diffusion times 0..1, float64, same shape."""
    angle = np.asarray(time, np.float64) * (np.pi / 2)
    return np.cos(angle), np.sin(angle)


@dataclass(frozen=True, eq=False)
class SolverTable:
    """One deterministic DDIM run. times: float32 [n], of each step, falling from 1.

    coefficients: float32 [n, 2], (keep, step): after each prediction x <- keep x + step x_0.
    """

    times: Floats
    coefficients: Floats

    @property
    def steps(self) -> int:
        """Network evaluations a window takes."""
        return len(self.times)


def ddim_table(steps: int, bend: float = 1.0) -> SolverTable:
    """DDIM at times 1 - (i / steps) ** bend; the last prediction is the result.

    bend 1 spaces them equally; above 1 more of them lie where noise is high, which is where rare
    events (blinks, gaze shifts) are decided. Raises ValueError.
    """
    if not 1 <= steps <= 1000:
        raise ValueError(f"ddim_table: steps must be 1 to 1000, got {steps}")
    if not 0.5 <= bend <= 4.0:
        raise ValueError(f"ddim_table: bend must be 0.5 to 4, got {bend}")
    times = 1.0 - np.linspace(0.0, 1.0, steps + 1) ** bend
    alpha, sigma = alpha_sigma(times)
    keep = sigma[1:] / sigma[:-1]
    step = alpha[1:] - alpha[:-1] * keep
    return SolverTable(
        times[:-1].astype(np.float32), np.stack([keep, step], axis=1).astype(np.float32)
    )


def time_features(times: Floats, size: int) -> Floats:
    """Sinusoidal features of diffusion times, float32 [n, size] (Vaswani et al. 2017)."""
    half = size // 2
    rates = np.exp(-np.log(10000.0) * np.arange(half) / half)
    angles = 1000.0 * np.asarray(times, np.float64)[:, None] * rates
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def ddim_coefficients(
    alpha_bar: float, alpha_bar_next: float, eta: float = 0.0
) -> UpdateCoefficients:
    """DDIM from one signal power (alpha bar, 0..1) to a larger one, for a network that gives x_0.

    eta 0 is deterministic; eta 1 is ancestral sampling (DDPM's posterior of x_{t-1} given x_t and
    x_0). sigma^2 = eta^2 (1 - a') / (1 - a) (1 - a / a'), keep = sqrt((1 - a' - sigma^2) / (1 - a))
    and step = sqrt(a') - keep sqrt(a) (Song, Meng and Ermon 2021, equation 12). Raises ValueError.
    """
    if not 0.0 <= alpha_bar < alpha_bar_next <= 1.0:
        raise ValueError(
            "ddim_coefficients: alpha_bar must rise within 0..1, "
            f"got {alpha_bar} to {alpha_bar_next}"
        )
    left = 1.0 - alpha_bar
    variance = eta**2 * (1.0 - alpha_bar_next) / left * (1.0 - alpha_bar / alpha_bar_next)
    keep = np.sqrt(max(1.0 - alpha_bar_next - variance, 0.0) / left)
    step = np.sqrt(alpha_bar_next) - keep * np.sqrt(alpha_bar)
    return UpdateCoefficients(float(keep), float(step), float(np.sqrt(variance)))


def guidance_weights(scales: Sequence[float]) -> Floats:
    """Weights of the passes, float32 [1 + len(scales)]: the full one, then those without c.

    x_0 = (1 + sum l_c) H(all) - sum l_c H(without c), the paper's. One condition alone with scale
    s - 1 is u + s (c - u).
    """
    return np.asarray([1.0 + sum(scales), *(-scale for scale in scales)], np.float32)
