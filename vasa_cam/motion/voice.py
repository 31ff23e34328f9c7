"""A voice becomes motion: lips from the network, everything else from the idle model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.features import loud_level_db
from vasa_cam.motion.idle import IdleConfig, IdleFrames, IdleStream
from vasa_cam.motion.lips import (
    DEFAULT_STYLE,
    SAMPLES_A_FRAME,
    LipFrames,
    LipNetwork,
    LipStream,
    LipStyle,
    controls_to_coefficients,
    packaged_network,
    restyled,
    shape_lips,
)
from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION, TRANSLATION, Motion, neutral

Floats = npt.NDArray[np.float32]

FULL_LOOK_DEG: Final = 35.0
"""The eye angle of an eyeLook coefficient of 1."""

_TAIL = 960
_BLOCK_SAMPLES: Final = 480_000  # half a minute


@dataclass(frozen=True)
class VoiceConfig:
    """How a voice drives a face.

    seed: of all chance in head, eyes and brows. lips: gain of the mouth's movement. face: gain of
    brows and cheeks. head: gain of head motion. gaze_deg: where to look, degrees right and up in
    the picture; (0, 0) is into the camera. wander: how much the eyes stray, 0 = never. blinks: gain
    of the blink rate. style: the mouth's character. idle: further settings of the idle model.
    """

    seed: int = 0
    lips: float = 1.0
    face: float = 1.0
    head: float = 1.0
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    wander: float = 1.0
    blinks: float = 1.0
    style: LipStyle = DEFAULT_STYLE
    idle: IdleConfig = field(default_factory=IdleConfig)

    def __post_init__(self) -> None:
        gains = (self.lips, self.face, self.head, self.wander, self.blinks)
        if not all(np.isfinite(gain) and 0.0 <= gain <= 3.0 for gain in gains):
            raise InputError(
                f"Gains of lips, face, head, wander and blinks must be 0 to 3, got {gains}."
            )

    def scaled_idle(self) -> IdleConfig:
        """The idle settings with the gains applied."""
        return replace(
            self.idle,
            head=self.idle.head * self.head,
            brows=self.idle.brows * self.face,
            gaze_wander=self.idle.gaze_wander * self.wander,
            blinks=self.idle.blinks * self.blinks,
        )


DEFAULT_VOICE: Final = VoiceConfig()


def set_gaze(frames: Floats, gaze_deg: Floats) -> None:
    """Write the eyeLook coefficients so that the eyes look at gaze_deg whatever the head does.

    frames: float32 [T, 58], head rotation already set; changed in place. gaze_deg: float32 [T, 2],
    right and up in the picture. The picture's right is the subject's left.
    """
    rotation = np.rad2deg(frames[:, ROTATION])
    right = gaze_deg[:, 0] + rotation[:, 1]
    up = gaze_deg[:, 1] + rotation[:, 0]
    looks = {
        "eyeLookOutLeft": right, "eyeLookInRight": right,
        "eyeLookInLeft": -right, "eyeLookOutRight": -right,
        "eyeLookUpLeft": up, "eyeLookUpRight": up,
        "eyeLookDownLeft": -up, "eyeLookDownRight": -up,
    }  # fmt: skip
    for name, degrees in looks.items():
        frames[:, INDEX[name]] = np.clip(degrees / FULL_LOOK_DEG, 0.0, 1.0)


def compose(lips: Floats, idle: IdleFrames, config: VoiceConfig) -> Floats:
    """Motion frames float32 [T, 58] from lip coefficients float32 [T, 52] and idle frames."""
    frames = neutral(len(lips))
    frames[:, :COEFFICIENTS] = lips
    frames[:, ROTATION] = np.deg2rad(idle.rotation_deg)
    frames[:, TRANSLATION] = idle.translation
    set_gaze(frames, idle.gaze_deg + np.asarray(config.gaze_deg, np.float32))
    face = config.face
    raised, lowered = np.maximum(idle.brow, 0.0), np.maximum(-idle.brow, 0.0)
    opened = lips[:, INDEX["jawOpen"]]
    spread = lips[:, INDEX["mouthSmileLeft"]] + 0.5 * lips[:, INDEX["mouthStretchLeft"]]
    columns = {
        "browInnerUp": 0.75 * raised,
        "browOuterUpLeft": 0.9 * raised,
        "browOuterUpRight": 0.9 * raised,
        # A blink pulls the brow down a touch and bunches the cheek, as in the filmed faces.
        "browDownLeft": 0.6 * lowered + 0.05 * face * idle.blink,
        "browDownRight": 0.6 * lowered + 0.05 * face * idle.blink,
        "cheekSquintLeft": face * (0.10 * idle.blink + 0.25 * spread),
        "cheekSquintRight": face * (0.10 * idle.blink + 0.25 * spread),
        "eyeSquintLeft": 0.10 * face * spread,
        "eyeSquintRight": 0.10 * face * spread,
        "noseSneerLeft": 0.04 * face * opened,
        "noseSneerRight": 0.04 * face * opened,
    }
    for name, values in columns.items():
        frames[:, INDEX[name]] = values
    for side in ("Left", "Right"):
        # The look-down shape lowers the lid by itself; the blink only has the rest of the way to
        # go.
        rest = 1.0 - 0.85 * frames[:, INDEX[f"eyeLookDown{side}"]]
        frames[:, INDEX[f"eyeBlink{side}"]] = idle.blink * rest
        wide = np.maximum(0.0, 0.15 * raised - idle.blink)
        frames[:, INDEX[f"eyeWide{side}"]] = wide
    np.clip(frames[:, :COEFFICIENTS], 0.0, 1.0, out=frames[:, :COEFFICIENTS])
    return frames


class VoiceStream:
    """Voice to motion, block by block: frame k comes out when 640 k + 960 samples have gone in.

    push(samples float32 [n], 16 kHz mono) -> motion frames float32 [m, 58] at 25 Hz. The blocking
    changes nothing.
    """

    def __init__(
        self,
        config: VoiceConfig = DEFAULT_VOICE,
        network: LipNetwork | None = None,
        level_db: float | None = None,
    ) -> None:
        self._config = config
        self._network = packaged_network() if network is None else network
        self._lips = LipStream(self._network, level_db)
        self._idle = IdleStream(config.seed, config.scaled_idle())
        self._style = restyled(config.style, config.lips)

    def push(self, samples: Floats) -> Floats:
        """Take samples, return the motion frames that they complete."""
        return self._frames(self._lips.push(samples))

    def _frames(self, heard: LipFrames) -> Floats:
        shaped = shape_lips(heard.controls, heard.probabilities, self._network.opening, self._style)
        idle = self._idle.push(heard.loudness, heard.probabilities[:, 2])
        return compose(controls_to_coefficients(shaped), idle, self._config)


class VoiceMotion:
    """Voice to motion for whole recordings. config: settings, or just a seed.

    motion(audio float32 [n], 16 kHz mono) -> Motion at 25 Hz with ceil(n / 640) frames.
    Deterministic for a given config and audio. Raises InputError when the audio is not a finite
    mono signal.
    """

    def __init__(
        self, config: VoiceConfig | int = DEFAULT_VOICE, network: LipNetwork | None = None
    ) -> None:
        self.config = VoiceConfig(seed=config) if isinstance(config, int) else config
        self._network = network

    def motion(self, audio: Floats) -> Motion:
        """Motion of one recording; the voice's level is measured over the whole of it first."""
        samples = np.ascontiguousarray(audio, np.float32)
        if samples.ndim != 1 or len(samples) == 0:
            raise InputError(f"Expected mono audio with samples, got shape {samples.shape}.")
        if not np.isfinite(samples).all():
            raise InputError("The audio holds values that are not finite: export it again.")
        count = -(-len(samples) // SAMPLES_A_FRAME)
        tail = np.zeros(count * SAMPLES_A_FRAME + _TAIL - len(samples), np.float32)
        stream = VoiceStream(self.config, self._network, loud_level_db(samples))
        # In blocks, which changes nothing but the memory that a long recording takes.
        starts = range(0, len(samples), _BLOCK_SAMPLES)
        frames = [stream.push(samples[start : start + _BLOCK_SAMPLES]) for start in starts]
        return Motion(np.concatenate([*frames, stream.push(tail)])[:count])
