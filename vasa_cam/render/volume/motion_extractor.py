"""M: keypoints, expression and head pose of a face in a picture, by a ConvNeXt V2 (tiny).

Once per photo; per frame only where a video drives.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.keypoints import degrees
from vasa_cam.render.volume.layers import check_shape

Floats = npt.NDArray[np.float32]

_EPSILON = 1e-6  # of every norm in this network


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [N, C, H, W]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class GlobalResponseNorm(nn.Module):
    """x + gamma * x * share + beta for x [N, H, W, C]; share: a channel's length over the mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        share = length / (length.mean(dim=-1, keepdim=True) + _EPSILON)
        return self.gamma * (x * share) + self.beta + x


class Block(nn.Module):
    """ConvNeXt V2 block on [N, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = GlobalResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.pwconv2(self.grn(functional.gelu(self.pwconv1(y))))
        return x + y.permute(0, 3, 1, 2)


class Detector(nn.Module):
    """The network under the prefix `detector.` of the public state dict."""

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__()
        widths = config.motion_widths
        stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=_EPSILON)
        )
        steps = [
            nn.Sequential(ChannelNorm(before, eps=_EPSILON), nn.Conv2d(before, after, 2, stride=2))
            for before, after in itertools.pairwise(widths)
        ]
        self.downsample_layers = nn.ModuleList([stem, *steps])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for width, depth in zip(widths, config.motion_depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=_EPSILON)
        heads = {
            "kp": 3 * config.keypoints,
            "scale": 1,
            "pitch": config.angle_bins,
            "yaw": config.angle_bins,
            "roll": config.angle_bins,
            "t": 3,
            "exp": 3 * config.keypoints,
        }
        for name, size in heads.items():
            self.add_module(f"fc_{name}", nn.Linear(widths[-1], size))
        self._heads = tuple(heads)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        x = image
        for shrink, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(shrink(x))
        x = self.norm(x.mean(dim=(2, 3)))
        return {name: self.get_submodule(f"fc_{name}")(x) for name in self._heads}


class MotionExtractor(nn.Module):
    """State-dict keys as in `motion_extractor.pth`."""

    def __init__(self, config: VolumeConfig | None = None) -> None:
        super().__init__()
        self.config = config or VolumeConfig()
        self.detector = Detector(self.config)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Raw values of pictures [N, 3, S, S], RGB in 0 .. 1.

        kp and exp [N, 3 K] (x, y, z of each keypoint), scale [N, 1], t [N, 3], and pitch, yaw and
        roll as bins [N, 66], which `keypoints.degrees` reads. Raises ValueError for another shape.
        """
        side = self.config.image_px
        check_shape("image", image, (None, 3, side, side))
        values: dict[str, torch.Tensor] = self.detector(image)
        return values


class Observed(NamedTuple):
    """What pictures show: kp and exp [N, K, 3], scale [N], t [N, 3], angles [N] in degrees."""

    kp: Floats
    exp: Floats
    scale: Floats
    t: Floats
    pitch: Floats
    yaw: Floats
    roll: Floats


def observe(network: MotionExtractor, images: torch.Tensor) -> Observed:
    """The network's values for pictures [N, 3, S, S] in words of geometry."""
    values = {name: value.float().cpu().numpy() for name, value in network(images).items()}
    kp, exp = (values[name].reshape(len(images), -1, 3) for name in ("kp", "exp"))
    angles = (degrees(values[name]) for name in ("pitch", "yaw", "roll"))
    return Observed(kp, exp, values["scale"][:, 0], values["t"], *angles)
