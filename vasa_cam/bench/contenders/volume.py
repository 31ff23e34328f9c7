"""What surrounds the volume renderer's convolutions in plain torch, as one would write it, and
`grid_sample` as a CUDA kernel of a few lines."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from vasa_cam.bench.case import Call
from vasa_cam.bench.contenders.by_torch import Run, tensor
from vasa_cam.bench.devices import Device

HEAT_VARIANCE: Final = 0.01


class Keypoints(NamedTuple):
    """float32 [N, K, 3] in -1..1."""

    source: Any
    driving: Any


def grid_sample(device: Device, volume: Any, grid: Any, dtype: str) -> Run:
    """volume [N, D, H, W, C] in torch's own order of axes; its grid has the volume's type."""
    from torch.nn import functional

    channels_first = tensor(device, np.moveaxis(volume, -1, 1).copy(), dtype)
    places = tensor(device, grid, dtype)
    return lambda: functional.grid_sample(channels_first, places, align_corners=False).permute(
        0, 2, 3, 4, 1
    )


def dense_motion_input(device: Device, compressed: Any, points: Keypoints, dtype: str) -> Run:
    """The plain sequence: a flow field and a lookup for every candidate, heatmaps, stack."""
    import torch
    from torch.nn import functional

    source, driving = (tensor(device, part) for part in points)
    volume = tensor(device, np.moveaxis(compressed, -1, 1).copy(), dtype)
    batch, channels, depth, height, width = volume.shape
    count = driving.shape[1] + 1
    grid = identity_grid(depth, height, width, volume.device)

    def run() -> Any:
        flows = candidate_flows(grid, source, driving)
        repeated = volume[:, None].expand(-1, count, -1, -1, -1, -1)
        repeated = repeated.reshape(batch * count, channels, depth, height, width)
        fields = flows.reshape(batch * count, depth, height, width, 3).to(volume.dtype)
        moved = functional.grid_sample(repeated, fields, align_corners=False)
        moved = moved.view(batch, count, channels, depth, height, width)
        heat = heatmap(grid, driving) - heatmap(grid, source)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1).to(volume.dtype)
        stacked = torch.cat([heat[:, :, None], moved], 2)
        return stacked.flatten(1, 2).permute(0, 2, 3, 4, 1)

    return run


def dense_motion_warp(
    device: Device, logits: Any, points: Keypoints, volume: Any, dtype: str
) -> Run:
    """Softmax, the sum over all flow fields, one lookup."""
    from torch.nn import functional

    source, driving = (tensor(device, part) for part in points)
    masks = tensor(device, np.moveaxis(logits, -1, 1).copy(), dtype)
    features = tensor(device, np.moveaxis(volume, -1, 1).copy(), dtype)
    depth, height, width = features.shape[2:]
    grid = identity_grid(depth, height, width, features.device)

    def run() -> Any:
        flows = candidate_flows(grid, source, driving)
        weights = functional.softmax(masks, dim=1)
        field = (weights[..., None] * flows).sum(1).to(features.dtype)
        warped = functional.grid_sample(features, field, align_corners=False)
        return warped.permute(0, 2, 3, 4, 1)

    return run


def identity_grid(depth: int, height: int, width: int, device: Any) -> Any:
    """(x, y, z) of every voxel, the corners at -1 and 1, [D, H, W, 3]."""
    import torch

    axes = (torch.linspace(-1, 1, size, device=device) for size in (depth, height, width))
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], -1)


def candidate_flows(grid: Any, source: Any, driving: Any) -> Any:
    """[N, K + 1, D, H, W, 3]: the grid, then moved by each keypoint."""
    import torch

    shift = source - driving
    shift = torch.cat([torch.zeros_like(shift[:, :1]), shift], 1)
    return grid + shift[:, :, None, None, None]


def heatmap(grid: Any, points: Any) -> Any:
    """A Gaussian around each keypoint, [N, K, D, H, W]."""
    away = grid - points[:, :, None, None, None]
    return (-0.5 * away.square().sum(-1) / HEAT_VARIANCE).exp()


_KERNEL: Final = r"""
#include <cuda_fp16.h>
extern "C" __global__ void grid_sample(const T* volume, const float* grid, T* out, int N, int C,
                                       int D, int H, int W, int P) {
  // One thread a place, a loop over channels: [N, C, D, H, W], [N, P, 3] -> [N, C, P].
  const int index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= N * P) return;
  const int n = index / P, p = index % P;
  const float x = ((grid[3 * index] + 1) * W - 1) / 2;
  const float y = ((grid[3 * index + 1] + 1) * H - 1) / 2;
  const float z = ((grid[3 * index + 2] + 1) * D - 1) / 2;
  const int x0 = floorf(x), y0 = floorf(y), z0 = floorf(z);
  for (int c = 0; c < C; ++c) {
    const T* from = volume + (size_t)(n * C + c) * D * H * W;
    float sum = 0;
    for (int k = 0; k < 8; ++k) {
      const int xi = x0 + (k & 1), yi = y0 + (k >> 1 & 1), zi = z0 + (k >> 2);
      if (xi < 0 || yi < 0 || zi < 0 || xi >= W || yi >= H || zi >= D) continue;
      const float weight = (1 - fabsf(x - xi)) * (1 - fabsf(y - yi)) * (1 - fabsf(z - zi));
      sum += weight * (float)from[(zi * H + yi) * W + xi];
    }
    out[(size_t)(n * C + c) * P + p] = (T)sum;
  }
}
"""


def cupy_grid_sample(volume: Any, grid: Any, dtype: str) -> Call:
    """The kernel above on CuPy's arrays; the volume in its own order of axes."""
    import cupy

    kind = {"float32": "float", "float16": "__half"}[dtype]
    kernel = cupy.RawKernel(_KERNEL, "grid_sample", options=(f"-DT={kind}", "--std=c++17"))
    channels_first = cupy.asarray(np.moveaxis(volume, -1, 1).copy(), dtype)
    places = cupy.asarray(grid, cupy.float32)
    batch, channels, depth, height, width = map(int, channels_first.shape)
    space = tuple(map(int, places.shape[1:4]))
    count = int(np.prod(space))
    out = cupy.empty((batch, channels, *space), dtype)
    sizes = tuple(map(np.int32, (batch, channels, depth, height, width, count)))
    blocks = (-(-batch * count // 256),)

    def run() -> Any:
        kernel(blocks, (256,), (channels_first, places, out, *sizes))
        return out.transpose(0, 2, 3, 4, 1)

    return run
