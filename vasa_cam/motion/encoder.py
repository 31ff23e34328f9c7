"""The voice encoder: sound to what the mouth does, causal, in NumPy, without torch.

Frame k (at 0.04 k seconds) is computed from features that end 60 ms later, so the look-ahead is 60
ms. A causal convolutional network gives 16 mouth controls, three probabilities (lips sealed: m b p;
lower lip under the teeth: f v; speech), what vowel it hears, and the hidden state that all of it is
read from; the generator is conditioned on that (`HeardFrames.features`).

Weights: safetensors, written by `python -m vasa_cam.training.train_encoder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.features import FeatureConfig, FeatureStream, loudness
from vasa_cam.motion.lips import (
    CONTROLS,
    FEATURES_A_FRAME,
    FEATURES_AHEAD,
    FEATURES_BEHIND,
    SAMPLES_A_FRAME,
    SOFTPLUS_SHARPNESS,
    MouthSound,
)
from vasa_cam.motion.slow_state import PROSODY_SIZE
from vasa_cam.motion.weight_file import read_weights

Floats = npt.NDArray[np.float32]

WEIGHTS_FILE: Final = "encoder.safetensors"


class Ears(Protocol):
    """Hears one voice from its start to its end; see EncoderStream."""

    def push(self, samples: Floats) -> HeardFrames:
        """Take samples float32 [n] at 16 kHz; return the frames that they complete."""


class Encoder(Protocol):
    """What voices are heard with: VoiceEncoder, or one with a public model beside it."""

    @property
    def opening(self) -> Floats:
        """Lip opening per control in inter-ocular distances, float32 [16]."""

    @property
    def audio_size(self) -> int:
        """Numbers a frame that the generator is conditioned on."""

    @property
    def public(self) -> dict[str, Any] | None:
        """Which public model is heard with, for weight files' headers; None without one."""

    def ears(self, level_db: float | None = None, recording: Floats | None = None) -> Ears:
        """Ears for one voice.

        level_db: as in EncoderStream. recording: float32 [n], all that will be pushed but silence
        after its end, where it is known beforehand.
        """


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
class VoiceEncoder:
    """The trained encoder. Kernels are stored as matrices [taps x inputs, outputs].

    opening: float32 [16], lip opening per control in inter-ocular distances, from the face model.
    info: the weight file's header (config, data manifest, date, metrics).
    """

    features: FeatureConfig
    front: tuple[tuple[Floats, Floats], tuple[Floats, Floats]]
    blocks: tuple[Block, ...]
    head_norm: tuple[Floats, Floats]
    head: tuple[Floats, Floats]
    vowels: tuple[Floats, Floats]
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

    @property
    def channels(self) -> int:
        """Numbers in a hidden state."""
        return len(self.head_norm[0])

    @property
    def audio_size(self) -> int:
        """Numbers a frame that the generator is conditioned on."""
        return features_size(self.channels)

    @property
    def public(self) -> dict[str, Any] | None:
        """No public model is needed."""
        return None

    def ears(self, level_db: float | None = None, recording: Floats | None = None) -> EncoderStream:
        """Ears for one voice. recording: not needed, nothing is heard ahead of time."""
        return EncoderStream(self, level_db)

    def outputs(self, hidden: Floats) -> tuple[MouthSound, Floats]:
        """Last block's rows [T, C] -> what the mouth does, and the hidden state [T, C]."""
        normal = _normalise(hidden, *self.head_norm)
        raw = normal @ self.head[0] + self.head[1]
        controls = raw[:, : len(CONTROLS)] * SOFTPLUS_SHARPNESS
        controls = np.logaddexp(0.0, controls).astype(np.float32) / SOFTPLUS_SHARPNESS
        events = _sigmoid(raw[:, len(CONTROLS) :])
        return MouthSound(controls, events, normal @ self.vowels[0] + self.vowels[1]), normal


def encoder_from_tensors(tensors: dict[str, Floats], info: dict[str, Any]) -> VoiceEncoder:
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
    return VoiceEncoder(
        features=FeatureConfig(**info["features"]),
        front=(
            (matrix("front.0"), vector("front.0.bias")),
            (matrix("front.1"), vector("front.1.bias")),
        ),
        blocks=blocks,
        head_norm=(vector("head_norm.weight"), vector("head_norm.bias")),
        head=(matrix("head"), vector("head.bias")),
        vowels=(matrix("vowels"), vector("vowels.bias")),
        opening=vector("opening"),
        info=info,
    )


