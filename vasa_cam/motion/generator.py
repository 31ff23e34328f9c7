"""The motion generator's weights and inputs: what goes into the transformer, without torch.

The generator is VASA-1's (arXiv 2404.10667): a transformer encoder that predicts x_0 of a noised
window of motion, with [previous motion, previous audio; audio, gaze, distance, emotion]
concatenated along time. Two things are ours. The window is written relative to where it starts:
the mouth to what the voice encoder heard, everything else to the last frame, each in units of how
far it usually moves until then; so one live frame is as well-scaled a target as a second. And a
slow-state token carries what a short window cannot show, such as the time since the last blink.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.motion.channels import CHANNELS
from vasa_cam.motion.schedule import time_features
from vasa_cam.motion.slow_state import SLOW_SIZE
from vasa_cam.motion.weight_file import read_weights

Floats = npt.NDArray[np.float32]

CONDITIONS: Final = ("x_pre", "a_pre", "a", "gaze", "distance", "emotion", "slow")
"""The conditions in the order of their tokens."""

GUIDED: Final[dict[str, tuple[str, ...]]] = {
    **{name: (name,) for name in CONDITIONS},
    "voice": ("a_pre", "a"),
}
"""What guidance can act on -> the conditions that are left out together."""

WEIGHTS_FILE: Final = "generator.safetensors"

GAZE_UNIT_DEG: Final = 35.0
DISTANCE_UNIT: Final = 0.3


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes. previous: frames K before the window. window: its largest length W in frames.

    audio_size: numbers a frame that the voice encoder gives. The defaults are the size that ships,
    `small`; BASE is the paper's.
    """

    layers: int = 4
    width: int = 192
    heads: int = 6
    previous: int = 10
    window: int = 10
    audio_size: int = 281
    slow_size: int = SLOW_SIZE
    time_size: int = 64


SMALL: Final = GeneratorConfig()
BASE: Final = GeneratorConfig(layers=8, width=512, heads=8, window=50)


@dataclass(frozen=True)
class WindowInputs:
    """What one window is conditioned on, in the generator's units.

    x_pre: float32 [K, 54] channels. a_pre: float32 [K, A]; a: float32 [W, A], voice features, of
    which the first `heard` are there and the others are yet to come. gaze: float32 [2], parts of 35
    degrees right and up. distance: float32 [1], (distance - 1) / 0.3. emotion: float32 [52],
    coefficient offset. slow: float32 [S], see SlowState.
    """

    x_pre: Floats
    a_pre: Floats
    a: Floats
    gaze: Floats
    distance: Floats
    emotion: Floats
    slow: Floats
    heard: int


