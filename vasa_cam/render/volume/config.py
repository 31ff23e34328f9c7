"""Sizes of the volume renderer's networks; the defaults are those of LivePortrait's public weights.

Other sizes serve tests and networks that are trained anew. Nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeConfig:
    """Widths and depths of the five networks.

    keypoints: K, in the motion and the dense warp. image_px: side of the square input; the volume's
    is a quarter, the output's twice of it. volume_channels, volume_depth: C and D of the appearance
    volume [C, D, image_px / 4, image_px / 4].
    """

    keypoints: int = 21
    image_px: int = 256
    volume_channels: int = 32
    volume_depth: int = 16

    appearance_width: int = 64
    appearance_blocks: int = 6

    motion_widths: tuple[int, ...] = (96, 192, 384, 768)
    motion_depths: tuple[int, ...] = (3, 3, 9, 3)
    angle_bins: int = 66

    compressed_channels: int = 4
    hourglass_width: int = 32
    hourglass_widest: int = 1024
    hourglass_blocks: int = 5

    decoder_width: int = 64
    decoder_hidden: int = 128
    decoder_blocks: int = 6

    @property
    def volume_px(self) -> int:
        """Side of the appearance volume."""
        return self.image_px // 4

    @property
    def output_px(self) -> int:
        """Side of a frame."""
        return 2 * self.image_px

    @property
    def feature_channels(self) -> int:
        """Channels of the map between the warp and the decoder."""
        return 4 * self.decoder_width
