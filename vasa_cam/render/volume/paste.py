"""A frame back into the photo that it was cut from; on the device where frames are made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from vasa_cam.render.volume.crop import Crop, border_mask, warp

U8 = npt.NDArray[np.uint8]


class Paster:
    """Everything about a photo and its crop that frames share; made once.

    Only the part of the photo under the crop is computed for a frame.
    """

    def __init__(self, photo: U8, crop: Crop, device: torch.device) -> None:
        """photo: u8 [H, W, 3]. crop: the square that frames show."""
        height, width = photo.shape[:2]
        mask = warp(border_mask(crop.side_px)[..., None], crop.matrix, (width, height))[..., 0]
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        y0, y1 = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        x0, x1 = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
        self.photo = torch.from_numpy(np.ascontiguousarray(photo)).to(device)
        self._part = (slice(y0, y1), slice(x0, x1))
        share = mask[self._part].astype(np.float32)[..., None] / 255.0
        self._share = torch.from_numpy(share).to(device)
        self._rest = (1.0 - self._share) * self.photo[self._part]
        x, y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
        at = np.stack([x, y], axis=-1) @ crop.matrix[:2, :2].T + crop.matrix[:2, 2]
        grid = (2.0 * at / (crop.side_px - 1) - 1.0).astype(np.float32)
        self._grid = torch.from_numpy(grid[None]).to(device)

    def paste(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames u8 [N, S, S, 3] in the photo, u8 [N, H, W, 3]; values are truncated."""
        count = len(frames)
        result = self.photo.expand(count, -1, -1, -1).clone()
        if self._grid.numel():
            warped = functional.grid_sample(
                frames.permute(0, 3, 1, 2).float(),
                self._grid.expand(count, -1, -1, -1),
                align_corners=True,
            )
            mixed = self._share * warped.round().permute(0, 2, 3, 1) + self._rest
            result[:, self._part[0], self._part[1]] = mixed.clamp(0.0, 255.0).to(torch.uint8)
        return result
