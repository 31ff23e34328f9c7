"""Ditto's denoising network (LMDM): a transformer decoder over the frames of a clip, in torch.

It follows EDGE (Tseng et al. 2022): rotary positions over the whole width, turned before the
attention's own projection; the diffusion time scales and shifts every block's result. What it is
told about the sound goes through two encoder layers, which no diffusion step changes: `remember`
computes them once a clip, with the keys and values of every decoder layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.motion.latent_attention import Attention

HEADS: Final = 8
"""Not in the weights' shapes; the public configuration's value."""

_PERIOD: Final = 10000.0


@dataclass(frozen=True)
class DenoiserSizes:
    """What a checkpoint's tensors say. motion: numbers a frame. condition: numbers a frame told.

    frames: of a clip. width: of a token (D). inner: hidden numbers of the feed-forward layers.
    layers: of the decoder; told: of the encoder. heads: of attention.
    """

    motion: int = 265
    condition: int = 1103
    frames: int = 80
    width: int = 512
    inner: int = 1024
    layers: int = 8
    told: int = 2
    heads: int = HEADS


@dataclass(frozen=True, eq=False)
class Memory:
    """What stays through all steps of a clip, for P passes.

    keys_values: [layers, P, N, 2 D]. hidden: [P, D], added to the time's vector.
    """

    keys_values: torch.Tensor
    hidden: torch.Tensor


class Denoiser(nn.Module):
    """Predicts the clean motion of a clip; state-dict keys are the public ones."""

    def __init__(self, sizes: DenoiserSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        self.null_cond_embed = nn.Parameter(torch.empty(1, sizes.frames, width))
        self.null_cond_hidden = nn.Parameter(torch.empty(1, width))
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(width, 4 * width), nn.Mish())
        self.to_time_cond = nn.Sequential(nn.Linear(4 * width, width))
        self.to_time_tokens = nn.Sequential(nn.Linear(4 * width, 2 * width))
        self.norm_cond = nn.LayerNorm(width)
        self.input_projection = nn.Linear(2 * sizes.motion, width)
        self.cond_encoder = nn.Sequential(*(_EncoderLayer(sizes) for _ in range(sizes.told)))
        self.cond_projection = nn.Linear(sizes.condition, width)
        self.non_attn_cond_projection = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.seqTransDecoder = nn.Module()
        self.seqTransDecoder.stack = nn.ModuleList(
            _DecoderLayer(sizes) for _ in range(sizes.layers)
        )
        self.final_layer = nn.Linear(width, sizes.motion)

    def remember(self, told: torch.Tensor) -> Memory:
        """Memory of two passes: first not told anything, then told [1, N, condition]."""
        tokens = self.cond_encoder(self.cond_projection(told))
        hidden = self.non_attn_cond_projection(tokens.mean(dim=1))
        tokens = self.norm_cond(torch.cat([self.null_cond_embed, tokens]))
        turned = rotated(tokens)
        layers = self.seqTransDecoder.stack
        return Memory(
            torch.stack([layer.multihead_attn.keys_values(turned, tokens) for layer in layers]),
            torch.cat([self.null_cond_hidden, hidden]),
        )

    def forward(
        self, x: torch.Tensor, frame: torch.Tensor, time: int, memory: Memory
    ) -> torch.Tensor:
        """Clean motion [P, N, d] of a noisy clip x [1, N, d] at a diffusion time, in each pass.

        frame: [1, d], the motion before the clip. memory: of `remember`.
        """
        passes = len(memory.hidden)
        at = self.time_mlp(time_features(time, self.sizes.width, x.device))
        tokens = self.norm_cond(self.to_time_tokens(at).reshape(1, 2, -1))
        turned = rotated(tokens, first=x.shape[1])
        t = functional.mish(self.to_time_cond(at) + memory.hidden)
        y = self.input_projection(torch.cat([x, frame[:, None].expand_as(x)], dim=-1))
        y = y.expand(passes, -1, -1)
        for layer, kept in zip(self.seqTransDecoder.stack, memory.keys_values, strict=True):
            new = layer.multihead_attn.keys_values(turned, tokens)
            y = layer(y, torch.cat([kept, new.expand(passes, -1, -1)], dim=1), t)
        return self.final_layer(y)


def rotated(x: torch.Tensor, first: int = 0) -> torch.Tensor:
    """Tokens [B, N, D] with each pair of numbers turned by its rate times the token's place."""
    count, width = x.shape[1:]
    pairs = torch.arange(0, width, 2, device=x.device, dtype=torch.float32)
    place = torch.arange(first, first + count, device=x.device, dtype=torch.float32)
    angles = place[:, None] * _PERIOD ** (-pairs / width)
    cos, sin = angles.cos(), angles.sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


def time_features(time: int, width: int, device: torch.device) -> torch.Tensor:
    """Sines, then cosines of a diffusion time at falling rates, [1, width]."""
    half = width // 2
    steps = torch.arange(half, device=device, dtype=torch.float32)
    angles = time * torch.exp(steps * (-math.log(_PERIOD) / (half - 1)))
    return torch.cat([angles.sin(), angles.cos()])[None]


class _EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each on the normalised tokens and added."""

    def __init__(self, sizes: DenoiserSizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes.width, sizes.heads)
        self.linear1 = nn.Linear(sizes.width, sizes.inner)
        self.linear2 = nn.Linear(sizes.inner, sizes.width)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        turned = rotated(y)
        x = x + self.self_attn(turned, turned, y)
        return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))


class _Film(nn.Module):
    """y (1 + s) + b with s and b from the time's vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # The first place is that of Mish, which the caller applies once for all.
        self.block = nn.Sequential(nn.Identity(), nn.Linear(width, 2 * width))

    def forward(self, y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        scale, shift = self.block(t)[:, None].chunk(2, dim=-1)
        return y * (1 + scale) + shift


class _DecoderLayer(nn.Module):
    """Self-attention, attention to what was told, feed-forward; each modulated and added."""

    def __init__(self, sizes: DenoiserSizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes.width, sizes.heads)
        self.multihead_attn = Attention(sizes.width, sizes.heads)
        self.linear1 = nn.Linear(sizes.width, sizes.inner)
        self.linear2 = nn.Linear(sizes.inner, sizes.width)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.norm3 = nn.LayerNorm(sizes.width)
        self.film1 = _Film(sizes.width)
        self.film2 = _Film(sizes.width)
        self.film3 = _Film(sizes.width)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        turned = rotated(y)
        x = x + self.film1(self.self_attn(turned, turned, y), t)
        y = rotated(self.norm2(x))
        x = x + self.film2(self.multihead_attn.attend(y, memory), t)
        y = self.linear2(functional.gelu(self.linear1(self.norm3(x))))
        return x + self.film3(y, t)
