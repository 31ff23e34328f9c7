"""The lips' character of a person, from a short video: how far they open, how round, how at rest.

`vasa-cam track` turns the video into motion; what it shows is compared with what the model itself
does, percentile against percentile, so that the words need not be the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.landmarks import MOUTH_CORNERS
from vasa_cam.motion.controls import hold_opening, lip_opening
from vasa_cam.motion.lips import DEFAULT_STYLE, LipStyle
from vasa_cam.motion.pose import iod_cm
from vasa_cam.motion.space import COEFFICIENTS, MOTION_RATE_HZ, Motion

Floats = npt.NDArray[np.float32]

LEAST_TALK_S: Final = 4.0
RANGES: Final = (0.5, 2.0)
ROUNDINGS: Final = (0.75, 2.25)
LARGEST_REST_IOD: Final = 0.06

# What comes back of lips that are rendered, filmed and tracked: docs/tracking.md, round trip.
_TRACKED_GAP: Final = 1.15
_TRACKED_WIDTH: Final = 0.81
# The tracker takes a person's smallest openings for closed lips (motion/fit.py: clip_rest).
_TRACKED_LOSS_IOD: Final = 0.02
_PLAINLY_IOD: Final = 0.01
_WINDOW_S: Final = 0.6
_MOVING_SHARE: Final = 0.12
_NEAREST: Final = 25.0


@cache
def _widening() -> Floats:
    """How much each coefficient widens the mouth, float32 [52], inter-ocular distances."""
    model = load_face_model()
    right, left = (model.offsets[:, corner, 0] for corner in MOUTH_CORNERS)
    return np.asarray((left - right) / iod_cm(model.vertices), np.float32)


def style_from_track(track: Motion, spoken: Motion, base: LipStyle = DEFAULT_STYLE) -> LipStyle:
    """The style that makes the model's lips as wide, as round and as parted as a tracked person's.

    track: what `vasa-cam track` made of a few sentences. spoken: what the model makes of any other
    few in the style `base`. Raises InputError when the track shows less than four seconds of talk.
    """
    coefficients = track.resampled(MOTION_RATE_HZ).frames[:, :COEFFICIENTS]
    talking = _talking(coefficients)
    seconds = float(talking.sum()) / MOTION_RATE_HZ
    if seconds < LEAST_TALK_S:
        raise InputError(
            f"the track shows {seconds:.1f} s of talk; expected {LEAST_TALK_S:g} s or more: film "
            "two or three sentences."
        )
    opening, narrowing = _figures(coefficients, talking)
    ours = spoken.resampled(MOTION_RATE_HZ).frames[:, :COEFFICIENTS]
    model_opening, model_narrowing = _figures(ours, _talking(ours))
    wide = opening / _TRACKED_GAP / model_opening
    round_ = narrowing / _TRACKED_WIDTH / model_narrowing
    return replace(
        base,
        range=float(np.clip(base.range * wide, *RANGES)),
        rounding=float(np.clip(base.rounding * round_, *ROUNDINGS)),
        rest=_rest(coefficients, ours, wide),
    )


def part_lips(coefficients: Floats, rest_iod: float, sealed: Floats) -> None:
    """Keep lips that nothing seals at least `rest_iod` apart, in place.

    coefficients: float32 [T, 52]. rest_iod: inter-ocular distances. sealed: float32 [T], 0..1.
    """
    gap = coefficients @ lip_opening()
    floor = rest_iod * (1.0 - sealed)
    hold_opening(coefficients, np.where(floor > 0.0, np.maximum(gap, floor), gap))


def _talking(coefficients: Floats) -> npt.NDArray[np.bool_]:
    """Frames around which the lips move, bool [T]."""
    gap = coefficients @ lip_opening()
    half = round(_WINDOW_S * MOTION_RATE_HZ / 2)
    padded = np.pad(gap, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    swing = np.ptp(windows, axis=1)
    return np.asarray(swing > max(0.02, _MOVING_SHARE * float(np.percentile(gap, 98.0))))


def _figures(coefficients: Floats, talking: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """While talking: 90th percentile of the opening; how much narrower than usual a tenth gets."""
    moving = coefficients[talking]
    width = moving @ _widening()
    narrowing = float(np.median(width) - np.percentile(width, 10.0))
    return float(np.percentile(moving @ lip_opening(), 90.0)), max(narrowing, 1e-4)


def _rest(coefficients: Floats, ours: Floats, wide: float) -> float:
    """How far these lips mostly stay apart when they are nearest, if plainly farther than ours.

    wide: how much farther than ours they open, which parts them, too.
    """
    nearest, model_nearest = (
        float(np.percentile(side @ lip_opening(), _NEAREST)) for side in (coefficients, ours)
    )
    nearest += _TRACKED_LOSS_IOD
    parted = nearest > wide * model_nearest + _PLAINLY_IOD
    return min(nearest, LARGEST_REST_IOD) if parted else 0.0
