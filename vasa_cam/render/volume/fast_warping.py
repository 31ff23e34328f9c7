"""W with fewer operations: the same numbers as `warping` gives, but for rounding.

- Heatmaps, sampled volumes, masks, flow and warp go through the ops `dense_motion_input` and
  `dense_motion_warp`: no flow field is stored.
- Batch norms are part of their convolutions.
- The decoder's convolutions of enlarged maps run on the small maps (`ops.phase_weights`).
- The occlusion's 7 x 7 convolution of 2,272 channels to one is a product with 49 columns, one for
  each tap, whose results are added where the taps lie: its input is read once.
- Everything is channels last, padded to multiples of eight; `compress` runs once for a photo.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from vasa_cam import ops
from vasa_cam.render.volume.dense_motion import DenseMotion, UpBlock
from vasa_cam.render.volume.fold import (
    aligned,
    convolution,
    fold_norm,
    padded,
    padded_bias,
)
from vasa_cam.render.volume.warping import Warped, WarpingNetwork


class WarpSource(NamedTuple):
    """What the warp needs of a photo: channels last, in the network's dtype.

    volume: [1, D, H, W, C]. compressed: [1, D, H, W, 4]. keypoints: float32 [1, K, 3].
    """

    volume: torch.Tensor
    compressed: torch.Tensor
    keypoints: torch.Tensor


def volume_rows(x: torch.Tensor) -> torch.Tensor:
    """[N, C, D, H, W] as contiguous [N, D, H, W, C]; no copy when it is channels_last_3d."""
    return x.permute(0, 2, 3, 4, 1).contiguous()


def volume_channels(rows: torch.Tensor) -> torch.Tensor:
    """[N, D, H, W, C] as [N, C, D, H, W] in channels_last_3d, without a copy."""
    return rows.permute(0, 4, 1, 2, 3)


def _slices(x: torch.Tensor) -> torch.Tensor:
    """[N, C, D, H, W] as pictures [N D, C, H, W]: pooling in two dimensions keeps the layout."""
    return volume_rows(x).flatten(0, 1).permute(0, 3, 1, 2)


def _halved(x: torch.Tensor) -> torch.Tensor:
    """Height and width halved by averaging."""
    count, depth = x.shape[0], x.shape[2]
    small = functional.avg_pool2d(_slices(x), 2).permute(0, 2, 3, 1)
    return volume_channels(small.unflatten(0, (count, depth)))


class PhaseUpBlock(nn.Module):
    """Height and width doubled, convolution, ReLU; the convolution runs before the doubling."""

    def __init__(self, block: UpBlock) -> None:
        super().__init__()
        weight, bias = fold_norm(block.conv, block.norm)
        taps = [
            torch.from_numpy(ops.phase_weights(tap.contiguous().numpy(), 2)[0])
            for tap in weight.unbind(dim=2)
        ]
        self.conv = convolution(torch.stack(taps, dim=2), None, (1, 1, 1))
        self.register_buffer("bias", bias.float(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, D, H, W] to contiguous rows [N, D, 2 H, 2 W, C']."""
        corners = volume_rows(self.conv(x))
        count, depth = corners.shape[:2]
        rows: torch.Tensor = ops.phase_expand((corners.flatten(0, 1),), self.bias, 2)
        return rows.unflatten(0, (count, depth))


