"""A voice becomes motion: encoder, generator and controls in one stream.

Audio blocks of any size go in; windows of motion come out, each drawn from what was heard and from
the frames before it. Cutting the audio differently changes nothing. The state is a handful of
arrays: what the encoder heard, the last frames, the slow state and a random generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.channels import (
    BLINK,
    CHANNELS,
    LOOK_CHANNELS,
    MOUTH,
    ROTATION_CHANNELS,
    TRANSLATION_CHANNELS,
    from_channels,
    to_channels,
)
from vasa_cam.motion.controls import (
    DEFAULT_CONTROLS,
    ControlFrames,
    ControlGlide,
    Controls,
    bend_rotation,
    distance_shift,
    hold_opening,
    lip_opening,
)
from vasa_cam.motion.encoder import Encoder, HeardFrames, packaged_encoder
from vasa_cam.motion.features import loud_level_db
from vasa_cam.motion.generator import (
    DISTANCE_UNIT,
    GAZE_UNIT_DEG,
    Generator,
    WindowInputs,
    packaged_generator,
)
from vasa_cam.motion.lips import (
    DEFAULT_STYLE,
    LOOKAHEAD_S,
    SAMPLES_A_FRAME,
    SEALING,
    SPEAKING,
    LipStyle,
    controls_to_coefficients,
    shape_lips,
)
from vasa_cam.motion.public_encoder import check_fits
from vasa_cam.motion.sampler import LIVE, SamplerConfig, WindowSampler
from vasa_cam.motion.slow_state import ProsodyFollower, SlowState
from vasa_cam.motion.space import COEFFICIENTS, INDEX, MOTION_RATE_HZ, Motion, neutral
from vasa_cam.motion.style import part_lips
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]

_SEALED_IOD: Final = 0.012
_LIDS_IDLE, _LIDS_SHUT = 0.04, 0.64
_BLOCK_SAMPLES: Final = 480_000  # half a minute


@dataclass(frozen=True)
class VoiceConfig:
    """How a voice drives a face.

    seed: of all chance in head, eyes and brows. controls: what can be changed later, too. style:
    the mouth's character. sampler: how motion is drawn.
    """

    seed: int = 0
    controls: Controls = DEFAULT_CONTROLS
    style: LipStyle = DEFAULT_STYLE
    sampler: SamplerConfig = LIVE


DEFAULT_VOICE: Final = VoiceConfig()


@dataclass
class _Past:
    """What a stream remembers of motion and sound."""

    motion: Floats  # [K, 54]
    voice: Floats  # [K, A]
    slow: SlowState
    rng: np.random.Generator


class VoiceStream:
    """Voice to motion, block by block: push(samples float32 [n], 16 kHz mono) -> float32 [m, 58].

    Frame k is complete when 640 k + 960 samples have gone in; where the sampler waits for whole
    windows, when the last frame of its window is. level_db: where the loudness follower starts (see
    FeatureStream); give a recording's own level when it is known. recording: float32 [n], all that
    will be pushed, where it is known; a public encoder must have it. Raises InputError when encoder
    and generator do not belong together.
    """

    def __init__(
        self,
        config: VoiceConfig = DEFAULT_VOICE,
        encoder: Encoder | None = None,
        generator: Generator | None = None,
        level_db: float | None = None,
        recording: Floats | None = None,
    ) -> None:
        self.config = config
        self._encoder = encoder or packaged_encoder()
        self._generator = generator or packaged_generator()
        check_fits(self._encoder, self._generator)
        self._window = WindowSampler(self._generator, config.sampler)
        self._level_db, self._recording = level_db, recording
        self.reset()

    @property
    def latency_ms(self) -> float:
        """From a sound's arrival to the frame that shows it, at most: look-ahead and frames."""
        return 1000.0 * (LOOKAHEAD_S + self._window.needs_frames / MOTION_RATE_HZ)

    def reset(self) -> None:
        """Forget everything; the next frame starts from the photo's pose and the first seed."""
        sizes = self._generator.config
        rng = np.random.default_rng([self.config.seed, 0x5EED])
        self._past = _Past(
            motion=np.zeros((sizes.previous, CHANNELS), np.float32),
            voice=np.zeros((sizes.previous, sizes.audio_size), np.float32),
            slow=SlowState(float(rng.uniform(0.0, 2.0 * np.pi))),
            rng=rng,
        )
        self._ears = self._encoder.ears(self._level_db, self._recording)
        self._prosody = ProsodyFollower()
        self._glide = ControlGlide(self.config.controls)
        self._drawn: Floats = np.zeros((0, CHANNELS), np.float32)
        # Sound that was heard and not yet turned into motion.
        self._voice: Floats = np.zeros((0, sizes.audio_size), np.float32)
        self._mouth: Floats = np.zeros((0, COEFFICIENTS), np.float32)
        self._said: Floats = np.zeros(0, np.float32)

    def set_controls(self, controls: Controls) -> None:
        """Other controls from the next frame on; the face glides there in a quarter second."""
        self._glide.set(controls)

    def push(self, samples: Floats) -> Floats:
        """Take samples, return the motion frames that they complete."""
        self._hear(self._ears.push(samples))
        count = self._window.needs_frames
        parts = []
        while len(self._voice) >= count:
            heard = (rows[:count] for rows in (self._voice, self._mouth, self._said))
            parts.append(self._next(*heard))
            self._voice, self._mouth = self._voice[count:], self._mouth[count:]
            self._said = self._said[count:]
        return np.concatenate(parts) if parts else neutral(0)

    def _hear(self, heard: HeardFrames) -> None:
        prosody = self._prosody.push(heard.loudness, heard.speech)
        style = self.config.style
        mouth = controls_to_coefficients(shape_lips(heard.mouth, self._encoder.opening, style))
        if style.rest > 0.0:
            sealed = heard.mouth.events[:, :2].max(axis=1)
            part_lips(mouth, style.rest, smoothstep(*SEALING, sealed))
        self._voice = np.concatenate([self._voice, heard.features(prosody)])
        self._mouth = np.concatenate([self._mouth, mouth])
        self._said = np.concatenate([self._said, smoothstep(*SPEAKING, heard.speech)])

    def _next(self, voice: Floats, mouth: Floats, said: Floats) -> Floats:
        """The next frames, float32 [n, 58], from what was heard in them: one, or a window.

        voice: float32 [n, A]; mouth: [n, 52], the encoder's; said: [n], 0 in silence to 1.
        """
        controls = self._glide.advance(len(voice))
        resting = neutral(len(voice))
        resting[:, :COEFFICIENTS] = mouth
        start = to_channels(resting)
        if len(self._drawn) == 0:
            self._drawn = self._draw_window(voice, start, float(said.mean()), controls)
        channels, self._drawn = self._drawn[: len(voice)], self._drawn[len(voice) :]
        if self.config.sampler.ahead:
            inputs = self._inputs(voice, controls, window=1)
            channels[0, MOUTH] = self._window.draw_mouth(inputs, start)
        # Of a voice that nobody filmed the encoder knows as much as the generator; both are heard.
        share = (self.config.sampler.mouth_share * said)[:, None]
        channels[:, MOUTH] = start[:, MOUTH] + share * (channels[:, MOUTH] - start[:, MOUTH])
        past = self._past
        past.motion = np.concatenate([past.motion, channels])[len(channels) :]
        past.voice = np.concatenate([past.voice, voice])[len(voice) :]
        for row in channels:
            past.slow.advance(row)
        return finished(channels, mouth, controls)

    def _draw_window(
        self, voice: Floats, start: Floats, said: float, controls: ControlFrames
    ) -> Floats:
        """Channels float32 [hop, 54] of the frames from here on; later ones are not heard yet."""
        hop = self.config.sampler.hop
        missing = hop - len(voice)
        inputs = self._inputs(voice, controls, window=hop)
        start = np.concatenate([start, np.repeat(start[-1:], missing, axis=0)])
        return self._window.draw(inputs, start, said, self._past.rng)

    def _inputs(self, voice: Floats, controls: ControlFrames, window: int) -> WindowInputs:
        past = self._past
        unheard = np.zeros((window - len(voice), voice.shape[1]), np.float32)
        return WindowInputs(
            x_pre=past.motion,
            a_pre=past.voice,
            a=np.concatenate([voice, unheard]),
            gaze=controls.gaze_deg[-1] / np.float32(GAZE_UNIT_DEG),
            distance=(controls.distance[-1:] - 1.0) / np.float32(DISTANCE_UNIT),
            emotion=controls.offset[-1],
            slow=past.slow.row(_blinks_told(float(controls.blinks[-1]))),
            heard=len(voice),
        )


