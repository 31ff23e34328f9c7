"""VASA-1's motion generator as a torch module: a transformer encoder that predicts x_0.

Tokens, concatenated along time: previous motion, previous audio, audio, gaze, distance, emotion,
slow state, and the noised window (arXiv 2404.10667; the slow state is ours: what a short window
cannot show, such as the time since the last blink). vasa_cam.motion.generator assembles the same
tokens in NumPy and the core runs the blocks.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.motion.channels import CHANNELS
from vasa_cam.motion.generator import CONDITIONS, GeneratorConfig


class Block(nn.Module):
    """Pre-norm encoder block with full attention. x: [B, N, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, count, width = x.shape
        q, k, v = (
            part.reshape(batch, count, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        return x + self.down(functional.silu(self.up(self.norm2(x))))


class GeneratorModule(nn.Module):
    """H(x_t, t, C). See GeneratorConfig for sizes and `tokens` for what the inputs are."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        sizes = {
            "x_pre": 2 * CHANNELS, "a": config.audio_size, "gaze": 2, "distance": 1,
            "emotion": 52, "slow": config.slow_size,
        }  # fmt: skip
        self.embed = nn.ModuleDict({name: nn.Linear(size, width) for name, size in sizes.items()})
        self.null = nn.ParameterDict(
            {name: nn.Parameter(0.02 * torch.randn(width)) for name in CONDITIONS}
        )
        self.kind = nn.ParameterDict(
            {name: nn.Parameter(0.02 * torch.randn(width)) for name in (*CONDITIONS, "x")}
        )
        self.position = nn.Parameter(0.02 * torch.randn(config.previous + config.window, width))
        self.time = nn.Sequential(
            nn.Linear(config.time_size, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.noisy = nn.Linear(CHANNELS, width)
        self.blocks = nn.ModuleList([Block(width, config.heads) for _ in range(config.layers)])
        self.final_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CHANNELS)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.3)

    def condition(
        self, given: dict[str, torch.Tensor], present: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Condition tokens [B, 2 K + W + 4, D].

        given: x_pre [B, K, 108] (previous_rows), a_pre [B, K, A], a [B, W, A], gaze [B, 2],
        distance [B, 1], emotion [B, 52], slow [B, S]. present: 1 where a token is given and 0 where
        it is dropped, [B, 1] for all but a, which is [B, W] (its last frames may be missing).
        """
        previous = self.config.previous
        window = given["a"].shape[1]
        places = {
            "x_pre": self.position[:previous],
            "a_pre": self.position[:previous],
            "a": self.position[previous : previous + window],
        }
        tokens = []
        for name in CONDITIONS:
            rows = self.embed["a" if name == "a_pre" else name](given[name])
            if rows.dim() == 2:
                rows = rows[:, None]
            shown = present[name][..., None]
            rows = torch.where(shown > 0, rows, self.null[name])
            tokens.append(rows + self.kind[name] + places.get(name, 0.0))
        return torch.cat(tokens, dim=1)

    def forward(
        self, x: torch.Tensor, time: torch.Tensor,
        given: dict[str, torch.Tensor], present: dict[str, torch.Tensor],
    ) -> torch.Tensor:  # fmt: skip
        """x: [B, W, 54] noised; time: [B, T] features -> x_0 [B, W, 54]. See `condition`."""
        window = x.shape[1]
        start = self.config.previous
        rows = self.noisy(x) + self.kind["x"] + self.position[start : start + window]
        rows = rows + self.time(time)[:, None]
        tokens = torch.cat([self.condition(given, present), rows], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        out: torch.Tensor = self.head(self.final_norm(tokens[:, -window:]))
        return out
