"""Blocks that the networks share; attribute names are those of the public state dicts."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ConvNormRelu(nn.Module):
    """3 x 3 convolution, batch norm, ReLU and, if asked for, an average pool of 2 x 2.

    In three dimensions the kernel is 3 x 3 x 3 and the pool leaves the depth as it is.
    """

    def __init__(self, channels: int, width: int, *, dimensions: int, pool: bool = False) -> None:
        super().__init__()
        flat = dimensions == 2
        self.conv = (nn.Conv2d if flat else nn.Conv3d)(channels, width, 3, padding=1)
        self.norm = (nn.BatchNorm2d if flat else nn.BatchNorm3d)(width)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.conv(x)))
        if not self.pool:
            return x
        # With the depth among the channels: torch pools volumes in fewer dtypes than pictures.
        small = functional.avg_pool2d(x.flatten(1, -3), 2)
        return small.unflatten(1, x.shape[1:-2])


class ResidualBlock3d(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), 3 x 3 x 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(functional.relu(self.norm1(x)))
        return x + self.conv2(functional.relu(self.norm2(y)))


def check_shape(name: str, tensor: torch.Tensor, shape: tuple[int | None, ...]) -> None:
    """ValueError unless `tensor` has this shape; None stands for any size."""
    found = tuple(tensor.shape)
    if len(found) != len(shape) or any(
        wanted is not None and size != wanted for size, wanted in zip(found, shape, strict=True)
    ):
        text = ", ".join("*" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be [{text}], got {list(found)}")
