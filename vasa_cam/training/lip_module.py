"""The lip network as a torch module; vasa_cam.motion.lips runs the same arithmetic in NumPy."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.motion.lips import CONTROLS, FEATURES_BEHIND, SOFTPLUS_SHARPNESS

PROBABILITIES = 3


class ResidualBlock(nn.Module):
    """x + mix(silu(conv(norm(x)))), the convolution causal and dilated. x: [B, C, T]."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        nn.init.normal_(self.mix.weight, std=0.3 / channels**0.5)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = self.norm(x.transpose(1, 2)).transpose(1, 2)
        inner = self.conv(functional.pad(normal, (2 * self.dilation, 0)))
        return x + self.mix(functional.silu(inner))


class LipModule(nn.Module):
    """Features [B, 4 T + 2, bands] -> controls [B, T, 16] and logits [B, T, 3]."""

    def __init__(
        self, bands: int = 40, hidden: int = 96, channels: int = 160,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2), dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dilations = dilations
        self.front = nn.ModuleList(
            [nn.Conv1d(bands, hidden, 5, stride=2), nn.Conv1d(hidden, channels, 4, stride=2)]
        )
        self.blocks = nn.ModuleList([ResidualBlock(channels, d) for d in dilations])
        self.drop = nn.Dropout1d(dropout)
        self.head_norm = nn.LayerNorm(channels)
        self.head = nn.Conv1d(channels, len(CONTROLS) + PROBABILITIES, 1)
        with torch.no_grad():
            self.head.weight.mul_(0.3)
            self.head.bias[: len(CONTROLS)] = -0.3
            self.head.bias[len(CONTROLS) :] = -1.0

    def raw(self, features: torch.Tensor) -> torch.Tensor:
        """Outputs before their activations, [B, T, 19]."""
        rows = functional.pad(features.transpose(1, 2), (FEATURES_BEHIND, 0), value=-1.0)
        x = rows
        for convolution in self.front:
            x = functional.silu(convolution(x))
        for block in self.blocks:
            x = self.drop(block(x))
        raw: torch.Tensor = self.head(self.head_norm(x.transpose(1, 2)).transpose(1, 2))
        return raw.transpose(1, 2)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return activated(self.raw(features))


def activated(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Controls [B, T, 16] and event logits [B, T, 3] of raw outputs."""
    controls = functional.softplus(raw[..., : len(CONTROLS)], beta=SOFTPLUS_SHARPNESS)
    return controls, raw[..., len(CONTROLS) :]
