"""The voice encoder as a torch module; vasa_cam.motion.encoder runs the same in NumPy."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.motion.lips import CONTROLS, FEATURES_BEHIND, SOFTPLUS_SHARPNESS
from vasa_cam.training.phones import GESTURE_NAMES

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


class EncoderModule(nn.Module):
    """Features [B, 4 T + 2, bands] -> raw outputs [B, T, 16 + 3] and gestures [B, T, 14].

    The gestures (what the phones ask of the mouth) are an extra lesson; those of vowels are used.
    """

    def __init__(
        self, bands: int = 40, hidden: int = 128, channels: int = 256,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 1), dropout: float = 0.1,
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
        self.gestures = nn.Conv1d(channels, len(GESTURE_NAMES), 1)
        with torch.no_grad():
            self.head.weight.mul_(0.3)
            self.head.bias[: len(CONTROLS)] = -0.3
            self.head.bias[len(CONTROLS) :] = -1.0

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        """What the encoder heard, normalised, [B, T, channels]."""
        x = functional.pad(features.transpose(1, 2), (FEATURES_BEHIND, 0), value=-1.0)
        for convolution in self.front:
            x = functional.silu(convolution(x))
        for block in self.blocks:
            x = self.drop(block(x))
        normal: torch.Tensor = self.head_norm(x.transpose(1, 2))
        return normal

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.hidden(features).transpose(1, 2)
        return self.head(hidden).transpose(1, 2), self.gestures(hidden).transpose(1, 2)


def activated(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Controls [B, T, 16] and event logits [B, T, 3] of raw outputs."""
    controls = functional.softplus(raw[..., : len(CONTROLS)], beta=SOFTPLUS_SHARPNESS)
    return controls, raw[..., len(CONTROLS) :]
