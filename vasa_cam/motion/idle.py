"""Idle motion: blinks, gaze, head and brows from a seeded statistical model of people who talk.

Frame k depends on the seed, on k and on the sound up to frame k, never on how many frames are asked
for at once. The figures come from `python -m vasa_cam.training.fit_idle` (weights/idle.json); what
is set by hand is named in IdleConfig. Head motion is a sum of smooth random processes whose
spectrum matches the measured one below 8 Hz, so that it drifts and sways but does not quiver.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE_HZ: Final = 25.0
CORNERS_HZ: Final = (0.2, 0.5, 1.1, 2.4)
"""Corner frequencies of the head's component processes."""

KERNEL_FRAMES: Final = 20
_KERNEL_BUMPS: Final = 5
_LEAST_RATE: Final = 1e-3


@dataclass(frozen=True)
class IdleConfig:
    """What is chosen rather than measured. Angles in degrees, times in seconds, gains without unit.

    head: gain of all head motion. posture_deg: slow drift below the measured bands. emphasis: gain
    of what loudness does to pitch and brows. brows: gain of all brow motion. gaze_wander: gain of
    how far and often the eyes leave the target. blinks: gain of the blink rate. away_share: share
    of gaze shifts that leave the target. nod_*: size and chance at an accent. limit_*: soft limits.
    """

    head: float = 0.8
    posture_deg: float = 1.2
    emphasis: float = 1.5
    brows: float = 1.0
    gaze_wander: float = 1.0
    blinks: float = 1.0
    away_share: float = 0.3
    nod_deg: float = 1.6
    nod_chance: float = 0.3
    limit_yaw_deg: float = 15.0
    limit_pitch_deg: float = 10.0
    limit_roll_deg: float = 10.0


@dataclass(frozen=True)
class IdleFrames:
    """A run of idle motion at 25 Hz.

    rotation_deg: float32 [T, 3], rx ry rz. translation: float32 [T, 3], inter-ocular distances.
    blink: float32 [T], 0..1. gaze_deg: float32 [T, 2], right and up, in the world. brow: float32
    [T], positive raised, negative lowered.
    """

    rotation_deg: Floats
    translation: Floats
    blink: Floats
    gaze_deg: Floats
    brow: Floats


DEFAULT_IDLE: Final = IdleConfig()


def joined(parts: Sequence[IdleFrames]) -> IdleFrames:
    """Runs of idle motion that follow each other as one."""
    columns = (field.name for field in fields(IdleFrames))
    return IdleFrames(*(np.concatenate([getattr(part, c) for part in parts]) for c in columns))


@cache
def idle_figures() -> dict[str, Any]:
    """The fitted figures that ship with the package."""
    place = resources.files("vasa_cam") / "motion" / "weights" / "idle.json"
    figures: dict[str, Any] = json.loads(place.read_text())
    return figures


def component_power(corner_hz: float, bands_hz: Sequence[tuple[float, float]]) -> Doubles:
    """Variance in each band of the unit-variance process of a corner frequency."""
    hz = np.linspace(0.0, RATE_HZ / 2, 5001)
    keep = np.exp(-2.0 * np.pi * corner_hz / RATE_HZ)
    one_pole = (1.0 - keep) ** 2 / (1.0 - 2.0 * keep * np.cos(2 * np.pi * hz / RATE_HZ) + keep**2)
    density = one_pole**2
    density /= density.sum()
    return np.array([density[(hz >= a) & (hz < b)].sum() for a, b in bands_hz])


def kernel_basis() -> Doubles:
    """Overlapping raised-cosine bumps over past frames, [5, KERNEL_FRAMES], newest frame first."""
    at = np.arange(KERNEL_FRAMES) / KERNEL_FRAMES * _KERNEL_BUMPS
    distance = np.clip(at - np.arange(_KERNEL_BUMPS)[:, None], -1.0, 1.0)
    return np.asarray(0.5 * (1.0 + np.cos(np.pi * distance)))


