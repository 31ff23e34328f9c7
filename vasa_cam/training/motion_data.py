"""Training streams of the generator: voices with lips, and faces and heads that go with them.

Only the lips are known for most voices (tracked, or taught from phones). Everything else comes from
the seeded statistical model of people who talk (`motion/idle.py`), driven by the same sound, so the
generator learns one joint distribution. Gaze, distance and posture are shifted together with their
conditions: synthetic pairs, as there are no labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.channels import BLINK, CHANNELS, MOUTH, OTHERS, to_channels
from vasa_cam.motion.controls import EMOTIONS, ControlFrames, ControlGlide, Controls
from vasa_cam.motion.encoder import Encoder
from vasa_cam.motion.generator import DISTANCE_UNIT, GAZE_UNIT_DEG, previous_rows
from vasa_cam.motion.idle import IdleConfig, IdleFrames, IdleStream
from vasa_cam.motion.idle_face import compose
from vasa_cam.motion.lips import MouthSound, controls_to_coefficients, shape_lips
from vasa_cam.motion.slow_state import ProsodyFollower, SlowState
from vasa_cam.motion.space import COEFFICIENTS, neutral

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

_FRAME: Final = 640
_TAIL: Final = 320
"""What the encoder hears beyond the end of a stream's last frame."""

# What an emotion does to posture and liveliness: degrees of pitch (down positive), gain of the
# head's movement. Rules of thumb, as the coefficient offsets are.
_POSTURE: Final[dict[str, tuple[float, float]]] = {
    "neutral": (0.0, 1.0),
    "happy": (-1.0, 1.15),
    "sad": (4.0, 0.7),
    "angry": (2.5, 1.05),
    "surprised": (-2.5, 0.9),
}
# Part of the way to where the eyes look that the head goes, right and up.
_HEAD_SHARE: Final = (0.25, 0.2)


@dataclass(frozen=True)
class LipClip:
    """A voice with lips. audio: float32 [640 T]; mouth: [T, 16] controls; events: [T, 3].

    Without events (phones are not known) those that the encoder hears are taken.
    """

    audio: Floats
    mouth: Floats
    events: Floats | None


@dataclass(frozen=True)
class StreamConfig:
    """How streams are put together. seconds: length of one. pause_s: between clips. gain_db: of a
    whole stream. lead: frames of rest and silence before each, as a live stream begins with. idle:
    of the model that moves head and eyes.
    """

    seconds: float = 40.0
    pause_s: tuple[float, float] = (0.1, 2.5)
    gain_db: float = 12.0
    lead: int = 10
    idle: IdleConfig = field(default_factory=IdleConfig)


@dataclass(frozen=True)
class Streams:
    """Frames of all streams, one after the other. first: int [S + 1], where each begins.

    channels: float32 [N, 54]. start: float32 [N, 54], the encoder's mouth, 0 elsewhere. voice:
    float16 [N, A]. slow: float32 [N, S]. gaze: [N, 2]; distance: [N, 1]; emotion: [N, 52].
    """

    first: npt.NDArray[np.int64]
    channels: Floats
    start: Floats
    voice: npt.NDArray[np.float16]
    slow: Floats
    gaze: Floats
    distance: Floats
    emotion: Floats


