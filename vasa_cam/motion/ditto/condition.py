"""What Ditto's generator is told: the source's own motion, and the numbers beside the sound.

A motion vector has 265 numbers: scale - 1; pitch, yaw and roll as scores over 66 bins each;
translation; expression. A frame's condition is 1024 numbers of sound, then, as a checkpoint was
trained, the emotion (8), how open the eyes are (2), where they look (6), canonical keypoints (63).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import ANGLE_BINS, KEYPOINTS

Floats = npt.NDArray[np.float32]

MOTION_SIZE: Final = 265
SCALE: Final = slice(0, 1)
PITCH: Final = slice(1, 67)
YAW: Final = slice(67, 133)
ROLL: Final = slice(133, 199)
TRANSLATION: Final = slice(199, 202)
EXPRESSION: Final = slice(202, 265)
POSE: Final = slice(0, 202)
"""Everything but the expression: what is smoothed."""

SOUND_SIZE: Final = 1024
PARTS: Final[Mapping[str, int]] = {"emotion": 8, "eyes_open": 2, "eyeballs": 6, "keypoints": 63}
"""What follows the sound, in this order, and its size."""

EMOTIONS: Final = (
    *("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "contempt"),
)
_CHOSEN_LOGIT: Final = 8.0


@dataclass(frozen=True, eq=False)
class DittoSource:
    """The photo's face as the motion extractor gives it, all float32.

    motion: [265], its own motion vector. keypoints: [21, 3], canonical. eyes_open: [2], lid
    distances (three a side, summed) over the eye's width, left and right; about 1 in an ordinary
    photo. eyeballs: [6], how far each iris is from its eye's middle; 0 looks straight ahead. Raises
    InputError when a shape differs or a value is not finite.
    """

    motion: Floats
    keypoints: Floats
    eyes_open: Floats = field(default_factory=lambda: np.ones(2, np.float32))
    eyeballs: Floats = field(default_factory=lambda: np.zeros(6, np.float32))

    def __post_init__(self) -> None:
        shapes = {
            "motion": (MOTION_SIZE,),
            "keypoints": (KEYPOINTS, 3),
            "eyes_open": (2,),
            "eyeballs": (6,),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(
                    f"Ditto's source needs {name} of shape {list(shape)} and finite, "
                    f"got {list(values.shape)}."
                )

    @classmethod
    def from_heads(cls, heads: Mapping[str, npt.ArrayLike], **eyes: Floats) -> DittoSource:
        """Of the motion extractor's raw values of one picture (kp, scale, pitch, ..., exp).

        pitch, yaw and roll: scores over bins. eyes: eyes_open and eyeballs, where known.
        """
        values = {name: np.asarray(value, np.float32).reshape(-1) for name, value in heads.items()}
        angles = [values[name] for name in ("pitch", "yaw", "roll")]
        if any(len(bins) != ANGLE_BINS for bins in angles):
            raise InputError(
                f"Ditto needs pitch, yaw and roll of the photo as scores over {ANGLE_BINS} bins, "
                f"got {[len(bins) for bins in angles]} numbers: give the motion extractor's own."
            )
        motion = [values["scale"] - 1, *angles, values["t"], values["exp"]]
        return cls(np.concatenate(motion), values["kp"].reshape(-1, 3), **eyes)


def parts_of(condition: int) -> tuple[str, ...]:
    """Which parts a checkpoint of a condition's size was trained with, beside the sound.

    Raises InputError when none or more than one choice has this size.
    """
    names = tuple(PARTS)
    choices = [
        tuple(name for bit, name in enumerate(names) if chosen >> bit & 1)
        for chosen in range(1 << len(names))
    ]
    fitting = [c for c in choices if SOUND_SIZE + sum(PARTS[name] for name in c) == condition]
    # 8 is the emotion, or both kinds of eyes: the public configurations switch eyes together with
    # the emotion, so the first is meant.
    fitting.sort(key=lambda choice: ("emotion" not in choice, len(choice)))
    if not fitting:
        raise InputError(
            f"this Ditto checkpoint is told {condition} numbers a frame, which is no sum of "
            f"{SOUND_SIZE} for the sound and {', '.join(f'{n} ({s})' for n, s in PARTS.items())}: "
            "name the parts, or use the published checkpoint."
        )
    return fitting[0]


def beside_the_sound(source: DittoSource, emotion: str, parts: tuple[str, ...]) -> Floats:
    """The numbers of a condition after the sound, float32 [n], the same for all frames.

    emotion: one of EMOTIONS. parts: see parts_of. Raises InputError.
    """
    if emotion not in EMOTIONS:
        raise InputError(f"emotion must be one of {', '.join(EMOTIONS)}, got {emotion!r}.")
    logits = np.zeros(len(EMOTIONS), np.float32)
    logits[EMOTIONS.index(emotion)] = _CHOSEN_LOGIT
    weights = np.exp(logits - _CHOSEN_LOGIT)
    values: dict[str, Any] = {
        "emotion": weights / weights.sum(),
        "eyes_open": source.eyes_open,
        "eyeballs": source.eyeballs,
        "keypoints": source.keypoints.reshape(-1),
    }
    nothing = np.zeros(0, np.float32)
    return np.concatenate([nothing, *(values[name] for name in parts)]).astype(np.float32)