def _blinks_told(gain: float) -> float:
    """What the generator is told so that it blinks `gain` times as often; it follows by halves."""
    return max(0.0, 1.0 + 2.0 * (gain - 1.0)) if gain < 1.0 else gain


def finished(channels: Floats, mouth: Floats, controls: ControlFrames) -> Floats:
    """Drawn channels with what the user asked for, float32 [T, 58].

    channels: float32 [T, 54], around gaze and distance; mouth: float32 [T, 52], the encoder's
    estimate. Lips that the encoder closed stay closed. The eyes take back the head's turn.
    """
    channels = channels.copy()
    channels[:, ROTATION_CHANNELS] = bend_rotation(channels[:, ROTATION_CHANNELS], controls.head)
    channels[:, TRANSLATION_CHANNELS] *= controls.head[:, None]
    channels[:, TRANSLATION_CHANNELS.stop - 1] += distance_shift(controls.distance)
    channels[:, LOOK_CHANNELS] *= controls.wander[:, None]
    # Both lids close together, and all the way: a mean of blinks that differ in time is shallow.
    closing = (channels[:, BLINK].mean(axis=1) - _LIDS_IDLE) / (_LIDS_SHUT - _LIDS_IDLE)
    channels[:, BLINK] = np.clip(closing, 0.0, 1.0)[:, None]
    before = from_channels(channels)
    target = np.tile(controls.gaze_deg / np.float32(GAZE_UNIT_DEG), 2)
    channels[:, LOOK_CHANNELS] += target
    frames = from_channels(channels)
    for side in ("Left", "Right"):
        # A look down lowers the lid by itself; a blink only has the rest of the way to go.
        down, lid = INDEX[f"eyeLookDown{side}"], INDEX[f"eyeBlink{side}"]
        left = (1.0 - 0.85 * frames[:, down]) / (1.0 - 0.85 * before[:, down])
        frames[:, lid] = np.clip(frames[:, lid] * left, 0.0, 1.0) * (controls.blinks > 0.0)
    gap = mouth @ lip_opening()
    sealed = gap < _SEALED_IOD
    if sealed.any():
        closed = frames[sealed, :COEFFICIENTS]
        hold_opening(closed, np.minimum(gap[sealed], closed @ lip_opening()))
        frames[sealed, :COEFFICIENTS] = closed
    controls.shape_face(frames)
    return frames


