"""From a motion in LivePortrait's space to the source's keypoints, frame by frame; without torch.

Follows the public pipeline: relative driving adds the change since a reference frame to the
source's own pose and expression, absolute driving takes the motion as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import EYE_KEYPOINTS, LIP_KEYPOINTS, LatentMotion
from vasa_cam.motion.space import LIVEPORTRAIT_SPACE, Motion, check_space
from vasa_cam.render.volume.keypoints import expression_factor, rotation, transform

Floats = npt.NDArray[np.float32]

MODES: Final = ("relative", "absolute")
REGIONS: Final = ("all", "expression", "pose", "lips", "eyes")

# Which coordinates absolute driving takes from the motion: where the public networks keep the shape
# of a face, the source's stay. Keypoint: coordinates.
_ALL: Final = (0, 1, 2)
_ABSOLUTE: Final[dict[int, tuple[int, ...]]] = {
    **dict.fromkeys((1, 2, 6, *range(11, 21)), _ALL),
    **{3: (1,), 4: (1,), 5: (2,), 8: (2,), 9: (1, 2)},
}


@dataclass(frozen=True)
class DrivingConfig:
    """How a motion moves a source.

    mode: "relative" to the reference frame, or "absolute". region: what of the motion is used,
    "all", "expression", "pose", "lips" or "eyes". absolute_lips: the lips take the motion's own
    expression in relative mode too, as audio-driven generators want it. expression_friendly: scale
    the movement of keypoints by the ratio of the faces' sizes (relative mode, region "all").
    multiplier: scales the movement away from the source. stitching: neck and shoulders stay.
    close_lips: an open mouth of the photo is closed before it is driven. Raises ValueError when a
    word is not one of those or the multiplier is not finite.
    """

    mode: str = "relative"
    region: str = "all"
    absolute_lips: bool = False
    expression_friendly: bool = True
    multiplier: float = 1.0
    stitching: bool = True
    close_lips: bool = True

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.region not in REGIONS:
            raise ValueError(f"region must be one of {', '.join(REGIONS)}, got {self.region!r}")
        if not np.isfinite(self.multiplier):
            raise ValueError(f"multiplier must be a number, got {self.multiplier}")


@dataclass(frozen=True, eq=False)
class SourcePose:
    """What the motion extractor sees in the photo, float32.

    kp: [K, 3] canonical keypoints. exp: [K, 3]. scale: []. t: [3]. R: [3, 3].
    """

    kp: Floats
    exp: Floats
    scale: Floats
    t: Floats
    R: Floats

    @property
    def keypoints(self) -> Floats:
        """The source's keypoints x_s [K, 3], where the photo shows them."""
        return transform(self.kp, self.R, self.exp, self.scale, self.t)


def check_motion(motion: Motion | LatentMotion) -> LatentMotion:
    """`motion` itself if it lies in LivePortrait's space.

    Raises InputError for a motion of another space or without frames.
    """
    check_space(motion.space, "volume", LIVEPORTRAIT_SPACE)
    assert isinstance(motion, LatentMotion)
    if len(motion) == 0:
        raise InputError("the motion has no frames: give at least one.")
    return motion


def driven_keypoints(
    source: SourcePose, motion: LatentMotion, config: DrivingConfig, reference: LatentMotion
) -> Floats:
    """Keypoints [T, K, 3] of the source under a motion, before stitching.

    reference: its first frame is where relative driving starts, ordinarily the motion's own first.
    """
    R, exp, scale, t = _values(source, motion, config, reference)
    moved = transform(source.kp, R, exp, scale, t)
    if config.mode == "relative" and config.region == "all" and config.expression_friendly:
        start = reference.cut(0, 1)
        first = transform(source.kp, *_values(source, start, config, reference))
        factor = np.float32(expression_factor(source.keypoints, first[0]))
        moved = (moved - first) * factor + source.keypoints
    return moved


def _values(
    source: SourcePose, motion: LatentMotion, config: DrivingConfig, reference: LatentMotion
) -> tuple[Floats, Floats, Floats, Floats]:
    """R [T, 3, 3], exp [T, K, 3], scale [T] and t [T, 3] of the source under a motion."""
    count = len(motion)
    R = np.broadcast_to(source.R, (count, 3, 3))
    scale = np.broadcast_to(source.scale, count)
    t = np.broadcast_to(source.t, (count, 3))
    relative = config.mode == "relative"
    if config.region in ("all", "pose"):
        turned = rotation(motion.pitch, motion.yaw, motion.roll)
        R, t = turned, motion.translation
        if relative:
            first = rotation(reference.pitch[0], reference.yaw[0], reference.roll[0])
            R = turned @ first.T @ source.R
            t = source.t + (motion.translation - reference.translation[0])
            scale = source.scale * (motion.scale / reference.scale[0])
    return R, _expression(source, motion, config, reference), scale, t


def _expression(
    source: SourcePose, motion: LatentMotion, config: DrivingConfig, reference: LatentMotion
) -> Floats:
    """exp [T, K, 3] of the source under a motion."""
    exp: Floats = np.tile(source.exp, (len(motion), 1, 1))
    if config.region == "pose":
        return exp
    if config.mode == "relative":
        wanted = source.exp + (motion.exp - reference.exp[0])
        if config.absolute_lips:
            wanted[:, LIP_KEYPOINTS] = motion.exp[:, LIP_KEYPOINTS]
        takes: dict[int, tuple[int, ...]] = dict.fromkeys(range(exp.shape[1]), _ALL)
    else:
        wanted, takes = motion.exp, _ABSOLUTE
    chosen = {"lips": LIP_KEYPOINTS, "eyes": EYE_KEYPOINTS}.get(config.region, tuple(takes))
    for index in chosen:
        for axis in takes.get(index, ()):
            exp[:, index, axis] = wanted[:, index, axis]
    return exp
