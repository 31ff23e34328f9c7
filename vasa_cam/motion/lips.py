"""Audio to lips: a small causal convolutional network in NumPy, without torch.

Frame k (at 0.04 k seconds) is computed from features that end 60 ms later, so the look-ahead is 60
ms. The network gives 16 controls (a paired coefficient gets one value on both sides) and three
probabilities: lips sealed (m b p), lower lip under the teeth (f v), speech. The probabilities
sharpen what a regression blurs: `shape_lips` closes the lips by mouthClose exactly as far as they
stand open.

Weights: safetensors, written by `python -m vasa_cam.training.train_lips`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from vasa_cam.errors import InputError
from vasa_cam.motion.features import FeatureConfig, FeatureStream, loudness
from vasa_cam.motion.space import COEFFICIENTS, INDEX
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]

CONTROLS: Final = (
    "jawOpen", "jawForward", "mouthClose", "mouthFunnel", "mouthPucker", "mouthSmile",
    "mouthFrown", "mouthDimple", "mouthStretch", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthPress", "mouthLowerDown", "mouthUpperUp",
)  # fmt: skip
"""What the network controls, in the order of its outputs."""

CONTROL: Final = {name: index for index, name in enumerate(CONTROLS)}

LOOKAHEAD_S: Final = 0.06
"""A frame's features end this long after the frame's own time."""

SAMPLES_A_FRAME: Final = 640
FEATURES_A_FRAME: Final = 4
FEATURES_BEHIND: Final = 5
FEATURES_AHEAD: Final = 5
SOFTPLUS_SHARPNESS: Final = 8.0
WEIGHTS_FORMAT: Final = "vasa_cam.lips"
WEIGHTS_VERSION: Final = "1"
WEIGHTS_FILE: Final = "lips.safetensors"


def _control_matrix() -> Floats:
    matrix = np.zeros((len(CONTROLS), COEFFICIENTS), np.float32)
    for row, name in enumerate(CONTROLS):
        for target in (name, f"{name}Left", f"{name}Right"):
            if target in INDEX:
                matrix[row, INDEX[target]] = 1.0
    return matrix


_CONTROL_MATRIX: Final = _control_matrix()


def controls_to_coefficients(controls: Floats) -> Floats:
    """Controls float32 [T, 16] -> ARKit coefficients float32 [T, 52]."""
    return controls @ _CONTROL_MATRIX


@dataclass(frozen=True)
class LipStyle:
    """How the trained speaker's lips are turned into the portrait's.

    range: gain of everything that opens the mouth. rounding: gain of pucker and funnel. smile:
    added to mouthSmile, 0..1. seal, tuck: how strongly the /m b p/ and /f v/ probabilities act,
    0..1. rest: how far the lips stay apart unless something seals them, inter-ocular distances.
    """

    range: float = 1.0
    rounding: float = 1.5
    smile: float = 0.04
    seal: float = 1.0
    tuck: float = 1.0
    rest: float = 0.0


DEFAULT_STYLE: Final = LipStyle()

SEALING: Final = (0.25, 0.62)
"""Probabilities of sealed lips at which they begin to close, and are closed."""

_OPENERS: Final = ("jawOpen", "mouthClose", "mouthLowerDown", "mouthUpperUp", "mouthStretch")
_ROUNDERS: Final = ("mouthPucker", "mouthFunnel")


def close_lips(controls: Floats, amount: Floats, opening: Floats) -> Floats:
    """Close the lips by `amount` (0..1, float32 [T]) over an open jaw, as ARKit's mouthClose does.

    controls: float32 [T, 16]. opening: float32 [16], lip opening per control (linear shapes).
    """
    closed = controls.copy()
    keep = 1.0 - amount
    for name in ("mouthUpperUp", "mouthLowerDown", "mouthFunnel"):
        closed[:, CONTROL[name]] *= keep
    gap = np.maximum(0.0, closed @ opening)
    closed[:, CONTROL["mouthClose"]] += amount * gap / -opening[CONTROL["mouthClose"]]
    return np.asarray(np.clip(closed, 0.0, 1.0), np.float32)


def shape_lips(
    controls: Floats, probabilities: Floats, opening: Floats, style: LipStyle = DEFAULT_STYLE
) -> Floats:
    """Style and sharpen raw network output.

    controls: float32 [T, 16]. probabilities: float32 [T, 3], seal, tuck, speech. opening: float32
    [16]. Returns float32 [T, 16] in 0..1.
    """
    shaped = controls.copy()
    shaped[:, [CONTROL[name] for name in _OPENERS]] *= style.range
    shaped[:, [CONTROL[name] for name in _ROUNDERS]] *= style.rounding
    _open_round(shaped, opening)
    shaped[:, CONTROL["mouthSmile"]] += style.smile
    tuck = style.tuck * smoothstep(0.3, 0.8, probabilities[:, 1])
    shaped = _tuck_lip(shaped, tuck, opening)
    seal = style.seal * smoothstep(*SEALING, probabilities[:, 0])
    shaped = close_lips(shaped, seal, opening)
    shaped[:, CONTROL["mouthPress"]] += 0.15 * seal
    shaped[:, CONTROL["mouthRollLower"]] += 0.12 * seal
    shaped[:, CONTROL["mouthRollUpper"]] += 0.08 * seal
    return np.clip(shaped, 0.0, 1.0)


def _open_round(controls: Floats, opening: Floats) -> None:
    """Puckered lips that stand open turn outwards (/o/): some funnel, in place."""
    apart = smoothstep(0.02, 0.12, controls @ opening)
    pucker, funnel = CONTROL["mouthPucker"], CONTROL["mouthFunnel"]
    wanted = np.maximum(0.0, controls[:, pucker] - 0.15) * apart
    controls[:, funnel] = np.maximum(controls[:, funnel], 0.7 * wanted)


def _tuck_lip(controls: Floats, tuck: Floats, opening: Floats) -> Floats:
    """The lower lip rises under the upper teeth; the upper lip stays up and shows them (/f v/)."""
    tucked = close_lips(controls, 0.7 * tuck, opening)
    upper = CONTROL["mouthUpperUp"]
    tucked[:, upper] = np.maximum(controls[:, upper], 0.18 * tuck)
    roll = CONTROL["mouthRollLower"]
    tucked[:, roll] = np.maximum(tucked[:, roll], 0.65 * tuck)
    return tucked


def _silu(x: Floats) -> Floats:
    return x * _sigmoid(x)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.maximum(x, -80.0))), np.float32)


def _normalise(x: Floats, weight: Floats, bias: Floats) -> Floats:
    centred = x - x.mean(axis=1, keepdims=True)
    scale = 1.0 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5)
    return np.asarray(centred * scale * weight + bias, np.float32)


@dataclass(frozen=True)
class Block:
    """One residual block: x + mix(silu(dilated causal convolution(norm(x)))).

    norm_*: [C]. kernel: [3 C, C], oldest tap first. mix: [C, C].
    """

    norm_weight: Floats
    norm_bias: Floats
    kernel: Floats
    bias: Floats
    mix: Floats
    mix_bias: Floats
    dilation: int


@dataclass(frozen=True)
class LipNetwork:
    """The trained network. Kernels are stored as matrices [taps x inputs, outputs].

    opening: float32 [16], lip opening per control in inter-ocular distances, from the face model.
    info: the weight file's header (config, data manifest, date, metrics).
    """

    features: FeatureConfig
    front: tuple[tuple[Floats, Floats], tuple[Floats, Floats]]
    blocks: tuple[Block, ...]
    head_norm: tuple[Floats, Floats]
    head: tuple[Floats, Floats]
    opening: Floats
    info: dict[str, Any]

    def open_front(self, rows: Floats, count: int) -> Floats:
        """Features of `count` frames, float32 [4 count + 7, bands] -> float32 [count, C]."""
        (first, first_bias), (second, second_bias) = self.front
        halves = 2 * count + 2
        columns = [rows[tap : tap + 2 * halves - 1 : 2] for tap in range(5)]
        hidden = _silu(np.concatenate(columns, axis=1) @ first + first_bias)
        columns = [hidden[tap : tap + 2 * count - 1 : 2] for tap in range(4)]
        return _silu(np.concatenate(columns, axis=1) @ second + second_bias)

    def outputs(self, hidden: Floats) -> tuple[Floats, Floats]:
        """Final hidden rows [T, C] -> controls float32 [T, 16] and probabilities float32 [T, 3]."""
        weight, bias = self.head
        raw = _normalise(hidden, *self.head_norm) @ weight + bias
        controls = raw[:, : len(CONTROLS)] * SOFTPLUS_SHARPNESS
        controls = np.logaddexp(0.0, controls).astype(np.float32) / SOFTPLUS_SHARPNESS
        return controls, _sigmoid(raw[:, len(CONTROLS) :])


def network_from_tensors(tensors: dict[str, Floats], info: dict[str, Any]) -> LipNetwork:
    """Arrange named tensors (the layout of the training module) for inference."""

    def matrix(name: str) -> Floats:
        weight = tensors[f"{name}.weight"].astype(np.float32)
        return np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, weight.shape[0]))

    def vector(name: str) -> Floats:
        return tensors[name].astype(np.float32)

    blocks = tuple(
        Block(
            vector(f"blocks.{i}.norm.weight"), vector(f"blocks.{i}.norm.bias"),
            matrix(f"blocks.{i}.conv"), vector(f"blocks.{i}.conv.bias"),
            matrix(f"blocks.{i}.mix"), vector(f"blocks.{i}.mix.bias"), int(dilation),
        )
        for i, dilation in enumerate(info["dilations"])
    )  # fmt: skip
    return LipNetwork(
        features=FeatureConfig(**info["features"]),
        front=(
            (matrix("front.0"), vector("front.0.bias")),
            (matrix("front.1"), vector("front.1.bias")),
        ),
        blocks=blocks,
        head_norm=(vector("head_norm.weight"), vector("head_norm.bias")),
        head=(matrix("head"), vector("head.bias")),
        opening=vector("opening"),
        info=info,
    )


def load_lip_network(path: Path) -> LipNetwork:
    """Read a weight file; InputError in one sentence when it is not one or is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if (header.get("format"), header.get("version")) != (WEIGHTS_FORMAT, WEIGHTS_VERSION):
                raise InputError(
                    f"{path} is not a version {WEIGHTS_VERSION} lip weight file: "
                    "use one made by vasa_cam.training.train_lips."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return network_from_tensors(tensors, json.loads(header["info"]))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} could not be read as lip weights ({error}): make it again or reinstall."
        ) from error


