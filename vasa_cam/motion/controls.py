"""What a user sets while the face speaks: gaze, distance, emotion, expressiveness, blinks.

Gains and emotions act on finished motion frames, whoever made them. An emotion is an offset in
coefficient space: combinations of facial action units (Ekman & Friesen, Facial Action Coding
System, 1978; the prototypes as in their Unmasking the Face, 1975) written as ARKit coefficients.
No emotional speech was learnt from. The lips' opening belongs to the voice: whatever an offset does
to the mouth, closed lips stay closed and open lips stay open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.gaze import FULL_GAZE_DEG, gaze_of, set_gaze
from vasa_cam.motion.pose import VIEW_DISTANCE_IOD, iod_cm
from vasa_cam.motion.space import (
    COEFFICIENTS,
    INDEX,
    MOTION_RATE_HZ,
    ROTATION,
    TRANSLATION,
)
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]

MAX_GAIN: Final = 3.0
MAX_GAZE_DEG: Final = FULL_GAZE_DEG
"""The eye angle of an eyeLook coefficient of 1."""
DISTANCES: Final = (0.5, 2.0)

GLIDE_S: Final = 0.25
"""A change of controls is 95 % done after this time."""

_GAINS: Final = ("lips", "face", "head", "blinks", "wander")


def _both(name: str, value: float) -> dict[str, float]:
    return {f"{name}Left": value, f"{name}Right": value}


# Amounts are chosen by eye on rendered portraits, for an emotion of 1.
_EMOTION_UNITS: Final[dict[str, dict[str, float]]] = {
    "neutral": {},
    # AU 6 cheek raiser, AU 12 lip corner puller.
    "happy": {
        **_both("cheekSquint", 0.6),
        **_both("eyeSquint", 0.3),
        **_both("mouthSmile", 0.6),
        **_both("mouthDimple", 0.1),
    },
    # AU 1 inner brow raiser, AU 4 brow lowerer, AU 15 lip corner depressor.
    "sad": {
        "browInnerUp": 0.75,
        **_both("browDown", 0.2),
        **_both("mouthFrown", 0.7),
        "mouthShrugLower": 0.25,
        **_both("eyeSquint", 0.15),
    },
    # AU 4 brow lowerer, AU 5 upper lid raiser, AU 7 lid tightener, AU 23 lip tightener; a little of
    # AU 15, because tight lips alone read as a smirk on faces photographed with a smile.
    "angry": {
        **_both("browDown", 0.9),
        **_both("eyeWide", 0.25),
        **_both("eyeSquint", 0.45),
        **_both("mouthPress", 0.3),
        **_both("mouthFrown", 0.3),
        "mouthRollLower": 0.15,
        "mouthRollUpper": 0.1,
        **_both("noseSneer", 0.2),
    },
    # AU 1 and 2 inner and outer brow raiser, AU 5 upper lid raiser, AU 26 jaw drop.
    "surprised": {
        "browInnerUp": 0.8,
        **_both("browOuterUp", 0.8),
        **_both("eyeWide", 0.5),
        "jawOpen": 0.15,
    },
}

EMOTIONS: Final = tuple(_EMOTION_UNITS)
"""Names of the emotions."""


@dataclass(frozen=True)
class Controls:
    """Everything that can be changed while the face speaks.

    gaze_deg: where to look, degrees right and up in the picture; (0, 0) is into the camera.
    distance: from the camera, 1.0 as in the photo, 1.2 farther. emotion: name in EMOTIONS -> amount
    0..1. offset: 52 further coefficients to add, -1..1 each, or empty. lips, face, head: gains of
    the mouth's, the brows' and cheeks', the head's movement. blinks: gain of the blink rate.
    wander: how much the eyes stray from the gaze, 0 = never. Gains are 0..3. Raises InputError for
    values outside.
    """

    gaze_deg: tuple[float, float] = (0.0, 0.0)
    distance: float = 1.0
    emotion: Mapping[str, float] = field(default_factory=dict, hash=False)
    offset: tuple[float, ...] = ()
    lips: float = 1.0
    face: float = 1.0
    head: float = 1.0
    blinks: float = 1.0
    wander: float = 1.0

    def __post_init__(self) -> None:
        gaze = _numbers("gaze", self.gaze_deg, (-MAX_GAZE_DEG, MAX_GAZE_DEG))
        if len(gaze) != 2:
            raise InputError(f"gaze must be two angles, right and up, got {len(gaze)} numbers.")
        object.__setattr__(self, "gaze_deg", gaze)
        _numbers("distance", (self.distance,), DISTANCES)
        for name in _GAINS:
            _numbers(name, (getattr(self, name),), (0.0, MAX_GAIN))
        for name, amount in self.emotion.items():
            if name not in _EMOTION_UNITS:
                raise InputError(f"there is no emotion {name!r}; expected {', '.join(EMOTIONS)}.")
            _numbers(name, (amount,), (0.0, 1.0))
        object.__setattr__(self, "emotion", MappingProxyType(dict(self.emotion)))
        offset = _numbers("offset", self.offset, (-1.0, 1.0))
        if len(offset) not in (0, COEFFICIENTS):
            raise InputError(f"offset must hold {COEFFICIENTS} numbers, got {len(offset)}.")
        object.__setattr__(self, "offset", offset)


def _numbers(
    name: str, values: tuple[float, ...], limits: tuple[float, float]
) -> tuple[float, ...]:
    """The values as floats; InputError when one is outside the limits or no number."""
    low, high = limits
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, got {values!r}.") from error
    for number in numbers:
        if not (math.isfinite(number) and low <= number <= high):
            raise InputError(f"{name} must be {low:g} to {high:g}, got {number:g}.")
    return numbers


DEFAULT_CONTROLS: Final = Controls()


def emotion_offset(controls: Controls) -> Floats:
    """The coefficients that emotion and free offset add, float32 [52], -1..1."""
    total = np.zeros(COEFFICIENTS, np.float32)
    for emotion, amount in controls.emotion.items():
        for name, value in _EMOTION_UNITS[emotion].items():
            total[INDEX[name]] += amount * value
    if controls.offset:
        total += np.asarray(controls.offset, np.float32)
    return np.clip(total, -1.0, 1.0)


@cache
def lip_opening() -> Floats:
    """How far each coefficient at 1 opens the lips, float32 [52], inter-ocular distances."""
    model = load_face_model()
    opening = (model.offsets[:, 14, 1] - model.offsets[:, 13, 1]) / iod_cm(model.vertices)
    opening = np.asarray(opening, np.float32)
    opening.flags.writeable = False
    return opening


_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]
_CLOSED_IOD: Final = (0.01, 0.06)
# What a rounded mouth cannot do at the same time.
_SPREADERS: Final = [
    INDEX[name + side]
    for name in ("mouthSmile", "mouthDimple", "mouthStretch", "mouthFrown")
    for side in ("Left", "Right")
]
_ROUNDERS: Final = [INDEX["mouthPucker"], INDEX["mouthFunnel"]]
_LIP_OPENERS: Final = [
    INDEX[name]
    for name in ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft",
                 "mouthLowerDownRight", "mouthFunnel", "tongueOut")
]  # fmt: skip
_LIP_TIGHTENERS: Final = [
    INDEX[name] for name in ("mouthRollLower", "mouthRollUpper", "mouthPressLeft",
                             "mouthPressRight", "mouthShrugLower")
]  # fmt: skip


def apply_emotion(frames: Floats, offset: Floats) -> Floats:
    """Motion frames with an offset added, float32 [T, 58].

    frames: float32 [T, 58], coefficients in 0..1. offset: float32 [52] or [T, 52], -1..1. It acts
    on what is left of a coefficient's range, so nothing saturates; less on lips that the voice
    rounds, and on lids that blink. The lips open as far as before (a positive jaw offset opens
    open lips further).
    """
    offset = np.broadcast_to(offset, (len(frames), COEFFICIENTS)).copy()
    out: Floats = frames.copy()
    if not offset.any():
        return out
    before = frames[:, :COEFFICIENTS]
    gap = before @ lip_opening()
    opened = smoothstep(*_CLOSED_IOD, gap)
    rounded = np.clip(before[:, _ROUNDERS].sum(axis=1), 0.0, 1.0)[:, None]
    offset[:, _SPREADERS] *= 1.0 - 0.6 * rounded
    offset[:, _LIP_OPENERS] *= np.where(offset[:, _LIP_OPENERS] > 0.0, opened[:, None], 1.0)
    # Tight lips would hide the vowels.
    offset[:, _LIP_TIGHTENERS] *= 1.0 - 0.6 * opened[:, None]
    for side in ("Left", "Right"):
        lids = [INDEX[f"eyeWide{side}"], INDEX[f"eyeSquint{side}"]]
        offset[:, lids] *= 1.0 - before[:, [INDEX[f"eyeBlink{side}"]]]
    room = np.where(offset > 0.0, 1.0 - before, before)
    coefficients = out[:, :COEFFICIENTS]
    coefficients += offset * room
    more = np.maximum(0.0, coefficients @ lip_opening() - gap) * opened
    hold_opening(coefficients, gap + more)
    return out


def hold_opening(coefficients: Floats, gap: Floats) -> None:
    """Make the lips open exactly `gap` by mouthClose, in place.

    coefficients: float32 [T, 52]. gap: float32 [T], inter-ocular distances.
    What mouthClose cannot open by itself, the jaw does.
    """
    opening = lip_opening()
    excess = coefficients @ opening - gap
    close = coefficients[:, _CLOSE] + excess / -opening[_CLOSE]
    coefficients[:, _JAW] = np.clip(
        coefficients[:, _JAW] + np.maximum(0.0, -close) * -opening[_CLOSE] / opening[_JAW], 0.0, 1.0
    )
    coefficients[:, _CLOSE] = np.clip(close, 0.0, 1.0)


_ARTICULATION: Final = [
    INDEX[name]
    for name in ("jawOpen", "jawForward", "jawLeft", "jawRight", "mouthClose", "mouthFunnel",
                 "mouthPucker", "mouthLeft", "mouthRight", "mouthStretchLeft",
                 "mouthStretchRight", "mouthLowerDownLeft", "mouthLowerDownRight",
                 "mouthUpperUpLeft", "mouthUpperUpRight", "tongueOut")
]  # fmt: skip
_FACE: Final = [
    index
    for name, index in INDEX.items()
    if name.startswith(("brow", "cheek", "noseSneer", "eyeSquint", "eyeWide"))
]
# Soft limits of a head whose movement is exaggerated: what one photo can show, with some room.
_HEAD_LIMITS_RAD: Final = np.radians([11.0, 16.5, 13.5])


def scale_lips(frames: Floats, gain: Floats) -> None:
    """Multiply the mouth's articulation by gain (float32 [T]), in place; closures stay closed.

    frames: float32 [T, 58].
    """
    if (gain == 1.0).all():
        return
    coefficients = frames[:, :COEFFICIENTS]
    gap = np.maximum(0.0, coefficients @ lip_opening())
    coefficients[:, _ARTICULATION] *= gain[:, None]
    # Pressed and rolled lips do their work already; more of it would swallow them.
    coefficients[:, _LIP_TIGHTENERS] *= np.minimum(gain, 1.0)[:, None]
    np.clip(coefficients, 0.0, 1.0, out=coefficients)
    excess = np.maximum(0.0, coefficients @ lip_opening() - gap * gain)
    coefficients[:, _CLOSE] += excess / -lip_opening()[_CLOSE]
    np.clip(coefficients, 0.0, 1.0, out=coefficients)


def scale_face(frames: Floats, gain: Floats) -> None:
    """Multiply brows, cheeks, squint and sneer by gain (float32 [T]), in place."""
    frames[:, _FACE] = np.clip(frames[:, _FACE] * gain[:, None], 0.0, 1.0)


def bend_rotation(rotation: Floats, gain: Floats) -> Floats:
    """Head rotation float32 [T, 3] times gain [T], slowed down near what one photo can show."""
    scaled = rotation * gain[:, None]
    knee = 0.7 * _HEAD_LIMITS_RAD
    beyond = np.maximum(0.0, np.abs(scaled) - knee) / (_HEAD_LIMITS_RAD - knee)
    bent = np.minimum(np.abs(scaled), knee) + (_HEAD_LIMITS_RAD - knee) * np.tanh(beyond)
    return np.asarray(np.sign(scaled) * bent, np.float32)


def scale_head(frames: Floats, gain: Floats) -> None:
    """Multiply head rotation and translation by gain (float32 [T]), in place.

    Rotation slows down near what a photo can show. Set the gaze afterwards.
    """
    frames[:, ROTATION] = bend_rotation(frames[:, ROTATION], gain)
    frames[:, TRANSLATION] *= gain[:, None]


def distance_shift(distance: Floats) -> Floats:
    """Head translation along z of distances float32 [T], inter-ocular distances."""
    return np.asarray(VIEW_DISTANCE_IOD * (distance - 1.0), np.float32)


def move_away(frames: Floats, distance: Floats) -> None:
    """Put the head at a distance (float32 [T], 1 = as in the photo) from the camera, in place."""
    frames[:, TRANSLATION.stop - 1] += distance_shift(distance)


@dataclass(frozen=True)
class ControlFrames:
    """Controls frame by frame, all float32: gaze_deg [T, 2], offset [T, 52], the others [T].

    Who makes the motion sets the gaze, and lets blinks and wander act where they arise.
    """

    gaze_deg: Floats
    distance: Floats
    offset: Floats
    lips: Floats
    face: Floats
    head: Floats
    blinks: Floats
    wander: Floats

    def place_head(self, frames: Floats) -> None:
        """Apply head gain and distance to motion frames float32 [T, 58], in place.

        Then set the gaze, which takes the head's turn back, and then `shape_face`.
        """
        scale_head(frames, self.head)
        move_away(frames, self.distance)

    def shape_face(self, frames: Floats) -> None:
        """Apply lip gain, face gain and emotion to motion frames float32 [T, 58], in place."""
        scale_lips(frames, self.lips)
        scale_face(frames, self.face)
        frames[:] = apply_emotion(frames, self.offset)


class ControlGlide:
    """Controls that glide to what was set last. advance(frames) -> ControlFrames at 25 Hz.

    Two first-order followers in a row: no jump in value, none in speed, whenever and however often
    new controls are set. Starts at `controls` without gliding.
    """

    def __init__(self, controls: Controls = DEFAULT_CONTROLS) -> None:
        self.target = controls
        self._goal = _vector(controls)
        self._first = self._goal.copy()
        self._second = self._goal.copy()
        # The step response of two equal followers reaches 95 % after 4.74 time constants.
        self._keep = float(np.exp(-4.74 / (GLIDE_S * MOTION_RATE_HZ)))

    def set(self, controls: Controls) -> None:
        """Go to these controls from the next frame on."""
        self.target = controls
        self._goal = _vector(controls)

    def advance(self, frames: int) -> ControlFrames:
        """The next frames."""
        rows = np.empty((frames, len(self._goal)), np.float64)
        for row in rows:
            self._first += (1.0 - self._keep) * (self._goal - self._first)
            self._second += (1.0 - self._keep) * (self._first - self._second)
            if np.abs(self._second - self._goal).max() < 1e-5:
                self._first[:] = self._second[:] = self._goal
            row[:] = self._second
        table = rows.astype(np.float32)
        gains = dict(zip(_GAINS, table[:, 3:8].T, strict=True))
        return ControlFrames(table[:, :2], table[:, 2], table[:, 8:], **gains)


def _vector(controls: Controls) -> npt.NDArray[np.float64]:
    gains = [getattr(controls, name) for name in _GAINS]
    head = [*controls.gaze_deg, controls.distance, *gains]
    return np.concatenate([head, emotion_offset(controls)]).astype(np.float64)


def steer_track(frames: Floats, controls: Controls) -> Floats:
    """Recorded motion, float32 [T, 58], under controls; gaze is added to the recorded one.

    Raises InputError for blinks and wander, which a recording has of its own.
    """
    if (controls.blinks, controls.wander) != (1.0, 1.0):
        raise InputError("blinks and wander of a recorded motion cannot be changed.")
    out: Floats = frames.copy()
    if controls == DEFAULT_CONTROLS:
        return out
    steady = ControlGlide(controls).advance(len(frames))
    gaze = gaze_of(frames)
    steady.place_head(out)
    if controls.gaze_deg != (0.0, 0.0) or controls.head != 1.0:
        set_gaze(out, gaze + steady.gaze_deg)
    steady.shape_face(out)
    return out