def soft_limit(value: Doubles, limit: float | Doubles) -> Doubles:
    """limit tanh(value / limit): unchanged near zero, never beyond the limit."""
    return np.asarray(limit * np.tanh(value / limit))


class SmoothNoise:
    """Unit-variance smooth processes: white noise through two equal one-pole low-passes.

    corners_hz: [n]. step() -> float64 [n]; starts at zero, so motion grows out of the photo's pose.
    """

    def __init__(self, corners_hz: Sequence[float], rng: np.random.Generator) -> None:
        keep = np.exp(-2.0 * np.pi * np.asarray(corners_hz, np.float64) / RATE_HZ)
        self._keep = keep
        self._gain = np.sqrt((1.0 - keep**2) ** 3 / (1.0 + keep**2))
        self._first = np.zeros(len(keep))
        self._second = np.zeros(len(keep))
        self._rng = rng

    def step(self) -> Doubles:
        """One frame."""
        noise = self._rng.standard_normal(len(self._keep))
        self._first = self._keep * self._first + noise
        self._second = self._keep * self._second + self._first
        return self._second * self._gain


class Blinker:
    """Lid closure 0..1: log-normal gaps, the measured profile (fast to close, slower to open).

    A gaze shift or the end of a phrase brings the next blink forward now and then, as in people.
    """

    def __init__(self, figures: dict[str, Any], rate_gain: float, rng: np.random.Generator) -> None:
        self._mean = float(figures["log_interval_mean"])
        self._std = float(figures["log_interval_std"])
        profile = np.asarray(figures["profile"], np.float64)
        self._peak = int(np.argmax(profile))
        profile = np.clip((profile - 0.1) / 0.9, 0.0, None)
        profile[: self._peak - 2] = 0.0
        # It must be over before the shortest gap lets the next one begin.
        self._profile = np.append(profile[: np.flatnonzero(profile)[-1] + 1], 0.0)
        self._rng = rng
        self._gain = rate_gain
        self._time = 0.0
        self._next = float(rng.uniform(0.6, 2.2))
        self._depth = 1.0
        self._last = -1.0

    def set_rate(self, gain: float) -> None:
        """Another gain of the blink rate; a blink that has begun is finished."""
        wait = self._next - self._peak / RATE_HZ - self._time
        if gain != self._gain and wait > 0.0:
            self._next += wait * (max(self._gain, _LEAST_RATE) / max(gain, _LEAST_RATE) - 1.0)
        self._gain = gain

    def hurry(self, chance: float) -> None:
        """An event that often comes with a blink."""
        soon = self._rng.random() < chance and self._gain > 0.0
        rested = self._time - self._last > 0.8
        if soon and rested and self._next - self._time > 0.3:
            self._next = self._time + 0.08

    def step(self) -> float:
        """One frame."""
        since = (self._time - self._next) * RATE_HZ + self._peak
        if self._gain <= 0.0 and since < 0.0:
            self._time += 1.0 / RATE_HZ
            self._next = max(self._next, self._time + (self._peak + 1) / RATE_HZ)
            return 0.0
        self._time += 1.0 / RATE_HZ
        if since >= len(self._profile) - 1:
            rate = max(self._gain, _LEAST_RATE)
            gap = float(np.exp(self._rng.normal(self._mean, self._std))) / rate
            self._last = self._next
            self._next += max(0.6, gap)
            self._depth = float(self._rng.uniform(0.9, 1.0))
            return 0.0
        if since < 0.0:
            return 0.0
        # The measured mean is blunt at 25 Hz: stretch it so that the lids do meet.
        low = int(since)
        part = since - low
        value = self._profile[low] * (1.0 - part) + self._profile[low + 1] * part
        return float(min(1.0, 1.12 * value) * self._depth)


