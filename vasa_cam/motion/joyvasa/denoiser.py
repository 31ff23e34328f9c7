"""JoyVASA's denoising network: a transformer decoder over motion tokens, in torch.

Tokens are P frames of the past, which are given, and the L frames of the window. Each may look at
all others, and in the sound only at its own frame: attention to a single key is that key's value,
so the sound's share of every layer is a linear map that no diffusion step changes. `cross` computes
it once a window.

Until December 2025 the public code added one row of its position table, row P + L, to every token;
since then, row i to token i. The released weights were trained with the first: "legacy".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.motion.latent_attention import Attention

POSITIONS: Final = ("legacy", "fixed")
HEADS: Final = 8
"""Not in the weights' shapes; the public constructor's only value."""

_PERIOD: Final = 10000.0


@dataclass(frozen=True)
class DenoiserSizes:
    """What a checkpoint's tensors say. motion: numbers a frame (d). width: of a token (D).

    inner: hidden numbers of the feed-forward layers. layers: how many. heads: of attention.
    """

    motion: int
    width: int
    inner: int
    layers: int
    heads: int = HEADS


class Denoiser(nn.Module):
    """Predicts the clean motion of all tokens; state-dict keys are those of `denoising_net`.

    positions: "legacy" or "fixed", see the module's text.
    """

    def __init__(self, sizes: DenoiserSizes, positions: str = "legacy") -> None:
        super().__init__()
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {positions!r}")
        self.sizes, self.positions = sizes, positions
        width = sizes.width
        self.diff_step_map = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.feature_proj = nn.Linear(sizes.motion, width)
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(_Layer(sizes) for _ in range(sizes.layers))
        self.motion_dec = nn.Sequential(
            nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, sizes.motion)
        )

    def cross(self, sound: torch.Tensor) -> torch.Tensor:
        """What the sound [B, N, D] adds in each layer, [layers, B, N, D]; see the module's text."""
        layers = self.transformer.layers
        return torch.stack([layer.multihead_attn.of_one_key(sound) for layer in layers])

    def forward(self, x: torch.Tensor, step: int, cross: torch.Tensor) -> torch.Tensor:
        """Clean motion [B, N, d] of tokens x [B, N, d] at a diffusion step, 1 .. T.

        cross: `cross` of the sound, [layers, B, N, D].
        """
        count, width = x.shape[1], self.sizes.width
        place = torch.arange(count, device=x.device)
        if self.positions == "legacy":
            place = torch.full_like(place[:1], count)
        at = torch.full((1,), step, device=x.device)
        y = self.feature_proj(x) + sinusoids(place, width)
        y = y + self.diff_step_map(sinusoids(at, width))
        for layer, share in zip(self.transformer.layers, cross, strict=True):
            y = layer(y, share)
        return self.motion_dec(y)


def sinusoids(place: torch.Tensor, width: int) -> torch.Tensor:
    """Rows of the position table, [n, width]: sine and cosine in turn (Vaswani et al. 2017)."""
    pairs = torch.arange(0, width, 2, device=place.device, dtype=torch.float32)
    rates = torch.exp(pairs * (-torch.log(torch.tensor(_PERIOD)) / width))
    angles = place.to(torch.float32)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class _Layer(nn.Module):
    """Self-attention, the sound's share, feed-forward; each added and then normalised."""

    def __init__(self, sizes: DenoiserSizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes.width, sizes.heads)
        self.multihead_attn = Attention(sizes.width, sizes.heads)
        self.linear1 = nn.Linear(sizes.width, sizes.inner)
        self.linear2 = nn.Linear(sizes.inner, sizes.width)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.norm3 = nn.LayerNorm(sizes.width)

    def forward(self, x: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        x = self.norm1(x + self.self_attn(x, x, x))
        x = self.norm2(x + share)
        return self.norm3(x + self.linear2(functional.gelu(self.linear1(x))))
