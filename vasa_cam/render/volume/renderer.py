"""The volume renderer: a photo, motion in LivePortrait's space, and the networks between them.

What depends on the photo alone is computed once, in float32, and kept: appearance volume, its
compressed form, keypoints, the offsets that close its mouth, the way back into the photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from vasa_cam.avatar.file import Avatar
from vasa_cam.errors import InputError
from vasa_cam.motion.latent import LatentMotion
from vasa_cam.motion.space import Motion
from vasa_cam.render.volume.avatar_source import avatar_photo
from vasa_cam.render.volume.crop import (
    MEASURED_LAYOUTS,
    SOURCE,
    Crop,
    CropConfig,
    cut_out,
    find_crop,
    network_input,
    openings,
)
from vasa_cam.render.volume.driving import (
    DrivingConfig,
    SourcePose,
    check_motion,
    driven_keypoints,
)
from vasa_cam.render.volume.engine import (
    FastForm,
    FrameEngine,
    PlainForm,
    exact_convolutions,
)
from vasa_cam.render.volume.fast_warping import WarpSource
from vasa_cam.render.volume.keypoints import rotation
from vasa_cam.render.volume.motion_extractor import Observed, observe
from vasa_cam.render.volume.networks import VolumeNetworks
from vasa_cam.render.volume.paste import Paster

U8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

DTYPES: Final = ("float32", "float16", "bfloat16")
OPEN_LIPS: Final = 0.03
"""Height over width of a mouth that `close_lips` closes before it is driven."""
_SMALLEST_SCALE: Final = 1e-3


@dataclass(frozen=True)
class VolumeRenderConfig:
    """How frames are made.

    device: "cpu", "cuda" or "cuda:N". dtype: of the warp and the decoder, "float32", "float16" or
    "bfloat16". batch: frames computed at once. plain: the networks as published, for comparisons.
    crop: what of the photo is seen; its side is a multiple of the networks'. Raises ValueError.
    """

    device: str = "cpu"
    dtype: str = "float32"
    batch: int = 1
    plain: bool = False
    crop: CropConfig = SOURCE
    driving: DrivingConfig = field(default_factory=DrivingConfig)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if not 1 <= self.batch <= 64:
            raise ValueError(f"batch must be 1 to 64, got {self.batch}")


@dataclass(frozen=True, eq=False)
class VolumeState:
    """One photo, prepared. closing: offsets [K, 3] that close its mouth; None if it is closed."""

    photo: U8
    crop: Crop
    pose: SourcePose
    keypoints: Floats
    closing: Floats | None
    source: WarpSource
    paster: Paster


class VolumeRenderer:
    """Draws photos with the networks of one model; follows docs/volume-renderer.md."""

    def __init__(self, networks: VolumeNetworks, config: VolumeRenderConfig | None = None) -> None:
        """Takes the networks over, onto the device of `config`. InputError when there is none."""
        self.config = config = config or VolumeRenderConfig()
        self.sizes = networks.config
        self.device = _device(config.device)
        dtype = getattr(torch, config.dtype)
        self.appearance = networks.appearance.to(self.device)
        self.motion = networks.motion.to(self.device)
        self.retargeting = networks.retargeting
        kind = PlainForm if config.plain else FastForm
        form = kind(networks.warping, networks.decoder, self.device, dtype)
        self.engine = FrameEngine(form, self.device, config.batch)

    def prepare(self, photo: U8, landmarks_px: npt.ArrayLike) -> VolumeState:
        """A photo u8 [H, W, 3], sRGB and upright, with the landmarks of one face [n, 2 or 3].

        The layouts are those of `crop.eyes_and_mouth`. Raises InputError when one is not usable.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
            raise InputError(
                f"a photo must be uint8 [H, W, 3], got {photo.dtype} {list(photo.shape)}: convert "
                "it to RGB."
            )
        points = np.asarray(landmarks_px, np.float32)
        crop = find_crop(points, self.config.crop)
        picture = network_input(cut_out(photo, crop), self.sizes.image_px)
        with torch.inference_mode(), exact_convolutions():
            image = torch.from_numpy(picture[None]).to(self.device)
            pose = _pose(observe(self.motion, image))
            x_s = torch.from_numpy(pose.keypoints[None]).to(self.device)
            source = self.engine.form.prepare(self.appearance(image), x_s)
        closing = self._closing(pose.keypoints, points)
        paster = Paster(photo, crop, self.device)
        return VolumeState(photo, crop, pose, pose.keypoints, closing, source, paster)

    def prepare_avatar(self, avatar: Avatar) -> VolumeState:
        """An enrolled avatar; its canvas is the photo."""
        return self.prepare(*avatar_photo(avatar))

    def see(self, pictures: Floats, fps: float = 25.0) -> LatentMotion:
        """The motion that pictures show: float32 [T, 3, S, S] in 0 .. 1, cut out around a face."""
        with torch.inference_mode(), exact_convolutions():
            images = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device)
            seen = observe(self.motion, images)
        # Random weights may see a face of no size, which no motion can have.
        scale = np.maximum(seen.scale, np.float32(_SMALLEST_SCALE))
        return LatentMotion(seen.exp, scale, seen.t, seen.pitch, seen.yaw, seen.roll, fps=fps)

    def drive(
        self,
        state: VolumeState,
        motion: Motion | LatentMotion,
        reference: LatentMotion | None = None,
    ) -> Floats:
        """Keypoints float32 [T, K, 3] of a source under a motion, after stitching.

        reference: its first frame is where relative driving starts; default: the motion's own.
        Raises InputError for motion of another space.
        """
        motion = check_motion(motion)
        config, x_s = self.config.driving, state.keypoints
        moved = driven_keypoints(state.pose, motion, config, reference or motion)
        if config.stitching:
            moved = self.retargeting.stitch(x_s, moved)
        # Lips that the motion sets by itself need no closing before it.
        follows = config.mode == "relative" and not config.absolute_lips
        if config.close_lips and follows and state.closing is not None:
            moved = moved + state.closing
        return np.asarray(x_s + (moved - x_s) * np.float32(config.multiplier), np.float32)

    def render(
        self,
        state: VolumeState,
        motion: Motion | LatentMotion,
        reference: LatentMotion | None = None,
    ) -> U8:
        """Frames uint8 [T, S, S, 3] of a motion; for many of them see `frames`. As `drive`."""
        return np.concatenate(list(self._batches(state, self.drive(state, motion, reference))))

    def frames(
        self,
        state: VolumeState,
        motion: Motion | LatentMotion,
        *,
        pasted: bool = False,
    ) -> Iterator[U8]:
        """One frame after the other, computed a batch at a time: the crop, or the whole photo.

        pasted: uint8 [H, W, 3], each frame back in the photo, instead of [S, S, 3]. Raises
        InputError for motion of another space, before the first frame.
        """
        driving = self.drive(state, motion)
        for batch in self._batches(state, driving, pasted=pasted):
            yield from batch

    def _batches(
        self, state: VolumeState, driving: Floats, *, pasted: bool = False
    ) -> Iterator[U8]:
        for first in range(0, len(driving), self.config.batch):
            frames = self.engine.frames(state.source, driving[first : first + self.config.batch])
            if pasted:
                frames = state.paster.paste(frames)
            yield frames.cpu().numpy()

    def _closing(self, keypoints: Floats, points: Floats) -> Floats | None:
        if len(points) not in MEASURED_LAYOUTS:
            return None
        opening = float(openings(points)[2])
        if opening < OPEN_LIPS:
            return None
        offsets: Floats = self.retargeting.lip_offsets(keypoints, opening, 0.0)
        return offsets


def _pose(seen: Observed) -> SourcePose:
    R = rotation(seen.pitch[0], seen.yaw[0], seen.roll[0])
    return SourcePose(seen.kp[0], seen.exp[0], seen.scale[0], seen.t[0], R)


def _device(name: str) -> torch.device:
    """Raises InputError for a device that this machine has not."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device must be cpu, cuda or cuda:N, got {name!r}.") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise InputError(f"device must be cpu, cuda or cuda:N, got {name!r}.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = device.index or 0
    if index >= count:
        raise InputError(
            f"there is no CUDA device {index} ({count} found by torch): use the device cpu, or "
            "install torch for CUDA and a driver."
        )
    return torch.device("cuda", index)