@cache
def packaged_network() -> LipNetwork:
    """The weights that ship with the package, loaded once."""
    place = resources.files("vasa_cam") / "motion" / "weights" / WEIGHTS_FILE
    with resources.as_file(place) as path:
        return load_lip_network(path)


@dataclass(frozen=True)
class LipFrames:
    """Network output and what else the motion needs to know about the sound.

    controls: float32 [T, 16], raw. probabilities: float32 [T, 3]: sealed, tucked, speech. loudness:
    float32 [T], 0..1 against the running level, mean over the frame's 40 ms.
    """

    controls: Floats
    probabilities: Floats
    loudness: Floats


class LipStream:
    """Feeds audio in blocks of any size, gives lip frames as soon as they are complete.

    Frame k comes out when 640 k + 960 samples have gone in. level_db: where the loudness follower
    starts (see FeatureStream); give a recording's own level when it is known.
    """

    def __init__(self, network: LipNetwork, level_db: float | None = None) -> None:
        self._network = network
        self._features = FeatureStream(network.features, level_db)
        channels = len(network.head_norm[0])
        self._rows: Floats = np.full((FEATURES_BEHIND, network.features.bands), -1.0, np.float32)
        self._past: list[Floats] = [
            np.zeros((2 * block.dilation, channels), np.float32) for block in network.blocks
        ]

    def push(self, samples: Floats) -> LipFrames:
        """Take samples float32 [n] at 16 kHz; return the frames that they complete."""
        self._rows = np.concatenate([self._rows, self._features.push(samples)])
        needed = FEATURES_BEHIND + FEATURES_AHEAD + 1
        count = max(0, (len(self._rows) - needed) // FEATURES_A_FRAME + 1)
        if count == 0:
            empty = np.zeros((0, len(CONTROLS) + 3), np.float32)
            return LipFrames(empty[:, : len(CONTROLS)], empty[:, len(CONTROLS) :], empty[:, 0])
        hidden = self._network.open_front(self._rows, count)
        current = self._rows[FEATURES_BEHIND:][: FEATURES_A_FRAME * count]
        loud = loudness(current, self._network.features).reshape(count, -1).mean(axis=1)
        self._rows = self._rows[FEATURES_A_FRAME * count :]
        for index, block in enumerate(self._network.blocks):
            hidden = self._run_block(index, block, hidden)
        return LipFrames(*self._network.outputs(hidden), loud)

    def _run_block(self, index: int, block: Block, hidden: Floats) -> Floats:
        normal = _normalise(hidden, block.norm_weight, block.norm_bias)
        rows = np.concatenate([self._past[index], normal])
        self._past[index] = rows[len(hidden) :]
        taps = [rows[tap * block.dilation :][: len(hidden)] for tap in range(3)]
        inner = _silu(np.concatenate(taps, axis=1) @ block.kernel + block.bias)
        return hidden + inner @ block.mix + block.mix_bias


def lip_frames(
    audio: Floats, network: LipNetwork | None = None, level_db: float | None = None
) -> LipFrames:
    """Lips of a whole recording: ceil(n / 640) frames; silence is assumed after its end."""
    count = -(-len(audio) // SAMPLES_A_FRAME)
    tail = np.zeros(count * SAMPLES_A_FRAME + 960 - len(audio), np.float32)
    stream = LipStream(network or packaged_network(), level_db)
    frames = stream.push(np.concatenate([np.asarray(audio, np.float32), tail]))
    return LipFrames(frames.controls[:count], frames.probabilities[:count], frames.loudness[:count])
