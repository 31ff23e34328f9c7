"""G with fewer operations: the same numbers as `spade` gives, but for rounding.

- All twelve `mlp_shared` of the middle blocks are one convolution, those of either last block
  another, on the small map whatever the block's size (`ops.phase_weights`).
- gamma and beta are one convolution; instance norm, modulation, enlargement and leaky ReLU one op.
- `norm_0` and `norm_s` of a block share the statistics of its input, taken before it is enlarged.
- A bias before an instance norm changes nothing, so only that of the last block's second
  convolution and of the last layer are added.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from vasa_cam import ops
from vasa_cam.render.volume.fold import aligned, convolution, padded, padded_bias
from vasa_cam.render.volume.spade import SLOPE, Spade, SpadeBlock, SpadeDecoder

_CELL = 12  # three colours of 2 x 2 pixels


def map_rows(x: torch.Tensor) -> torch.Tensor:
    """[N, C, H, W] as contiguous [N, H, W, C]; no copy when it is channels_last."""
    return x.permute(0, 2, 3, 1).contiguous()


def map_channels(rows: torch.Tensor) -> torch.Tensor:
    """[N, H, W, C] as [N, C, H, W] in channels_last, without a copy."""
    return rows.permute(0, 3, 1, 2)


class SharedMaps(nn.Module):
    """relu(mlp_shared(enlarged segments)) of several SPADE layers at once."""

    def __init__(self, layers: list[Spade], factor: int) -> None:
        super().__init__()
        self.factor, self.count = factor, len(layers)
        weight = torch.cat([layer.mlp_shared[0].weight.detach() for layer in layers])
        bias = torch.cat([layer.mlp_shared[0].bias.detach() for layer in layers])
        kernels = map(torch.from_numpy, ops.phase_weights(weight.float().numpy(), factor))
        self.convs = nn.ModuleList(
            convolution(kernel, None, (kernel.shape[2] // 2, kernel.shape[3] // 2))
            for kernel in kernels
        )
        self.register_buffer("bias", bias.float(), persistent=False)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Rows [layers, N, f H, f W, hidden] of segments [N, C, H, W]."""
        parts = [map_rows(conv(segments)) for conv in self.convs]
        maps: torch.Tensor = ops.phase_expand(parts, self.bias, self.factor, groups=self.count)
        return maps


class Modulation(nn.Module):
    """Instance norm, gamma and beta of a hidden map, enlargement, leaky ReLU."""

    def __init__(self, layer: Spade, slope: float) -> None:
        super().__init__()
        self.slope = slope
        both = (layer.mlp_gamma, layer.mlp_beta)
        self.conv = convolution(torch.cat([part.weight.detach() for part in both]), None, (1, 1))
        bias = torch.cat([part.bias.detach() for part in both])
        self.register_buffer("bias", bias.float(), persistent=False)

    def forward(
        self, x: torch.Tensor, statistics: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor:
        """[N, C, H, W] of rows x [N, h, w, C] and hidden [N, H, W, hidden]."""
        gamma_beta = map_rows(self.conv(map_channels(hidden)))
        rows: torch.Tensor = ops.spade_modulate(
            x, statistics, gamma_beta, bias=self.bias, slope=self.slope
        )
        return map_channels(rows)


class FastBlock(nn.Module):
    """A SPADE block on rows. last: its output does not go into an instance norm."""

    def __init__(self, block: SpadeBlock, last: bool = False) -> None:
        super().__init__()
        self.norm_0 = Modulation(block.norm_0, SLOPE)
        self.norm_1 = Modulation(block.norm_1, SLOPE)
        self.conv_0 = convolution(block.conv_0.weight, None, (1, 1))
        self.conv_1 = convolution(block.conv_1.weight, block.conv_1.bias if last else None, (1, 1))
        self.learned = block.learned
        if block.learned:
            self.norm_s = Modulation(block.norm_s, 1.0)
            self.conv_s = convolution(block.conv_s.weight, None, (0, 0))

    @staticmethod
    def layers(block: SpadeBlock) -> list[Spade]:
        """The SPADE layers of a block in the order that `forward` takes their hidden maps in."""
        return [block.norm_0, block.norm_1, *([block.norm_s] if block.learned else [])]

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Rows [N, H, W, C'] of rows [N, h, w, C]; hidden: rows [2 or 3, N, H, W, hidden]."""
        statistics = ops.instance_statistics(x)
        y = map_rows(self.conv_0(self.norm_0(x, statistics, hidden[0])))
        y = self.conv_1(self.norm_1(y, ops.instance_statistics(y), hidden[1]))
        if self.learned:
            y = y.add_(self.conv_s(self.norm_s(x, statistics, hidden[2])))
            return map_rows(y)
        return map_rows(y).add_(x)


class FastDecoder(nn.Module):
    """Built from a SpadeDecoder; `fold.place` moves and rounds it."""

    def __init__(self, network: SpadeDecoder) -> None:
        super().__init__()
        middle = network.middle
        self.fc = convolution(network.fc.weight, None, (1, 1))
        layers = [layer for block in middle for layer in FastBlock.layers(block)]
        self.shared = SharedMaps(layers, 1)
        self.middle = nn.ModuleList(FastBlock(block) for block in middle)
        self.shared_0 = SharedMaps(FastBlock.layers(network.up_0), 2)
        self.up_0 = FastBlock(network.up_0)
        self.shared_1 = SharedMaps(FastBlock.layers(network.up_1), 4)
        self.up_1 = FastBlock(network.up_1, last=True)
        image = network.conv_img[0]
        weight = padded(image.weight.detach(), image.weight.shape[1], aligned(_CELL))
        bias = padded_bias(image.bias.detach(), aligned(_CELL))
        self.image = convolution(weight, bias, (1, 1))

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Cells for `ops.decoder_tail`, rows [N, 4 H, 4 W, 16], of features [N, 256, H, W]."""
        segments = segments.contiguous(memory_format=torch.channels_last)
        x = map_rows(self.fc(segments))
        hidden = self.shared(segments)
        for index, block in enumerate(self.middle):
            x = block(x, hidden[2 * index : 2 * index + 2])
        x = self.up_0(x, self.shared_0(segments))
        x = self.up_1(x, self.shared_1(segments))
        return map_rows(self.image(functional.leaky_relu_(map_channels(x), SLOPE)))

    def frames(self, segments: torch.Tensor) -> torch.Tensor:
        """Frames uint8 [N, 8 H, 8 W, 3]: values times 255, truncated."""
        frames: torch.Tensor = ops.decoder_tail(self(segments))
        return frames

    def pictures(self, segments: torch.Tensor) -> torch.Tensor:
        """What `SpadeDecoder` gives: float [N, 3, 8 H, 8 W] in 0 .. 1."""
        cells = map_channels(self(segments))[:, :_CELL]
        return torch.sigmoid(functional.pixel_shuffle(cells, 2))
