"""A volume model that is small enough to draw many frames with on a CPU: random weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from vasa_cam.render.volume.config import VolumeConfig

TINY = VolumeConfig(
    image_px=64,
    volume_channels=8,
    volume_depth=4,
    appearance_width=8,
    appearance_blocks=1,
    motion_widths=(8, 16, 24, 32),
    motion_depths=(1, 1, 1, 1),
    hourglass_width=8,
    hourglass_widest=32,
    hourglass_blocks=2,
    decoder_width=8,
    decoder_hidden=8,
    decoder_blocks=2,
)
"""Frames of 128 x 128, from a volume of 16 x 16 x 4."""


def random_networks(config: VolumeConfig = TINY, seed: int = 0) -> Any:
    """VolumeNetworks with random weights; norms have seen something, keypoints are small."""
    import torch

    from vasa_cam.render.volume.networks import VolumeNetworks

    parts = random_parts(config, seed)
    networks = VolumeNetworks.load(parts.__getitem__, config)
    assert not any(p.isnan().any() for p in networks.warping.parameters())
    assert torch.is_tensor(networks.decoder.fc.weight)
    return networks


def random_parts(config: VolumeConfig = TINY, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Part: its state dict, as a model of the registry gives it."""
    import torch

    from vasa_cam.render.volume.appearance import AppearanceExtractor
    from vasa_cam.render.volume.motion_extractor import MotionExtractor
    from vasa_cam.render.volume.retargeting import Retargeting
    from vasa_cam.render.volume.spade import SpadeDecoder
    from vasa_cam.render.volume.warping import WarpingNetwork

    kinds = {
        "appearance": AppearanceExtractor,
        "motion": MotionExtractor,
        "warping": WarpingNetwork,
        "decoder": SpadeDecoder,
        "stitching": Retargeting,
    }
    draw = np.random.default_rng(seed)
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, kind in kinds.items():
        with torch.device("meta"):
            shapes = {key: tuple(value.shape) for key, value in kind(config).state_dict().items()}
        parts[name] = {key: _values(key, shape, draw) for key, shape in shapes.items()}
    motion = parts["motion"]
    for head, size in (("kp", 0.2), ("exp", 0.02), ("t", 0.05), ("scale", 0.05)):
        motion[f"detector.fc_{head}.weight"] *= np.float32(size)
        motion[f"detector.fc_{head}.bias"] *= np.float32(size)
    motion["detector.fc_scale.bias"] += np.float32(1.2)
    for network in ("stitching", "lip", "eye"):
        last = max(key for key in parts["stitching"] if key.startswith(network))
        for kind_of in ("weight", "bias"):
            parts["stitching"][last.rpartition(".")[0] + "." + kind_of] *= np.float32(0.05)
    return parts


def _values(key: str, shape: tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_var":
        return draw.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) < 2:
        centre = 1.0 if last == "weight" else 0.0
        return (centre + 0.1 * draw.standard_normal(shape)).astype(np.float32)
    spread = np.sqrt(2.0 / np.prod(shape[1:]))
    return (spread * draw.standard_normal(shape)).astype(np.float32)