class FastWarping(nn.Module):
    """Built from a WarpingNetwork; `fold.place` moves and rounds it."""

    def __init__(self, network: WarpingNetwork) -> None:
        super().__init__()
        dense = network.dense_motion_network
        self.config = network.config
        self.compress = convolution(*fold_norm(dense.compress, dense.norm), (0, 0, 0))
        self._build_hourglass(dense)
        self._build_heads(dense)
        self._build_flat(network)

    def _build_hourglass(self, dense: DenseMotion) -> None:
        encoder, decoder = dense.hourglass.encoder, dense.hourglass.decoder
        self.down = nn.ModuleList()
        for block in encoder.down_blocks:
            weight, bias = fold_norm(block.conv, block.norm)
            weight = padded(weight, aligned(weight.shape[1]))
            self.down.append(convolution(weight, bias, (1, 1, 1)))
        self.up = nn.ModuleList(PhaseUpBlock(block) for block in decoder.up_blocks)
        weight, bias = fold_norm(decoder.conv, decoder.norm)
        self.joined = aligned(decoder.out_channels)
        weight = padded(weight, self.joined, self.joined)
        self.join = convolution(weight, padded_bias(bias, self.joined), (1, 1, 1))

    def _build_heads(self, dense: DenseMotion) -> None:
        wide = aligned(dense.slots)
        weight = padded(dense.mask.weight.detach(), self.joined, wide)
        self.mask = convolution(weight, padded_bias(dense.mask.bias.detach(), wide), (3, 3, 3))
        taps = dense.occlusion.weight.detach()[0].unflatten(0, (-1, self.config.volume_depth))
        channels, depth, height, width = taps.shape
        columns = taps.permute(2, 3, 0, 1).reshape(height * width, channels, depth, 1, 1)
        columns = padded(columns, self.joined, aligned(height * width))
        self.occlusion = convolution(columns, None, (0, 0, 0))
        self.occlusion_taps = (height, width)
        self.register_buffer(
            "occlusion_bias", dense.occlusion.bias.detach().float(), persistent=False
        )

    def _build_flat(self, network: WarpingNetwork) -> None:
        config = network.config
        weight, bias = fold_norm(network.third.conv, network.third.norm)
        # The public order of channels is (c, d), of a warped volume channels last (d, c).
        swapped = weight.unflatten(1, (config.volume_channels, config.volume_depth)).transpose(1, 2)
        self.third = convolution(swapped.flatten(1, 2), bias, (1, 1))
        fourth = network.fourth
        self.fourth = convolution(fourth.weight.detach(), fourth.bias.detach(), (0, 0))

    def prepare(self, volume: torch.Tensor, keypoints: torch.Tensor) -> WarpSource:
        """Constants of a photo. volume: [1, C, D, H, W]. keypoints: float32 [1, K, 3]."""
        volume = volume.to(self.compress.weight.dtype)
        compressed = functional.relu(self.compress(volume))
        return WarpSource(volume_rows(volume), volume_rows(compressed), keypoints)

    def forward(self, source: WarpSource, driving: torch.Tensor) -> Warped:
        """Features [N, 256, H, W] in channels_last for driving keypoints float32 [N, K, 3]."""
        wide = self.hourglass(ops.dense_motion_input(source.compressed, source.keypoints, driving))
        logits = volume_rows(self.mask(wide))[..., : self.config.keypoints + 1].contiguous()
        count, depth, height, width = logits.shape[:4]
        deformation = torch.empty(
            count, depth, height, width, 3, dtype=torch.float32, device=logits.device
        )
        warped = ops.dense_motion_warp(
            logits, source.keypoints, driving, source.volume, deformation=deformation
        )
        flat = warped.permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)
        x = functional.leaky_relu(self.third(flat), 0.01, inplace=True)
        occlusion = self._occlusion(wide)
        return Warped(self.fourth(x).mul_(occlusion), deformation, occlusion)

    def hourglass(self, rows: torch.Tensor) -> torch.Tensor:
        """Input rows [N, D, H, W, 5 (K + 1)] to wide features [N, C, D, H, W], padded."""
        levels = [rows]
        spare = aligned(rows.shape[-1]) - rows.shape[-1]
        x = volume_channels(functional.pad(rows, (0, spare)))
        for conv in self.down:
            x = _halved(functional.relu_(conv(x)))
            levels.append(volume_rows(x))
        levels.pop()
        for block in self.up:
            parts = [block(x), levels.pop()]
            if not levels:
                missing = self.joined - sum(part.shape[-1] for part in parts)
                parts.append(rows.new_zeros(*rows.shape[:-1], missing))
            x = volume_channels(torch.cat(parts, dim=-1))
        return functional.relu_(self.join(x))

    def _occlusion(self, wide: torch.Tensor) -> torch.Tensor:
        """[N, 1, H, W] of wide features."""
        height, width = self.occlusion_taps
        columns = self.occlusion(wide)[:, : height * width, 0]
        size = columns.shape[2:]
        # Tap (i, j) of the kernel sees the pixel i - 3 rows and j - 3 columns away: adding every
        # column's picture at the opposite place gives the sum at the kernel's centre.
        turned = columns.flip(1).flatten(2).contiguous()
        summed = functional.fold(turned, size, (height, width), padding=(height // 2, width // 2))
        return torch.sigmoid(summed.float() + self.occlusion_bias).to(summed.dtype)
