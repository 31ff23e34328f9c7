"""Eyes and mouth of the layered renderer: what is drawn between the lids and between the lips."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import INDEX
from vasa_cam.render.framing import Framing
from vasa_cam.render.rigid_layers import RigidLayers
from vasa_cam.render.textures import shrink, texture_uv

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

FULL_GAZE_RAD: Final = math.radians(35.0)
"""What an eyeLook coefficient of 1 means."""
_IOD_CM: Final = 6.3
"""An adult's inter-ocular distance, for the scale of the mouth's shadows."""
_MOUTH_MARGIN_PX: Final = 3
_LASH_SHADE: Final = 0.22


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye of one avatar at one output size.

    side: 0 the subject's right, 1 the left. chains: upper and lower lid in the dense mesh.
    patch_scale: patch px per canvas px. look: indices of eyeLookIn/Out/Up/Down of this eye.
    """

    side: int
    chains: tuple[Ints, Ints]
    sclera: Bytes
    iris: Bytes
    lid: Bytes
    origin_px: Floats
    patch_scale: float
    params: ops.EyeParams
    look: tuple[int, int, int, int]
    aperture: Floats

    @classmethod
    def prepare(cls, avatar: Avatar, side: int, scale: float) -> Eye:
        """Patches shrunk to the output's scale and everything measured at rest."""
        model = load_face_model()
        name, word = ("right", "Right") if side == 0 else ("left", "Left")
        upper = getattr(model, f"{name}_lid_upper")
        lower = getattr(model, f"{name}_lid_lower")
        numbers = getattr(avatar, f"{name}_eye_params")
        full = getattr(avatar, f"{name}_eye_sclera")
        lid = getattr(avatar, f"{name}_eye_lid")
        sclera = shrink(full, scale)
        patch_scale = sclera.shape[1] / full.shape[1]
        origin, centre, radius, eyeball = numbers[:2], numbers[2:4], numbers[4], numbers[5]
        rest = avatar.rest_px[:, :2] - origin
        rest = np.column_stack([texture_uv(rest, full.shape[1::-1], sclera), avatar.rest_px[:, 2]])
        at = texture_uv((centre - origin)[None], full.shape[1::-1], sclera)[0]
        params = ops.EyeParams(
            patch_from_screen=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            rest_aperture=ops.aperture(np.ascontiguousarray(rest, np.float32), upper, lower),
            iris_centre_px=(float(at[0]), float(at[1])),
            iris_radius_px=float(radius) * patch_scale,
            eyeball_radius_px=float(eyeball) * patch_scale,
            lash_rgb=_lash_colour(lid),
        )
        look = ("In", "Out", "Up", "Down")
        return cls(
            side=side,
            chains=(upper, lower),
            sclera=sclera,
            iris=shrink(getattr(avatar, f"{name}_eye_iris"), scale),
            lid=lid,
            origin_px=origin,
            patch_scale=patch_scale,
            params=params,
            look=tuple(INDEX[f"eyeLook{part}{word}"] for part in look),  # type: ignore[arg-type]
            aperture=np.zeros(ops.APERTURE_SIZE, np.float32),
        )

    def draw(
        self,
        frame: Bytes,
        vertices: Floats,
        rigid: RigidLayers,
        rigid_vertices: Floats,
        motion: Floats,
    ) -> None:
        """Draws the eye into the frame, between the lids of this frame's vertices."""
        ops.aperture(vertices, *self.chains, out=self.aperture)
        params = self.placed(rigid, rigid_vertices, motion)
        ops.compose_eye(frame, self.aperture, params, self.sclera, self.iris, self.lid)

    def placed(self, rigid: RigidLayers, rigid_vertices: Floats, motion: Floats) -> ops.EyeParams:
        """How the eye is drawn in this frame: where the head has it and where it looks."""
        affine = rigid.eye_affine(rigid_vertices, self.side)
        affine[:, 2] -= self.origin_px
        # Canvas px to patch px: pixel centres are at integers on both sides.
        affine *= self.patch_scale
        affine[:, 2] += 0.5 * self.patch_scale - 0.5
        xx, xy, x0, yx, yy, y0 = (float(value) for value in affine.ravel())
        return replace(
            self.params,
            patch_from_screen=(xx, xy, x0, yx, yy, y0),
            gaze_rad=self._gaze(motion),
        )

    def _gaze(self, motion: Floats) -> tuple[float, float]:
        """Rotation of the eyeball in its head: (to the image right, up), radians."""
        inward, outward, up, down = (float(motion[index]) for index in self.look)
        # The subject's right eye is on the image's left: inward is to the image right.
        right = inward - outward if self.side == 0 else outward - inward
        return right * FULL_GAZE_RAD, (up - down) * FULL_GAZE_RAD


