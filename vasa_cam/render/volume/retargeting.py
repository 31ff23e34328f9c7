"""S: three small networks that mend keypoints after the motion has moved them.

Stitching keeps neck and shoulders where the photo has them; the lip and the eye network open and
close what they are named after. All of them together have fewer than a quarter of a million
weights, so they run on the CPU in float32 wherever the rest runs.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.layers import check_shape


class Mlp(nn.Module):
    """Linear layers with ReLU between them; keys `mlp.0.*`, `mlp.2.*`, ..."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.inputs = sizes[0]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, sizes[0]] to [N, sizes[-1]]; ValueError for another width."""
        check_shape("input", x, (None, self.inputs))
        result: torch.Tensor = self.mlp(x)
        return result


def stitching_network(config: VolumeConfig | None = None) -> Mlp:
    """`retarget_shoulder`: source and driving keypoints to 3 K offsets and a shift (x, y)."""
    values = 3 * (config or VolumeConfig()).keypoints
    return Mlp(2 * values, 128, 128, 64, values + 2)


def lip_network(config: VolumeConfig | None = None) -> Mlp:
    """`retarget_mouth`: source keypoints, lip opening now and wanted, to 3 K offsets."""
    values = 3 * (config or VolumeConfig()).keypoints
    return Mlp(values + 2, 128, 128, 64, values)


def eye_network(config: VolumeConfig | None = None) -> Mlp:
    """`retarget_eye`: source keypoints, both eyes' opening now, the wanted one, to 3 K offsets."""
    values = 3 * (config or VolumeConfig()).keypoints
    return Mlp(values + 3, 256, 256, 128, 128, 64, values)
