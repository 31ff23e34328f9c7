"""How each voxel of the appearance volume moves, from source and driving keypoints.

This is the plain form, step by step as published: one flow field and one sampled volume for each
keypoint. `fast_warping` computes the same without them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.layers import ConvNormRelu

HEAT_VARIANCE = 0.01


class Motion(NamedTuple):
    """deformation [N, D, H, W, 3]: where each voxel is sampled, (x, y, z) in -1 .. 1.

    occlusion [N, 1, H, W]: how much of it the source shows, 0 .. 1. mask [N, K + 1, D, H, W].
    """

    deformation: torch.Tensor
    occlusion: torch.Tensor
    mask: torch.Tensor


def identity_grid(depth: int, side: int, like: torch.Tensor) -> torch.Tensor:
    """Coordinates (x, y, z) of voxels, [D, H, W, 3]; the corner voxels' centres are at -1 and 1."""
    z = torch.linspace(-1.0, 1.0, depth, device=like.device, dtype=torch.float32)
    xy = torch.linspace(-1.0, 1.0, side, device=like.device, dtype=torch.float32)
    z, y, x = torch.meshgrid(z, xy, xy, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def sample(volume: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Trilinear samples of [N, C, D, H, W] at float32 [N, D, H, W, 3], zeros outside.

    The grid's corners are voxel centres and the sampler's are voxel edges, so that the identity
    grid zooms in slightly; the public weights were trained with that. Computed in float32: 16-bit
    coordinates would be off by a tenth of a voxel.
    """
    moved = functional.grid_sample(
        volume.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved.to(volume.dtype)


class UpBlock(nn.Module):
    """Height and width doubled, 3 x 3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")
        return functional.relu(self.norm(self.conv(x)))


class Encoder(nn.Module):
    """Every level halves height and width; its input is kept for the decoder."""

    def __init__(self, channels: int, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(
            ConvNormRelu(before, after, dimensions=3, pool=True)
            for before, after in zip([channels, *widths], widths, strict=False)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        levels = [x]
        for block in self.down_blocks:
            levels.append(block(levels[-1]))
        return levels


class Decoder(nn.Module):
    """Back to full size, each level joined by the encoder's of the same size."""

    def __init__(self, channels: int, widths: list[int], first: int) -> None:
        super().__init__()
        inner = widths[:-1]
        joined = [widths[-1], *(2 * width for width in reversed(inner))]
        narrower = [*reversed(inner), first]
        self.up_blocks = nn.ModuleList(
            UpBlock(before, after) for before, after in zip(joined, narrower, strict=True)
        )
        self.out_channels = first + channels
        self.conv = nn.Conv3d(self.out_channels, self.out_channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.out_channels)

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        x = levels.pop()
        for block in self.up_blocks:
            x = torch.cat([block(x), levels.pop()], dim=1)
        return functional.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """Encoder and decoder in three dimensions; the depth keeps its size."""

    def __init__(self, channels: int, config: VolumeConfig) -> None:
        super().__init__()
        first, widest = config.hourglass_width, config.hourglass_widest
        widths = [min(widest, first << level + 1) for level in range(config.hourglass_blocks)]
        self.encoder = Encoder(channels, widths)
        self.decoder = Decoder(channels, widths, first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.decoder(self.encoder(x))
        return result


class DenseMotion(nn.Module):
    """The network under the prefix `dense_motion_network.` of the public state dict."""

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__()
        self.slots = config.keypoints + 1
        compressed = config.compressed_channels
        self.hourglass = Hourglass(self.slots * (compressed + 1), config)
        wide = self.hourglass.decoder.out_channels
        self.mask = nn.Conv3d(wide, self.slots, 7, padding=3)
        self.compress = nn.Conv3d(config.volume_channels, compressed, 1)
        self.norm = nn.BatchNorm3d(compressed)
        self.occlusion = nn.Conv2d(wide * config.volume_depth, 1, 7, padding=3)

    def forward(self, volume: torch.Tensor, source: torch.Tensor, driving: torch.Tensor) -> Motion:
        """volume: [N, C, D, H, W]. source, driving: keypoints float32 [N, K, 3]."""
        count, depth, side = len(volume), volume.shape[2], volume.shape[3]
        grid = identity_grid(depth, side, volume)
        flows = self.flows(grid, source, driving)
        compressed = functional.relu(self.norm(self.compress(volume)))
        repeated = compressed.repeat_interleave(self.slots, dim=0)
        moved = sample(repeated, flows.flatten(0, 1)).unflatten(0, (count, self.slots))
        heat = self.heatmaps(grid, source, driving).to(moved.dtype)
        x = self.hourglass(torch.cat([heat[:, :, None], moved], dim=2).flatten(1, 2))
        mask = functional.softmax(self.mask(x), dim=1)
        deformation = torch.einsum("nkdhw,nkdhwc->ndhwc", mask.float(), flows)
        occlusion = torch.sigmoid(self.occlusion(x.flatten(1, 2)))
        return Motion(deformation, occlusion, mask)

    def flows(
        self, grid: torch.Tensor, source: torch.Tensor, driving: torch.Tensor
    ) -> torch.Tensor:
        """Where a voxel comes from if it moves with keypoint k - 1, [N, K + 1, D, H, W, 3].

        Slot 0 stays where it is.
        """
        shift = functional.pad(source - driving, (0, 0, 1, 0))
        return grid + shift[:, :, None, None, None, :]

    def heatmaps(
        self, grid: torch.Tensor, source: torch.Tensor, driving: torch.Tensor
    ) -> torch.Tensor:
        """Gaussians around driving minus those around source keypoints, [N, K + 1, D, H, W].

        Slot 0 is zero.
        """

        def around(points: torch.Tensor) -> torch.Tensor:
            squared = (grid - points[:, :, None, None, None, :]).square().sum(dim=-1)
            return torch.exp(-0.5 / HEAT_VARIANCE * squared)

        heat = around(driving) - around(source)
        return functional.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0))