def previous_rows(x_pre: Floats, spread: Floats, scale: Floats) -> Floats:
    """Previous motion as the transformer sees it, float32 [..., K, 108].

    Relative to the last frame in units of how far a channel moves in that time, then absolute in
    units of its spread. x_pre: float32 [..., K, 54]; spread: [54]; scale: [W, 54].
    """
    count = x_pre.shape[-2]
    lags = np.minimum(np.arange(count - 1, 0, -1), len(scale)) - 1
    units = np.concatenate([scale[lags], scale[:1]])
    relative = (x_pre - x_pre[..., -1:, :]) / units
    return np.concatenate([np.clip(relative, -6.0, 6.0), x_pre / spread], axis=-1, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained generator. Thread-safe: nothing in it changes.

    tensors: as the torch module names them. spread: float32 [54], of each channel around rest.
    scale: float32 [W, 54], how far a channel moves from the last frame to each frame of the window
    (the mouth: from the encoder's estimate). embeddings: matrix [inputs, D] and bias [D] of each
    condition; kept transposed, because BLAS wakes threads for a product with a transposed view.
    info: the weight file's header.
    """

    config: GeneratorConfig
    tensors: dict[str, Floats]
    embeddings: dict[str, tuple[Floats, Floats]]
    spread: Floats
    scale: Floats
    model: ops.SamplerModel
    info: dict[str, Any]

    def conditions(self, inputs: WindowInputs, drop: tuple[str, ...] = ()) -> Floats:
        """Condition tokens float32 [2 K + W + 4, D]; conditions named in `drop` are left empty."""
        rows = {
            "x_pre": previous_rows(inputs.x_pre, self.spread, self.scale),
            "a_pre": inputs.a_pre,
            "a": inputs.a,
            "gaze": inputs.gaze[None],
            "distance": inputs.distance[None],
            "emotion": inputs.emotion[None],
            "slow": inputs.slow[None],
        }
        previous, window = self.config.previous, len(inputs.a)
        position = self.tensors["position"]
        places = {
            "x_pre": position[:previous],
            "a_pre": position[:previous],
            "a": position[previous : previous + window],
        }
        tokens = []
        for name in CONDITIONS:
            embedding = "a" if name == "a_pre" else name
            if name in drop:
                token = np.tile(self.tensors[f"null.{name}"], (len(rows[name]), 1))
            else:
                matrix, bias = self.embeddings[embedding]
                token = rows[name] @ matrix + bias
            if name == "a":
                token[inputs.heard :] = self.tensors["null.a"]
            token = token + self.tensors[f"kind.{name}"]
            tokens.append(token + places[name] if name in places else token)
        return np.concatenate(tokens).astype(np.float32)

    def time_rows(self, times: Floats) -> Floats:
        """Embeddings of diffusion times, float32 [n, D]."""
        hidden = time_features(times, self.config.time_size) @ self.tensors["time.0.weight"].T
        hidden = hidden + self.tensors["time.0.bias"]
        hidden = hidden / (1.0 + np.exp(-hidden))
        rows = hidden @ self.tensors["time.2.weight"].T + self.tensors["time.2.bias"]
        return np.ascontiguousarray(rows, np.float32)

    def window_rows(self, window: int) -> Floats:
        """What marks the noised tokens of a window, float32 [window, D]."""
        start = self.config.previous
        rows = self.tensors["position"][start : start + window] + self.tensors["kind.x"]
        return np.ascontiguousarray(rows, np.float32)


def generator_from_tensors(tensors: dict[str, Floats], info: dict[str, Any]) -> Generator:
    """Arrange named tensors (the torch module's, with spread and scale) for use."""
    config = GeneratorConfig(**info["config"])
    plain = {
        name: np.ascontiguousarray(tensor, np.float32)
        for name, tensor in tensors.items()
        if name not in ("spread", "scale")
    }
    spread = np.asarray(tensors["spread"], np.float32)
    scale = np.asarray(tensors["scale"], np.float32)
    if spread.shape != (CHANNELS,) or scale.shape != (config.window, CHANNELS):
        raise ValueError(
            f"spread must be [{CHANNELS}] and scale [{config.window}, {CHANNELS}], "
            f"got {spread.shape} and {scale.shape}"
        )
    core = {
        name: tensor
        for name, tensor in plain.items()
        if name.startswith(("noisy.", "blocks.", "final_norm.", "head."))
    }
    embeddings = {
        name: (
            np.ascontiguousarray(plain[f"embed.{name}.weight"].T),
            plain[f"embed.{name}.bias"],
        )
        for name in CONDITIONS
        if name != "a_pre"
    }
    model = ops.SamplerModel(core, config.heads)
    return Generator(config, plain, embeddings, spread, scale, model, info)


def load_generator(path: Path) -> Generator:
    """Read a weight file; InputError in one sentence when it is not one or is damaged."""
    return read_weights(path, "generator", generator_from_tensors)


@cache
def packaged_generator() -> Generator:
    """The weights that ship with the package, loaded once."""
    place = resources.files("vasa_cam") / "motion" / "weights" / WEIGHTS_FILE
    with resources.as_file(place) as path:
        return load_generator(path)
