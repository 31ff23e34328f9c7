"""JoyVASA's generator as its checkpoint holds it, ready to draw windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vasa_cam.errors import InputError
from vasa_cam.motion.joyvasa.denoiser import Denoiser, DenoiserSizes
from vasa_cam.motion.joyvasa.diffusion import Schedule, Window, cosine_schedule, denoise
from vasa_cam.motion.joyvasa.hearing import Hearing
from vasa_cam.motion.joyvasa.template import Template

Arrays = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]

_NET: Final = "denoising_net."
_AUDIO: Final = "audio_encoder."
_TABLES: Final = ("PE.pe", "TE.pe", "alignment_mask")
# The public training's defaults, for files without their options.
_STEPS, _FPS, _WINDOW = 50, 25.0, 100


@dataclass(frozen=True, eq=False)
class Past:
    """What a window takes over from the one before. motion: [1, P, d]. sound: [1, P, D]."""

    motion: torch.Tensor
    sound: torch.Tensor


class JoyVasa(nn.Module):
    """JoyVASA's motion generator.

    tensors: the checkpoint's `model`, by its own keys. template: how its numbers are scaled.
    options: the checkpoint's `args` as a dict, where known (n_diff_steps, fps, n_motions). hubert:
    tensors of the audio encoder where the checkpoint has none. positions: see Denoiser. Sizes come
    from the tensors. Raises InputError when tensors are missing or do not fit each other.
    """

    def __init__(
        self,
        tensors: Arrays,
        template: Template,
        options: Mapping[str, Any] | None = None,
        hubert: Arrays | None = None,
        positions: str = "legacy",
    ) -> None:
        super().__init__()
        self.template = template
        options = options or {}
        own = {key: torch.from_numpy(np.array(array)) for key, array in tensors.items()}
        try:
            self.hearing = Hearing(_below(own, _AUDIO) or _torch(hubert))
            self.start_sound = nn.Parameter(own["start_audio_feat"].float())
            self.start_motion = nn.Parameter(own["start_motion_feat"].float())
            self.null_sound = nn.Parameter(own["null_audio_feat"].float())
            width, heard = own["audio_feature_map.weight"].shape
            self.feature_map = nn.Linear(heard, width)
            self.feature_map.load_state_dict(_below(own, "audio_feature_map."))
            net = _below(own, _NET)
            mask = net.get("alignment_mask")
            self.denoiser = Denoiser(_sizes(net), positions)
            self.denoiser.load_state_dict({k: v for k, v in net.items() if k not in _TABLES})
            self.schedule: Schedule = cosine_schedule(int(options.get("n_diff_steps") or _STEPS))
            self.fps = float(options.get("fps") or _FPS)
            window = mask.shape[0] - self.previous if mask is not None else _WINDOW
            self.window = int(options.get("n_motions") or window)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"the JoyVASA generator could not be built ({str(error).splitlines()[0]}): "
                "download its checkpoint again."
            ) from error
        if heard != self.hearing.width or self.start_sound.shape[-1] != width:
            raise InputError(
                f"the JoyVASA generator expects {heard} numbers of sound a frame and its audio "
                f"encoder gives {self.hearing.width}: use the encoder that it was trained with."
            )
        self.requires_grad_(False).eval()

    @property
    def previous(self) -> int:
        """P, frames that a window takes over."""
        return int(self.start_motion.shape[1])

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.null_sound.device

    def first(self) -> Past:
        """What the first window of a voice takes over: learnt."""
        return Past(self.start_motion, self.start_sound)

    @torch.inference_mode()
    def hear(self, sound: Floats) -> torch.Tensor:
        """Features [1, L, D] of a window's sound, float32 [L * 640] at 25 frames a second."""
        heard = torch.from_numpy(sound)[None].to(self.device)
        return self.feature_map(self.hearing(heard))

    @torch.inference_mode()
    def draw(
        self, heard: torch.Tensor, past: Past, start: Floats, scale: float, rng: np.random.Generator
    ) -> tuple[Floats, Past]:
        """Motion [L, d] of a window, as the network has it, and what the next one takes over.

        heard: [1, L, D] of `hear`. start: first noise, float32 [L, d]. scale: of the guidance.
        """
        silent = self.null_sound.expand_as(heard)
        sounds = [torch.cat([past.sound, part], dim=1) for part in (silent, heard)]
        window = Window(past.motion, self.denoiser.cross(torch.cat(sounds)))

        def noise(step: int) -> torch.Tensor:
            return self._tensor(rng.standard_normal(start.shape, np.float32))

        steps = denoise(self.denoiser, self.schedule, window, scale, self._tensor(start), noise)
        _, x = deque(steps, maxlen=1).pop()
        kept = Past(x[:, -self.previous :], heard[:, -self.previous :])
        return np.asarray(x[0].cpu().numpy(), np.float32), kept

    def _tensor(self, values: Floats) -> torch.Tensor:
        return torch.from_numpy(values)[None].to(self.device)


def _torch(arrays: Arrays | None) -> dict[str, torch.Tensor]:
    if arrays is None:
        raise InputError(
            "the JoyVASA checkpoint holds no audio encoder: add HuBERT base beside it "
            "(vasa-cam models add)."
        )
    return {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}


def _below(tensors: Mapping[str, torch.Tensor], root: str) -> dict[str, torch.Tensor]:
    """Tensors whose key begins with `root`, without it."""
    return {key.removeprefix(root): t for key, t in tensors.items() if key.startswith(root)}


def _sizes(net: Mapping[str, torch.Tensor]) -> DenoiserSizes:
    width, motion = net["feature_proj.weight"].shape
    layer = "transformer.layers.{}.linear1.weight"
    layers = next(index for index in range(len(net)) if layer.format(index) not in net)
    return DenoiserSizes(motion, width, net[layer.format(0)].shape[0], layers)
