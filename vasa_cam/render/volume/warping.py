"""W: the appearance volume moved to the driving keypoints and flattened for the decoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.dense_motion import DenseMotion, sample
from vasa_cam.render.volume.layers import check_shape


class Warped(NamedTuple):
    """features [N, 256, H, W] for the decoder; deformation and occlusion as in `Motion`."""

    features: torch.Tensor
    deformation: torch.Tensor
    occlusion: torch.Tensor


class ConvNormLeaky(nn.Module):
    """3 x 3 convolution, batch norm, leaky ReLU (0.01)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(self.norm(self.conv(x)), 0.01)


class WarpingNetwork(nn.Module):
    """State-dict keys as in `warping_module.pth`."""

    def __init__(self, config: VolumeConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VolumeConfig()
        self.dense_motion_network = DenseMotion(config)
        width = config.feature_channels
        self.third = ConvNormLeaky(config.volume_channels * config.volume_depth, width)
        self.fourth = nn.Conv2d(width, width, 1)

    def forward(self, volume: torch.Tensor, source: torch.Tensor, driving: torch.Tensor) -> Warped:
        """Warp appearance volumes [N, C, D, H, W] from source to driving keypoints [N, K, 3].

        Keypoints are float32 in the volume's -1 .. 1. Raises ValueError for another shape.
        """
        config = self.config
        count, side = len(volume), config.volume_px
        check_shape(
            "volume", volume, (None, config.volume_channels, config.volume_depth, side, side)
        )
        for name, points in (("source", source), ("driving", driving)):
            check_shape(name, points, (count, config.keypoints, 3))
        motion = self.dense_motion_network(volume, source, driving)
        warped = sample(volume, motion.deformation).flatten(1, 2)
        features = self.fourth(self.third(warped)) * motion.occlusion
        return Warped(features, motion.deformation, motion.occlusion)
