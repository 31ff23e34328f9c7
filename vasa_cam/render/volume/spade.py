"""G: a decoder of SPADE blocks, from the warped features to the picture; the plain form.

`fast_decoder` computes the same with fewer operations.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.layers import check_shape

SLOPE = 0.2
"""Of the leaky ReLU before every convolution of a block."""

NORM_EPSILON = 1e-5


class Spade(nn.Module):
    """Instance norm whose scale and shift come from a map (Park et al. 2019)."""

    def __init__(self, channels: int, map_channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(map_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        normal = functional.instance_norm(x, eps=NORM_EPSILON)
        hidden = self.mlp_shared(functional.interpolate(segments, size=x.shape[2:]))
        return normal * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


class SpadeBlock(nn.Module):
    """Two convolutions after SPADE and a leaky ReLU each, beside a shortcut."""

    def __init__(self, channels: int, width: int, map_channels: int, hidden: int) -> None:
        super().__init__()
        middle = min(channels, width)
        self.conv_0 = nn.Conv2d(channels, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, width, 3, padding=1)
        self.norm_0 = Spade(channels, map_channels, hidden)
        self.norm_1 = Spade(middle, map_channels, hidden)
        self.learned = channels != width
        if self.learned:
            self.conv_s = nn.Conv2d(channels, width, 1, bias=False)
            self.norm_s = Spade(channels, map_channels, hidden)

    def forward(self, x: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        y = self.conv_0(functional.leaky_relu(self.norm_0(x, segments), SLOPE))
        y = self.conv_1(functional.leaky_relu(self.norm_1(y, segments), SLOPE))
        return y + (self.conv_s(self.norm_s(x, segments)) if self.learned else x)


class SpadeDecoder(nn.Module):
    """State-dict keys as in `spade_generator.pth`, after its spectral norms have been folded.

    The public file holds `weight_orig`, `weight_u` and `weight_v` in the place of `weight` for the
    modules that `spectral_modules` names.
    """

    def __init__(self, config: VolumeConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VolumeConfig()
        width, hidden = config.decoder_width, config.decoder_hidden
        segments, middle = config.feature_channels, 8 * width
        self.fc = nn.Conv2d(segments, middle, 3, padding=1)
        for index in range(config.decoder_blocks):
            self.add_module(f"G_middle_{index}", SpadeBlock(middle, middle, segments, hidden))
        self.up_0 = SpadeBlock(middle, segments, segments, hidden)
        self.up_1 = SpadeBlock(segments, width, segments, hidden)
        self.conv_img = nn.Sequential(nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2))

    @property
    def middle(self) -> list[SpadeBlock]:
        """The blocks at the map's own size."""
        names = [f"G_middle_{index}" for index in range(self.config.decoder_blocks)]
        return [cast(SpadeBlock, self.get_submodule(name)) for name in names]

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Pictures [N, 3, 8 H, 8 W], RGB in 0 .. 1, of features [N, 256, H, W].

        Raises ValueError for another shape.
        """
        side = self.config.volume_px
        check_shape("features", segments, (None, self.config.feature_channels, side, side))
        x = self.fc(segments)
        for block in self.middle:
            x = block(x, segments)
        for block in (self.up_0, self.up_1):
            x = block(functional.interpolate(x, scale_factor=2.0), segments)
        return torch.sigmoid(self.conv_img(functional.leaky_relu(x, SLOPE)))


def spectral_modules(decoder: SpadeDecoder) -> list[str]:
    """Names of the convolutions that carry a spectral norm in the public file.

    With u and v as stored, weight = weight_orig / (u . (weight_orig as [out, -1]) v).
    """
    names = (name for name, _ in decoder.named_modules())
    return [name for name in names if name.rpartition(".")[2] in ("conv_0", "conv_1", "conv_s")]