class VoiceMotion:
    """Voice to motion for whole recordings. config: settings, or just a seed.

    motion(audio float32 [n], 16 kHz mono) -> Motion at 25 Hz with ceil(n / 640) frames.
    Deterministic for a given config and audio. Raises InputError when the audio is not a finite
    mono signal.
    """

    def __init__(
        self,
        config: VoiceConfig | int = DEFAULT_VOICE,
        encoder: Encoder | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.config = VoiceConfig(seed=config) if isinstance(config, int) else config
        self._encoder, self._generator = encoder, generator

    def motion(self, audio: Floats) -> Motion:
        """Motion of one recording; the voice's level is measured over the whole of it first."""
        samples = np.ascontiguousarray(audio, np.float32)
        if samples.ndim != 1 or len(samples) == 0:
            raise InputError(f"Expected mono audio with samples, got shape {samples.shape}.")
        if not np.isfinite(samples).all():
            raise InputError("The audio holds values that are not finite: export it again.")
        count, hop = -(-len(samples) // SAMPLES_A_FRAME), self.config.sampler.hop
        # Enough to complete the last window.
        silence = (count + hop) * SAMPLES_A_FRAME + SAMPLES_A_FRAME // 2 - len(samples)
        level_db = loud_level_db(samples)
        stream = VoiceStream(self.config, self._encoder, self._generator, level_db, samples)
        # In blocks, which changes nothing but the memory that a long recording takes.
        starts = range(0, len(samples), _BLOCK_SAMPLES)
        frames = [stream.push(samples[start : start + _BLOCK_SAMPLES]) for start in starts]
        frames.append(stream.push(np.zeros(silence, np.float32)))
        return Motion(np.concatenate(frames)[:count])