def _joined_clips(
    clips: list[LipClip], config: StreamConfig, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Sound [640 T], mouth controls [T, 16] and events [T, 3] (NaN: unknown) of one stream."""
    rows: list[tuple[Floats, Floats, Floats]] = []
    total = 0
    while total < config.seconds * 25:
        clip = clips[int(rng.integers(len(clips)))]
        pause = int(25 * rng.uniform(*config.pause_s))
        hiss = np.float32(10.0 ** (rng.uniform(-80.0, -55.0) / 20.0))
        quiet = hiss * rng.standard_normal(pause * _FRAME, np.float32)
        still = np.zeros((pause, clip.mouth.shape[1] + 3), np.float32)
        rows.append((quiet, still[:, 3:], still[:, :3]))
        frames = min(len(clip.mouth), len(clip.audio) // _FRAME)
        unknown = np.full((frames, 3), np.nan, np.float32)
        events = unknown if clip.events is None else clip.events[:frames]
        rows.append((clip.audio[: frames * _FRAME], clip.mouth[:frames], events))
        total += pause + frames
    gain = np.float32(10.0 ** (rng.uniform(-config.gain_db, config.gain_db) / 20.0))
    audio, mouth, known = (np.concatenate(column) for column in zip(*rows, strict=True))
    return np.clip(gain * audio, -1.0, 1.0).astype(np.float32), mouth, known


def _random_controls(rng: np.random.Generator) -> tuple[Controls, tuple[float, float, float]]:
    """Controls and the posture that goes with them: pitch and yaw in degrees, gain of the head."""
    gaze, distance, emotion = (0.0, 0.0), 1.0, {}
    if rng.random() < 0.5:
        gaze = (float(rng.uniform(-22.0, 22.0)), float(rng.uniform(-14.0, 14.0)))
    if rng.random() < 0.4:
        distance = float(np.exp(rng.uniform(-0.2, 0.3)))
    pitch, gain = 0.0, 1.0
    if rng.random() < 0.35:
        name = EMOTIONS[int(rng.integers(1, len(EMOTIONS)))]
        amount = float(rng.uniform(0.3, 1.0))
        emotion = {name: amount}
        pitch = amount * _POSTURE[name][0]
        gain += amount * (_POSTURE[name][1] - 1.0)
    blinks = float(rng.choice([0.0, 0.5, 1.5, 2.0])) if rng.random() < 0.3 else 1.0
    chosen = Controls(gaze_deg=gaze, distance=distance, emotion=emotion, blinks=blinks)
    return chosen, (pitch - _HEAD_SHARE[1] * gaze[1], -_HEAD_SHARE[0] * gaze[0], gain)


def _steered(frames: int, rng: np.random.Generator) -> tuple[ControlFrames, Floats]:
    """Controls that change every few seconds, and the posture [T, 3] that goes with them."""
    chosen, posture = _random_controls(rng)
    glide = ControlGlide(chosen)
    parts: list[ControlFrames] = []
    postures, at = [], 0
    while at < frames:
        run = min(frames - at, int(25 * rng.uniform(3.0, 14.0)))
        parts.append(glide.advance(run))
        postures.append(np.tile(np.asarray(posture, np.float32), (run, 1)))
        at += run
        if rng.random() < 0.6:
            chosen, posture = _random_controls(rng)
            glide.set(chosen)
    names = [field.name for field in dataclasses.fields(ControlFrames)]
    joined = {
        name: np.asarray(np.concatenate([getattr(part, name) for part in parts]), np.float32)
        for name in names
    }
    # Posture follows within about a second.
    wanted, soft = np.concatenate(postures), np.empty((frames, 3), np.float32)
    state = np.repeat(wanted[:1], 2, axis=0)
    for row, goal in zip(soft, wanted, strict=True):
        state[0] += 0.09 * (goal - state[0])
        state[1] += 0.09 * (state[0] - state[1])
        row[:] = state[1]
    return ControlFrames(**joined), soft


def _idle_frames(
    idle: IdleStream, loud: Floats, said: Floats, controls: ControlFrames, config: IdleConfig
) -> IdleFrames:
    changes = 1 + np.flatnonzero(np.diff(controls.blinks) != 0.0)
    rows = []
    for run in np.split(np.arange(len(loud)), changes):
        idle.steer(config.blinks * float(controls.blinks[run[0]]), config.gaze_wander)
        rows.append(idle.push(loud[run], said[run]))
    names = ("rotation_deg", "translation", "blink", "gaze_deg", "brow")
    return IdleFrames(*(np.concatenate([getattr(part, name) for part in rows]) for name in names))


def one_stream(
    clips: list[LipClip], encoder: Encoder, config: StreamConfig, rng: np.random.Generator
) -> Arrays:
    """The arrays of `Streams` for one stream."""
    sound, mouth, events = _joined_clips(clips, config, rng)
    frames = len(mouth)
    ears = encoder.ears(recording=sound)
    heard = ears.push(np.concatenate([sound, np.zeros(_TAIL, np.float32)]))
    prosody = ProsodyFollower().push(heard.loudness, heard.speech)
    controls, posture = _steered(frames, rng)
    idle = _idle_frames(
        IdleStream(int(rng.integers(1 << 31)), config.idle),
        heard.loudness, heard.speech, controls, config.idle,
    )  # fmt: skip
    rotation = idle.rotation_deg * posture[:, 2:]
    rotation[:, :2] += posture[:, :2]
    moved = IdleFrames(rotation, idle.translation, idle.blink, idle.gaze_deg, idle.brow)
    # The generator moves around what is asked for; gaze and distance themselves are added later.
    still = ControlGlide().advance(frames)
    events = np.where(np.isnan(events), heard.mouth.events, events)
    # The same sharpening for what is wanted and what is guessed: they differ in what was heard.
    known = MouthSound(mouth, events, heard.mouth.vowels)
    wanted, guess = (
        controls_to_coefficients(shape_lips(sound, encoder.opening))
        for sound in (known, heard.mouth)
    )
    guessed = neutral(frames)
    guessed[:, :COEFFICIENTS] = guess
    start = to_channels(guessed)
    start[:, OTHERS] = 0.0
    channels = to_channels(compose(wanted, moved, still))
    arrays = {
        "channels": channels,
        "start": start,
        "voice": heard.features(prosody).astype(np.float16),
        "slow": _slow_rows(channels, controls, rng),
        "gaze": controls.gaze_deg / np.float32(GAZE_UNIT_DEG),
        "distance": (controls.distance[:, None] - 1.0) / np.float32(DISTANCE_UNIT),
        "emotion": controls.offset,
    }
    return {name: _led(rows, config.lead, name) for name, rows in arrays.items()}


def _led(rows: npt.NDArray[np.floating], lead: int, name: str) -> npt.NDArray[np.floating]:
    """The rows after `lead` rows of a stream that has not begun: rest, silence, same controls."""
    first = rows[:1] if name in ("slow", "gaze", "distance", "emotion") else np.zeros_like(rows[:1])
    return np.concatenate([np.repeat(first, lead, axis=0), rows])


def _slow_rows(channels: Floats, controls: ControlFrames, rng: np.random.Generator) -> Floats:
    slow = SlowState(float(rng.uniform(0.0, 2.0 * np.pi)))
    rows = []
    for row, blinks in zip(channels, controls.blinks, strict=True):
        rows.append(slow.row(float(blinks)))
        slow.advance(row)
    return np.stack(rows)


def build_streams(
    groups: list[list[LipClip]],
    shares: tuple[float, ...],
    encoder: Encoder,
    hours: float,
    config: StreamConfig,
    seed: int,
) -> Streams:
    """About `hours` of streams; the clips of a stream come from one group."""
    rng = np.random.default_rng([seed, 0x57])
    count = max(1, round(hours * 3600 / config.seconds))
    parts = [
        one_stream(groups[int(rng.choice(len(groups), p=shares))], encoder, config, rng)
        for _ in range(count)
    ]
    lengths = [len(part["channels"]) for part in parts]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Streams(np.concatenate([[0], np.cumsum(lengths)]), **joined)


def spread_and_scale(streams: Streams, window: int) -> tuple[Floats, Floats]:
    """Units: spread [54] of channels around rest, scale [window, 54] of a window's targets."""
    spread = np.sqrt((streams.channels**2).mean(axis=0))
    scale = np.empty((window, CHANNELS), np.float32)
    error = streams.channels[:, MOUTH] - streams.start[:, MOUTH]
    # Streams follow each other; a step across a border is rare enough not to matter.
    for ahead in range(window):
        lag = ahead + 1
        scale[ahead] = np.sqrt(((streams.channels[lag:] - streams.channels[:-lag]) ** 2).mean(0))
        scale[ahead, MOUTH] = np.sqrt((error**2).mean(axis=0))
    scale[:, BLINK] = np.maximum(scale[:, BLINK], 0.05)
    return np.maximum(spread, 0.02).astype(np.float32), np.maximum(scale, 0.004)


@dataclass(frozen=True)
class WindowConfig:
    """How windows are cut. batch: windows. lengths: W and its share. drop: chance of each of gaze,
    distance, emotion, audio and slow state to be missing; drop_previous: of previous motion, and of
    previous audio. tail: chance that the last frames of audio are missing; only_first: that all but
    the first are then, as in live use. stumble: noise on the previous motion in units of scale, so
    that the generator learns to recover from its own errors.
    """

    batch: int = 96
    lengths: tuple[tuple[int, float], ...] = ((1, 0.2), (5, 0.5), (10, 0.3))
    drop: float = 0.1
    drop_previous: float = 0.5
    tail: float = 0.7
    only_first: float = 0.7
    stumble: float = 0.2


def windows(
    streams: Streams, spread: Floats, scale: Floats, previous: int, config: WindowConfig, seed: int
) -> Iterator[Arrays]:
    """Endless batches for the generator: conditions, which of them are present, and targets."""
    rng = np.random.default_rng(seed)
    sizes = [length for length, _ in config.lengths]
    chances = [share for _, share in config.lengths]
    while True:
        window = int(rng.choice(sizes, p=chances))
        at = _starts(streams, previous, window, config.batch, rng)
        before = at[:, None] + np.arange(-previous, 0)
        inside = at[:, None] + np.arange(window)
        x_pre = streams.channels[before]
        units = scale[0] * config.stumble * rng.uniform(0.0, 1.0, (len(at), 1, 1))
        x_pre = x_pre + (units * rng.standard_normal(x_pre.shape)).astype(np.float32)
        start = np.repeat(x_pre[:, -1:], window, axis=1)
        start[:, :, MOUTH] = streams.start[inside][:, :, MOUTH]
        batch = {
            "x_pre": previous_rows(x_pre, spread, scale),
            "a_pre": streams.voice[before].astype(np.float32),
            "a": streams.voice[inside].astype(np.float32),
            "gaze": streams.gaze[inside[:, -1]],
            "distance": streams.distance[inside[:, -1]],
            "emotion": streams.emotion[inside[:, -1]],
            "slow": streams.slow[at],
            "target": (streams.channels[inside] - start) / scale[:window],
        }
        for name in ("gaze", "distance", "emotion", "slow"):
            batch[f"has_{name}"] = _kept(rng, (len(at), 1), config.drop)
        for name in ("x_pre", "a_pre"):
            batch[f"has_{name}"] = _kept(rng, (len(at), 1), config.drop_previous)
        heard = np.repeat(_kept(rng, (len(at), 1), config.drop), window, axis=1)
        cut = np.where(
            rng.random(len(at)) < config.only_first, 1, rng.integers(1, window + 1, len(at))
        )
        cut = np.where(rng.random(len(at)) < config.tail, cut, window)
        batch["has_a"] = heard * (np.arange(window) < cut[:, None])
        yield {name: np.ascontiguousarray(rows, np.float32) for name, rows in batch.items()}


def _kept(rng: np.random.Generator, shape: tuple[int, ...], drop: float) -> Floats:
    return (rng.random(shape) >= drop).astype(np.float32)


def _starts(
    streams: Streams, previous: int, window: int, count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """First frames of `count` windows that lie, with what precedes them, inside one stream."""
    which = rng.integers(0, len(streams.first) - 1, count)
    low, high = streams.first[which] + previous, streams.first[which + 1] - window
    return low + (rng.random(count) * (high - low)).astype(np.int64)
