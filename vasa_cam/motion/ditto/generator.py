"""Ditto's generator as its checkpoint holds it, ready to draw clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from vasa_cam.errors import InputError
from vasa_cam.motion.ditto.condition import MOTION_SIZE, parts_of
from vasa_cam.motion.ditto.denoiser import Denoiser, DenoiserSizes
from vasa_cam.motion.ditto.diffusion import Step, draw_clip

Floats = npt.NDArray[np.float32]

_TABLE: Final = "rotary.freqs"


class Ditto:
    """Ditto's motion generator.

    tensors: the checkpoint's `model_state_dict`, by its own keys; sizes are read from them. parts:
    what it is told beside the sound (see condition.parts_of), by default what its size says.
    device: torch's name of one, else the first GPU, else the CPU. Raises InputError when tensors
    are missing or do not fit.
    """

    def __init__(
        self,
        tensors: Mapping[str, npt.NDArray[Any]],
        parts: tuple[str, ...] | None = None,
        device: str | None = None,
    ) -> None:
        own = {
            key: torch.from_numpy(np.array(array, np.float32))
            for key, array in tensors.items()
            if not key.endswith(_TABLE)
        }
        try:
            self.sizes = _sizes(own)
            net = Denoiser(self.sizes)
            net.load_state_dict(own)
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                f"the Ditto generator could not be built ({str(error).splitlines()[0]}): "
                "download its checkpoint again."
            ) from error
        if self.sizes.motion != MOTION_SIZE:
            raise InputError(
                f"the Ditto generator gives {self.sizes.motion} numbers a frame, expected "
                f"{MOTION_SIZE}: use the published checkpoint."
            )
        self.parts = parts_of(self.sizes.condition) if parts is None else parts
        cuda = torch.cuda.is_available()
        self.device = torch.device(device or ("cuda" if cuda else "cpu"))
        self._net = net.to(self.device).requires_grad_(False).eval()

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.sizes.frames

    @torch.inference_mode()
    def draw(self, frame: Floats, told: Floats, steps: Sequence[Step], noise: Floats) -> Floats:
        """A clip float32 [N, 265]. frame: [265], the motion before it.

        told: float32 [N, condition]. steps: of ddim_steps. noise: float32 [len(steps), N, 265], the
        first noise and that of each step but the last.
        """
        memory = self._net.remember(self._tensor(told))
        parts = list(self._tensor(noise)[0].split(1))
        clip = draw_clip(self._net, self._tensor(frame), memory, steps, parts)
        return np.asarray(clip[0].cpu().numpy(), np.float32)

    def _tensor(self, values: Floats) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))[None].to(self.device)


def _sizes(tensors: Mapping[str, torch.Tensor]) -> DenoiserSizes:
    def count(root: str) -> int:
        return next(n for n in range(len(tensors)) if f"{root}.{n}.linear1.weight" not in tensors)

    motion, width = tensors["final_layer.weight"].shape
    return DenoiserSizes(
        motion=motion,
        condition=tensors["cond_projection.weight"].shape[1],
        frames=tensors["null_cond_embed"].shape[1],
        width=width,
        inner=tensors["seqTransDecoder.stack.0.linear1.weight"].shape[0],
        layers=count("seqTransDecoder.stack"),
        told=count("cond_encoder"),
    )