def _lash_colour(lid: Bytes) -> tuple[float, float, float]:
    """Dark lashes in the light and the tint of this person's lid skin."""
    red, green, blue = (float(value) for value in lid.mean(axis=(0, 1)) * _LASH_SHADE)
    return red, green, blue


@dataclass(frozen=True, eq=False)
class Mouth:
    """The mouth of one avatar at one output size."""

    chains: tuple[Ints, Ints]
    interior: ops.WarpMesh
    count: int
    params: ops.MouthParams
    aperture: Floats
    layer: Bytes
    size: tuple[int, int]

    @classmethod
    def prepare(cls, avatar: Avatar, framing: Framing) -> Mouth:
        """The interior's texture at the output's scale and a buffer as large as the frame."""
        model = load_face_model()
        texture = shrink(avatar.interior_atlas, framing.scale)
        uv = texture_uv(avatar.interior_uv, avatar.interior_atlas.shape[1::-1], texture)
        red, green, blue = (float(value) for value in avatar.cavity_rgb)
        scale = framing.scale
        return cls(
            chains=(model.lip_upper, model.lip_lower),
            interior=ops.WarpMesh(uv, avatar.interior_triangles, texture),
            count=len(avatar.interior_vertices),
            params=ops.MouthParams(
                cavity_rgb=(red, green, blue),
                px_per_cm=avatar.meta.iod_px / _IOD_CM * scale,
                fade_px=(0.6 * scale, 2.2 * scale),
                rim_px=1.6 * scale,
            ),
            aperture=np.zeros(ops.APERTURE_SIZE, np.float32),
            layer=np.empty(framing.width * framing.height * 4, np.uint8),
            size=(framing.width, framing.height),
        )

    def draw(self, frame: Bytes, vertices: Floats, rigid: tuple[Floats, Floats]) -> None:
        """Draws the interior between the lips of this frame's vertices; nothing while closed."""
        ops.aperture(vertices, *self.chains, out=self.aperture)
        if self.aperture[5] <= self.params.fade_px[0]:
            return
        place = self.region(vertices[np.concatenate(self.chains), :2])
        if place is None:
            return
        origin, (width, height) = place
        layer = self.layer[: height * width * 4].reshape(height, width, 4)
        posed, attributes = (part[: self.count] for part in rigid)
        options = ops.WarpOptions(origin_px=origin)
        ops.warp_mesh(self.interior, posed, attributes, options, out=layer)
        ops.compose_mouth(frame, self.aperture, self.params, layer, origin)

    def region(self, chain: Floats) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """First pixel (x, y) and size (width, height) of the lips' box; None outside the frame.

        chain: float32 [n, 2], the vertices of both lips.
        """
        low = np.floor(chain.min(0)).astype(int) - _MOUTH_MARGIN_PX
        high = np.ceil(chain.max(0)).astype(int) + _MOUTH_MARGIN_PX
        low = np.clip(low, 0, self.size)
        high = np.clip(high, 0, self.size)
        width, height = (int(side) for side in high - low)
        if width <= 0 or height <= 0:
            return None
        return (int(low[0]), int(low[1])), (width, height)
