"""S: three small networks that mend keypoints after the motion has moved them.

Stitching keeps neck and shoulders where the photo has them; the lip and the eye network open and
close what they are named after. All of them together have fewer than a quarter of a million
weights, so they run on the CPU in float32 wherever the rest runs.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.keypoints import stitched
from vasa_cam.render.volume.layers import check_shape

Floats = npt.NDArray[np.float32]


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


class Retargeting(nn.Module):
    """The three networks; keys `stitching.mlp.0.*`, `lip.*`, `eye.*`.

    The public file calls them `retarget_shoulder`, `retarget_mouth` and `retarget_eye`.
    """

    def __init__(self, config: VolumeConfig | None = None) -> None:
        super().__init__()
        values = 3 * (config or VolumeConfig()).keypoints
        self.stitching = Mlp(2 * values, 128, 128, 64, values + 2)
        self.lip = Mlp(values + 2, 128, 128, 64, values)
        self.eye = Mlp(values + 3, 256, 256, 128, 128, 64, values)

    @torch.inference_mode()
    def stitch(self, source: Floats, driving: Floats) -> Floats:
        """Driving keypoints [T, K, 3] of a source [K, 3] with neck and shoulders held."""
        held = np.broadcast_to(source.reshape(1, -1), (len(driving), source.size))
        both = np.concatenate([held, driving.reshape(len(driving), -1)], axis=1)
        return stitched(driving, self.stitching(torch.from_numpy(both)).numpy())

    @torch.inference_mode()
    def lip_offsets(self, source: Floats, now: float, wanted: float) -> Floats:
        """Offsets [K, 3] for keypoints [K, 3] that take the mouth's opening from now to wanted.

        Openings are height over width, as `crop.openings` gives them.
        """
        return _offsets(self.lip, source, now, wanted)

    @torch.inference_mode()
    def eye_offsets(self, source: Floats, now: tuple[float, float], wanted: float) -> Floats:
        """Offsets [K, 3] that take both eyes' openings (first, second) from now to wanted."""
        return _offsets(self.eye, source, *now, wanted)


def _offsets(network: Mlp, source: Floats, *openings: float) -> Floats:
    row = np.concatenate([source.reshape(-1), np.array(openings, np.float32)])
    offsets = network(torch.from_numpy(row[None])).numpy()
    return np.asarray(offsets.reshape(source.shape), np.float32)