class Gazer:
    """Where the eyes look, degrees from the target: fixations, saccades, micro-saccades, drift."""

    def __init__(
        self, figures: dict[str, Any], config: IdleConfig, rng: np.random.Generator
    ) -> None:
        self._figures = figures
        self.config = config
        self._rng = rng
        self._from = np.zeros(2)
        self._to = np.zeros(2)
        self._age = 1e9
        self._duration = 0.04
        self._hold = float(rng.uniform(0.8, 2.0))
        self._away = False
        self.shift_deg = 0.0

    def _aim(self) -> None:
        rng, wander = self._rng, self.config.gaze_wander
        leave = not self._away and rng.random() < self.config.away_share * min(1.0, wander)
        if leave:
            # Away fixations use the measured sizes; a listener's camera contact is kept by
            # returning soon.
            size = np.exp(rng.normal(self._figures["log_size_mean"], self._figures["log_size_std"]))
            angle = rng.choice([0.0, np.pi]) + rng.normal(0.0, 0.55)
            aim = min(float(size), 14.0) * wander * np.array([np.cos(angle), 0.8 * np.sin(angle)])
            self._hold = float(np.exp(rng.normal(-0.6, 0.45)))
        else:
            aim = rng.normal(0.0, 1.0, 2) * np.array([1.1, 0.7]) * wander
            self._hold = float(np.exp(rng.normal(0.1, 0.65)))
        self._from, self._to, self._away = self._to, aim, leave
        self.shift_deg = float(np.hypot(*(self._to - self._from)))
        # Main sequence of saccades: about 21 ms and 2.2 ms a degree.
        self._duration = 0.021 + 0.0022 * self.shift_deg
        self._age = 0.0

    def step(self) -> Doubles:
        """One frame; shift_deg is the size of a saccade that starts now, otherwise 0."""
        self.shift_deg = 0.0
        if self._age > self._hold:
            self._aim()
        t = min(1.0, self._age / max(self._duration, 0.03))
        at = self._from + (self._to - self._from) * (t * t * t * (10.0 - 15.0 * t + 6.0 * t * t))
        self._age += 1.0 / RATE_HZ
        return np.asarray(at)


class Prosody:
    """What loudness does: fitted responses of pitch and brows, and accents (onsets) with nods."""

    def __init__(
        self, figures: dict[str, Any], config: IdleConfig, rng: np.random.Generator
    ) -> None:
        self._kernels = np.stack(
            [np.asarray(figures[name]) for name in ("pitch_kernel_deg", "brow_kernel")]
        )
        self._config = config
        self._rng = rng
        self._history = np.zeros(KERNEL_FRAMES)
        self._mean = 0.0
        self._fast = self._slow = self._calm = -1.0
        self._wait = 0
        self._nod = np.zeros(2)
        self._lift = np.zeros(2)
        self._push = np.zeros(2)
        self.activity = 0.0
        self.phrase_end = False

    def step(self, loudness: float, speech: float) -> Doubles:
        """One frame: (pitch degrees, nose down positive; brow raise)."""
        talking = self.activity > 0.5
        self.activity += (0.12 if speech > self.activity else 0.05) * (speech - self.activity)
        self.phrase_end = talking and self.activity <= 0.5
        if self._fast < 0.0:
            self._fast = self._slow = self._calm = self._mean = loudness
        self._mean += 0.02 * speech * (loudness - self._mean)
        self._fast += 0.5 * (loudness - self._fast)
        self._calm += 0.5 * (self._fast - self._calm)
        self._history = np.roll(self._history, 1)
        # The responses were fitted below 5 Hz: syllables as such must not shake the head.
        self._history[0] = (self._calm - self._mean) * self.activity
        self._slow += 0.08 * (loudness - self._slow)
        self._wait = max(0, self._wait - 1)
        if self._fast - self._slow > 0.14 and speech > 0.5 and self._wait == 0:
            self._wait = 14
            self._accent()
        # Followers in a row turn a push into a smooth bump of about half a second.
        self._push *= 0.78
        self._lift += 0.4 * (self._push - self._lift)
        self._nod += 0.4 * (self._lift - self._nod)
        fitted = self._config.emphasis * (self._kernels @ self._history)
        return np.asarray(fitted + self._nod)

    def _accent(self) -> None:
        draw = self._rng.random(3)
        if draw[0] < self._config.nod_chance:
            self._push[0] += self._config.nod_deg * (1.2 + 1.6 * draw[1])
        if draw[2] < 0.3:
            self._push[1] += 0.35 + 0.45 * draw[1]


