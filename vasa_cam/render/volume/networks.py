"""The five networks of a model, with its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vasa_cam.errors import InputError
from vasa_cam.render.volume.appearance import AppearanceExtractor
from vasa_cam.render.volume.config import VolumeConfig
from vasa_cam.render.volume.motion_extractor import MotionExtractor
from vasa_cam.render.volume.retargeting import Retargeting
from vasa_cam.render.volume.spade import SpadeDecoder
from vasa_cam.render.volume.warping import WarpingNetwork

Tensors = Mapping[str, npt.NDArray[Any]]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class VolumeNetworks:
    """Networks in evaluation mode, float32 on the CPU."""

    config: VolumeConfig
    appearance: AppearanceExtractor
    motion: MotionExtractor
    warping: WarpingNetwork
    decoder: SpadeDecoder
    retargeting: Retargeting

    @classmethod
    def load(
        cls, tensors: Callable[[str], Tensors], config: VolumeConfig | None = None
    ) -> VolumeNetworks:
        """Networks from the parts of a model, as `checkpoints.registry.Model.tensors` gives them.

        tensors: from "appearance", "motion", "warping", "decoder" and "stitching" to a state dict
        whose spectral norms have been folded. The arrays are kept, not copied. Raises InputError
        for a key or a shape that differs.
        """
        config = config or VolumeConfig()
        return cls(
            config,
            loaded("appearance", AppearanceExtractor, config, tensors("appearance")),
            loaded("motion", MotionExtractor, config, tensors("motion")),
            loaded("warping", WarpingNetwork, config, tensors("warping")),
            loaded("decoder", SpadeDecoder, config, tensors("decoder")),
            loaded("stitching", Retargeting, config, tensors("stitching")),
        )


def loaded(
    part: str, kind: Callable[[VolumeConfig], Network], config: VolumeConfig, tensors: Tensors
) -> Network:
    """One network with these weights, float32, in evaluation mode.

    How many batches a batch norm has seen may be missing. Raises InputError as VolumeNetworks.load.
    """
    with torch.device("meta"):
        network = kind(config)
    state = {
        key: torch.from_numpy(np.asarray(value, np.float32 if value.dtype.kind == "f" else None))
        for key, value in tensors.items()
    }
    for key in network.state_dict():
        if key.endswith(".num_batches_tracked"):
            state.setdefault(key, torch.tensor(0))
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the weights of the part {part} do not fit its network ({reason:.300}): add the model "
            "again, or give the sizes it was trained with."
        ) from error
    network.eval().requires_grad_(False)
    return network
