"""A voice becomes motion: lips from the network, everything else from the idle model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.controls import (
    DEFAULT_CONTROLS,
    ControlFrames,
    ControlGlide,
    Controls,
)
from vasa_cam.motion.features import loud_level_db
from vasa_cam.motion.gaze import set_gaze
from vasa_cam.motion.idle import IdleConfig, IdleFrames, IdleStream, joined
from vasa_cam.motion.lips import (
    DEFAULT_STYLE,
    LOOKAHEAD_S,
    SAMPLES_A_FRAME,
    SEALING,
    LipFrames,
    LipNetwork,
    LipStream,
    LipStyle,
    controls_to_coefficients,
    packaged_network,
    shape_lips,
)
from vasa_cam.motion.space import (
    COEFFICIENTS,
    INDEX,
    MOTION_RATE_HZ,
    ROTATION,
    TRANSLATION,
    Motion,
    neutral,
)
from vasa_cam.motion.style import part_lips
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]

_TAIL = 960
_BLOCK_SAMPLES: Final = 480_000  # half a minute


@dataclass(frozen=True)
class VoiceConfig:
    """How a voice drives a face.

    seed: of all chance in head, eyes and brows. controls: what can be changed later, too. style:
    the mouth's character. idle: further settings of the idle model.
    """

    seed: int = 0
    controls: Controls = DEFAULT_CONTROLS
    style: LipStyle = DEFAULT_STYLE
    idle: IdleConfig = field(default_factory=IdleConfig)


DEFAULT_VOICE: Final = VoiceConfig()


def compose(lips: Floats, idle: IdleFrames, controls: ControlFrames) -> Floats:
    """Motion frames float32 [T, 58] from lip coefficients float32 [T, 52] and idle frames."""
    frames = neutral(len(lips))
    frames[:, :COEFFICIENTS] = lips
    frames[:, ROTATION] = np.deg2rad(idle.rotation_deg)
    frames[:, TRANSLATION] = idle.translation
    controls.place_head(frames)
    set_gaze(frames, idle.gaze_deg + controls.gaze_deg)
    raised, lowered = np.maximum(idle.brow, 0.0), np.maximum(-idle.brow, 0.0)
    opened = lips[:, INDEX["jawOpen"]]
    spread = lips[:, INDEX["mouthSmileLeft"]] + 0.5 * lips[:, INDEX["mouthStretchLeft"]]
    columns = {
        "browInnerUp": 0.75 * raised,
        "browOuterUpLeft": 0.9 * raised,
        "browOuterUpRight": 0.9 * raised,
        # A blink pulls the brow down a touch and bunches the cheek, as in the filmed faces.
        "browDownLeft": 0.6 * lowered + 0.05 * idle.blink,
        "browDownRight": 0.6 * lowered + 0.05 * idle.blink,
        "cheekSquintLeft": 0.10 * idle.blink + 0.25 * spread,
        "cheekSquintRight": 0.10 * idle.blink + 0.25 * spread,
        "eyeSquintLeft": 0.10 * spread,
        "eyeSquintRight": 0.10 * spread,
        "noseSneerLeft": 0.04 * opened,
        "noseSneerRight": 0.04 * opened,
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
    controls.shape_face(frames)
    return frames


class VoiceStream:
    """Voice to motion, block by block: frame k comes out when 640 k + 960 samples have gone in.

    push(samples float32 [n], 16 kHz mono) -> motion frames float32 [m, 58] at 25 Hz. The blocking
    changes nothing. level_db: as for LipStream.
    """

    latency_ms: Final = 1000.0 * (LOOKAHEAD_S + 1.0 / MOTION_RATE_HZ)
    """From a sound's arrival to the frame that shows it, at most: look-ahead and one frame."""

    def __init__(
        self,
        config: VoiceConfig = DEFAULT_VOICE,
        network: LipNetwork | None = None,
        level_db: float | None = None,
    ) -> None:
        self._config = config
        self._network = packaged_network() if network is None else network
        self._lips = LipStream(self._network, level_db)
        self._idle = IdleStream(config.seed, config.idle)
        self._glide = ControlGlide(config.controls)
        self._steered: tuple[float, float] | None = None

    def set_controls(self, controls: Controls) -> None:
        """Other controls from the next frame on; the face glides there in a quarter second."""
        self._glide.set(controls)

    def push(self, samples: Floats) -> Floats:
        """Take samples, return the motion frames that they complete."""
        return self._frames(self._lips.push(samples))

    def _frames(self, heard: LipFrames) -> Floats:
        style = self._config.style
        shaped = shape_lips(heard.controls, heard.probabilities, self._network.opening, style)
        lips = controls_to_coefficients(shaped)
        if style.rest > 0.0:
            sealed = heard.probabilities[:, :2].max(axis=1)
            part_lips(lips, style.rest, smoothstep(*SEALING, sealed))
        controls = self._glide.advance(len(lips))
        return compose(lips, self._idle_frames(heard, controls), controls)

    def _idle_frames(self, heard: LipFrames, controls: ControlFrames) -> IdleFrames:
        """Idle frames, pushed in runs of constant gains."""
        gains = np.stack([controls.blinks, controls.wander], axis=1)
        changes = 1 + np.flatnonzero((np.diff(gains, axis=0) != 0.0).any(axis=1))
        parts = []
        for run in np.split(np.arange(len(gains)), changes):
            if len(run):
                self._steer(float(gains[run[0], 0]), float(gains[run[0], 1]))
            parts.append(self._idle.push(heard.loudness[run], heard.probabilities[run, 2]))
        return joined(parts)

    def _steer(self, blinks: float, wander: float) -> None:
        if (blinks, wander) != self._steered:
            idle = self._config.idle
            self._idle.steer(idle.blinks * blinks, idle.gaze_wander * wander)
            self._steered = (blinks, wander)


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
