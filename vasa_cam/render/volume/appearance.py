"""F: what a person looks like, as a volume of features; once per photo."""

from __future__ import annotations

import torch
from torch import nn

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.layers import ConvNormRelu, ResidualBlock3d, check_shape


class AppearanceExtractor(nn.Module):
    """State-dict keys as in `appearance_feature_extractor.pth`."""

    def __init__(self, config: VolumeConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VolumeConfig()
        width, channels = config.appearance_width, config.volume_channels
        self.first = ConvNormRelu(3, width, dimensions=2)
        self.down_blocks = nn.ModuleList(
            ConvNormRelu(width << level, width << level + 1, dimensions=2, pool=True)
            for level in range(2)
        )
        self.second = nn.Conv2d(4 * width, channels * config.volume_depth, 1)
        self.resblocks_3d = nn.Sequential()
        for index in range(config.appearance_blocks):
            self.resblocks_3d.add_module(f"3dr{index}", ResidualBlock3d(channels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The appearance volume [N, C, D, S/4, S/4] of pictures [N, 3, S, S], RGB in 0 .. 1.

        Raises ValueError for another shape.
        """
        config = self.config
        check_shape("image", image, (None, 3, config.image_px, config.image_px))
        x = self.first(image)
        for block in self.down_blocks:
            x = block(x)
        shape = (
            -1,
            config.volume_channels,
            config.volume_depth,
            config.volume_px,
            config.volume_px,
        )
        volume: torch.Tensor = self.resblocks_3d(self.second(x).reshape(shape))
        return volume