class IdleStream:
    """Idle motion frame by frame. push(loudness [T], speech [T]) -> IdleFrames of T frames.

    loudness, speech: float32, 0..1, as LipFrames gives them (zeros for silence).
    """

    def __init__(
        self, seed: int, config: IdleConfig = DEFAULT_IDLE, figures: dict[str, Any] | None = None
    ) -> None:
        self._config = config
        figures = idle_figures() if figures is None else figures
        streams = np.random.default_rng([seed, 0x1D1E]).spawn(5)
        axes = [figures["head_sigma_deg"][axis] for axis in ("rx", "ry", "rz")]
        self._sigma = np.asarray(axes)
        self._head = SmoothNoise(list(figures["corners_hz"]) * 3, streams[0])
        self._slow = SmoothNoise([0.12, 0.12, 0.1, 0.3, 0.15], streams[1])
        self._blinker = Blinker(figures["blink"], config.blinks, streams[2])
        self._gazer = Gazer(figures["gaze"], config, streams[3])
        self._prosody = Prosody(figures, config, streams[4])
        # Speed in pauses relative to speech, applied to the sway's size.
        self._quiet = 1.0 / float(figures["speech_speed_ratio"])
        self._level = self._quiet
        self._frame = 0
        self._breath_phase = float(np.random.default_rng([seed, 0xB4EA]).uniform(0.0, 6.28))

    def steer(self, blinks: float, gaze_wander: float) -> None:
        """Other gains of the blink rate and of the eyes' straying, from the next frame on."""
        self._config = replace(self._config, blinks=blinks, gaze_wander=gaze_wander)
        self._gazer.config = self._config
        self._blinker.set_rate(blinks)

    def push(self, loudness: Floats, speech: Floats) -> IdleFrames:
        """Advance by len(loudness) frames."""
        rows = [self._step(float(a), float(b)) for a, b in zip(loudness, speech, strict=True)]
        table = np.asarray(rows, np.float32).reshape(len(rows), 10)
        return IdleFrames(table[:, :3], table[:, 3:6], table[:, 6], table[:, 7:9], table[:, 9])

    def _step(self, loudness: float, speech: float) -> Doubles:
        config = self._config
        pitch, brow = self._prosody.step(loudness, speech)
        activity = self._prosody.activity
        self._level += 0.06 * (self._quiet + (1.0 - self._quiet) * activity - self._level)
        sway = (self._head.step().reshape(3, -1) * self._sigma).sum(axis=1)
        slow = self._slow.step()
        breath = np.sin(2.0 * np.pi * 0.24 * self._frame / RATE_HZ + self._breath_phase)
        breath -= np.sin(self._breath_phase) * np.exp(-self._frame / RATE_HZ)
        rotation = config.head * self._level * sway
        rotation += config.head * config.posture_deg * np.array([0.5, 1.0, 0.8]) * slow[2::-1]
        rotation[0] += config.head * pitch + 0.12 * breath
        limits = np.array([config.limit_pitch_deg, config.limit_yaw_deg, config.limit_roll_deg])
        # A tilting head swings sideways over the neck, a nodding one moves down a little.
        shift = np.array(
            [
                0.02 * config.head * slow[0] + 0.006 * rotation[2],
                0.012 * config.head * slow[1] + 0.004 * rotation[0] + 0.006 * breath,
                0.03 * config.head * slow[2],
            ]
        )
        gaze = self._gazer.step()
        if self._gazer.shift_deg > 4.0:
            self._blinker.hurry(0.2)
        if self._prosody.phrase_end:
            self._blinker.hurry(0.3)
        brows = config.brows * (brow + 0.035 * slow[3])
        self._frame += 1
        limited = soft_limit(rotation, limits)
        return np.concatenate([limited, shift, [self._blinker.step()], gaze, [brows]])