def load_encoder(path: Path) -> VoiceEncoder:
    """Read a weight file; InputError in one sentence when it is not one or is damaged."""
    return read_weights(path, "encoder", encoder_from_tensors)


@cache
def packaged_encoder() -> VoiceEncoder:
    """The weights that ship with the package, loaded once."""
    place = resources.files("vasa_cam") / "motion" / "weights" / WEIGHTS_FILE
    with resources.as_file(place) as path:
        return load_encoder(path)


def features_size(channels: int) -> int:
    """Numbers a frame of `HeardFrames.features` where a hidden state has `channels`."""
    return channels + len(CONTROLS) + 3 + PROSODY_SIZE


@dataclass(frozen=True)
class HeardFrames:
    """What the encoder makes of a sound, frame by frame, all float32.

    mouth: what the mouth does. hidden: [T, C]. loudness: [T], 0..1 against the running level, mean
    over the frame's 40 ms.
    """

    mouth: MouthSound
    hidden: Floats
    loudness: Floats

    def __len__(self) -> int:
        return len(self.loudness)

    @property
    def speech(self) -> Floats:
        """Probability that somebody speaks, float32 [T]."""
        return self.mouth.events[:, 2]

    def features(self, prosody: Floats) -> Floats:
        """What the generator is conditioned on, float32 [T, C + 25].

        prosody: float32 [T, 6], of a ProsodyFollower that has heard the same frames.
        """
        parts = [self.hidden, 3.0 * self.mouth.controls, self.mouth.events, prosody]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def first(self, count: int) -> HeardFrames:
        """The first `count` frames."""
        mouth = MouthSound(
            self.mouth.controls[:count], self.mouth.events[:count], self.mouth.vowels[:count]
        )
        return HeardFrames(mouth, self.hidden[:count], self.loudness[:count])


class EncoderStream:
    """Feeds audio in blocks of any size, gives frames as soon as they are complete.

    Frame k comes out when 640 k + 960 samples have gone in. level_db: where the loudness follower
    starts (see FeatureStream); give a recording's own level when it is known.
    """

    def __init__(self, encoder: VoiceEncoder, level_db: float | None = None) -> None:
        self._encoder = encoder
        self._features = FeatureStream(encoder.features, level_db)
        self._rows: Floats = np.full((FEATURES_BEHIND, encoder.features.bands), -1.0, np.float32)
        self._past: list[Floats] = [
            np.zeros((2 * block.dilation, encoder.channels), np.float32) for block in encoder.blocks
        ]

    def push(self, samples: Floats) -> HeardFrames:
        """Take samples float32 [n] at 16 kHz; return the frames that they complete."""
        self._rows = np.concatenate([self._rows, self._features.push(samples)])
        needed = FEATURES_BEHIND + FEATURES_AHEAD + 1
        count = max(0, (len(self._rows) - needed) // FEATURES_A_FRAME + 1)
        if count == 0:
            nothing = np.zeros((0, self._encoder.channels), np.float32)
            return HeardFrames(*self._encoder.outputs(nothing), nothing[:, 0])
        hidden = self._encoder.open_front(self._rows, count)
        current = self._rows[FEATURES_BEHIND:][: FEATURES_A_FRAME * count]
        loud = loudness(current, self._encoder.features).reshape(count, -1).mean(axis=1)
        self._rows = self._rows[FEATURES_A_FRAME * count :]
        for index, block in enumerate(self._encoder.blocks):
            hidden = self._run_block(index, block, hidden)
        mouth, normal = self._encoder.outputs(hidden)
        return HeardFrames(mouth, normal, loud)

    def _run_block(self, index: int, block: Block, hidden: Floats) -> Floats:
        normal = _normalise(hidden, block.norm_weight, block.norm_bias)
        rows = np.concatenate([self._past[index], normal])
        self._past[index] = rows[len(hidden) :]
        taps = [rows[tap * block.dilation :][: len(hidden)] for tap in range(3)]
        inner = _silu(np.concatenate(taps, axis=1) @ block.kernel + block.bias)
        return hidden + inner @ block.mix + block.mix_bias


def heard_frames(
    audio: Floats, encoder: VoiceEncoder | None = None, level_db: float | None = None
) -> HeardFrames:
    """A whole recording: ceil(n / 640) frames; silence is assumed after its end."""
    count = -(-len(audio) // SAMPLES_A_FRAME)
    tail = np.zeros(count * SAMPLES_A_FRAME + 960 - len(audio), np.float32)
    stream = EncoderStream(encoder or packaged_encoder(), level_db)
    frames = stream.push(np.concatenate([np.asarray(audio, np.float32), tail]))
    return frames.first(count)
