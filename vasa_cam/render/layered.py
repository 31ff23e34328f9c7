"""The layered renderer: explicit geometry, one photo, no downloaded weights.

Skin, hair and body are one mesh warped over the background plate; eyes and mouth are drawn into the
openings between the lids and lips; glasses lie on top and move with the head alone. The native core
does the work on every frame; this module prepares it once per avatar and orders the calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import COEFFICIENTS, MOTION_SIZE, ROTATION, TRANSLATION
from vasa_cam.render.framing import Framing, feather_cut_edges, make_background
from vasa_cam.render.limits import MotionLimits, rotation_matrix
from vasa_cam.render.openings import Eye, Mouth
from vasa_cam.render.rigid_layers import RigidLayers
from vasa_cam.render.textures import shrink, texture_uv

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_EDGE_JUMP_PX = 2.4
_DETAIL_GAIN = 0.25
"""What the wrinkle map was drawn for; more looks old on smooth faces."""


@dataclass(frozen=True)
class RenderConfig:
    """What the picture is like. width, height: pixels. background: see `make_background`."""

    width: int = 512
    height: int = 512
    background: str = "photo"
    limits: MotionLimits = field(default_factory=MotionLimits)


@dataclass(frozen=True, eq=False)
class LayeredState:
    """One avatar prepared for one output size; frames of one state are drawn one at a time."""

    avatar: Avatar
    framing: Framing
    background: Bytes
    skin: ops.ExpressionMesh
    skin_texture: ops.WarpMesh
    rigid: RigidLayers
    glasses: ops.WarpMesh | None
    eyes: tuple[Eye, Eye]
    mouth: Mouth
    warp: ops.WarpOptions
    buffers: _Buffers


@dataclass(frozen=True, eq=False)
class _Buffers:
    """Memory that frames reuse, so that drawing one allocates nothing large."""

    weights: Floats  # [S]
    vertices: Floats  # [N, 3]
    attributes: Floats  # [N, 2]
    rigid_vertices: Floats  # [n, 3]
    rigid_attributes: Floats  # [n, 2]
    layer: Bytes  # [H, W, 4]
    frame: Bytes  # [H, W, 3 or 4]


class LayeredRenderer:
    """Draws avatars with explicit geometry; follows `docs/design.md`."""

    def __init__(self, config: RenderConfig | None = None) -> None:
        self.config = config or RenderConfig()

    def prepare(self, avatar: Avatar) -> LayeredState:
        """Everything that depends on the avatar and the output size, once.

        Raises InputError when the background of the configuration is not usable.
        """
        config = self.config
        framing = Framing.fit(avatar.meta.view_px, config.width, config.height)
        background = make_background(config.background, avatar.plate_rgb, framing)
        skin = ops.ExpressionMesh(_skin_tensors(avatar))
        rigid = RigidLayers.build(avatar)
        texture = shrink(feather_cut_edges(avatar.texture_rgba, framing), framing.scale)
        detail = shrink(avatar.detail, framing.scale)
        canvas = avatar.meta.canvas_px
        uv = texture_uv(avatar.rest_px[:, :2], canvas, texture)
        count, rigid_count = skin.vertex_count, rigid.mesh.vertex_count
        return LayeredState(
            avatar=avatar,
            framing=framing,
            background=background,
            skin=skin,
            skin_texture=ops.WarpMesh(uv, avatar.triangles, texture, detail),
            rigid=rigid,
            glasses=_glasses_texture(avatar, rigid, framing.scale),
            eyes=(Eye.prepare(avatar, 0, framing.scale), Eye.prepare(avatar, 1, framing.scale)),
            mouth=Mouth.prepare(avatar, framing),
            warp=ops.WarpOptions(
                detail_gain=_DETAIL_GAIN, edge_jump_px=_EDGE_JUMP_PX * max(1.0, 1.0 / framing.scale)
            ),
            buffers=_Buffers(
                weights=np.ones(skin.shape_count, np.float32),
                vertices=np.empty((count, 3), np.float32),
                attributes=np.empty((count, 2), np.float32),
                rigid_vertices=np.empty((rigid_count, 3), np.float32),
                rigid_attributes=np.empty((rigid_count, 2), np.float32),
                layer=np.empty((config.height, config.width, 4), np.uint8),
                frame=np.empty_like(background),
            ),
        )

    def render(self, state: LayeredState, motion: Floats, out: Bytes | None = None) -> Bytes:
        """Draws one frame: uint8 [H, W, 3], or [H, W, 4] with a transparent background.

        motion: float32 [58], see `vasa_cam.motion.space`. out: written and returned when given.
        Raises ValueError when the motion has another shape or is not finite.
        """
        if motion.shape != (MOTION_SIZE,) or not np.isfinite(motion).all():
            raise ValueError(f"render: motion must be {MOTION_SIZE} finite numbers, one frame")
        depth_iod = self.config.limits.depth(motion)
        motion = self.config.limits.apply(motion)
        buffers = state.buffers
        frame = np.empty_like(buffers.frame) if out is None else out
        pose = frame_pose(state, motion, depth_iod)
        buffers.weights[:COEFFICIENTS] = motion[:COEFFICIENTS]
        skin = (buffers.vertices, buffers.attributes)
        rigid = (buffers.rigid_vertices, buffers.rigid_attributes)
        ops.expression(state.skin, buffers.weights, pose, out=skin)
        ops.expression(state.rigid.mesh, state.rigid.weights(motion), pose, out=rigid)
        ops.warp_mesh(state.skin_texture, *skin, state.warp, out=buffers.layer)
        ops.compose_over(state.background, buffers.layer, out=frame)
        for eye in state.eyes:
            eye.draw(frame, skin[0], state.rigid, rigid[0], motion)
        state.mouth.draw(frame, skin[0], rigid)
        if state.glasses is not None:
            first = state.rigid.glasses
            ops.warp_mesh(
                state.glasses, rigid[0][first:], rigid[1][first:], state.warp, out=buffers.layer
            )
            ops.compose_over(frame, buffers.layer, out=frame)
        return frame


def frame_pose(state: LayeredState, motion: Floats, depth_iod: float) -> ops.Pose:
    """How the head of one motion frame is placed, after the limits; depth_iod: `limits.depth`."""
    meta, framing = state.avatar.meta, state.framing
    x, y, w, h = meta.view_px
    shift = motion[TRANSLATION] * meta.iod_px
    # The body takes what lies between the head's own depth and the wanted one. Who comes nearer
    # stays in the middle; who goes away stands on the lower edge: a photo shows nothing below it.
    zoom = (meta.focal_px + float(shift[2])) / (meta.focal_px + depth_iod * meta.iod_px)
    fixed = (x + w / 2.0, y + h / 2.0 if zoom > 1.0 else y + h)
    scale = framing.scale * zoom
    offset = [
        o + c * (framing.scale - scale) for o, c in zip(framing.offset_px, fixed, strict=True)
    ]
    return ops.Pose(
        rotation=rotation_matrix(motion[ROTATION]),
        translation_px=(float(shift[0]), float(shift[1]), float(shift[2])),
        pivot_px=meta.pivot_px,
        focal_px=meta.focal_px,
        principal_px=(x + w / 2.0, y + h / 2.0),
        scale=scale,
        offset_px=(offset[0], offset[1]),
    )


def _skin_tensors(avatar: Avatar) -> ops.ExpressionTensors:
    """The avatar's mesh as `expression` wants it; the first coarse rows of the dense mesh are the
    coarse vertices themselves."""
    model = load_face_model()
    coarse = avatar.shapes.shape[1]
    corners = avatar.rest_px[[model.lip_upper[0], model.lip_upper[-1]], :2]
    across = corners[1] - corners[0]
    down = np.array([-across[1], across[0], 0.0], np.float32) / np.linalg.norm(across)
    return ops.ExpressionTensors(
        shapes=avatar.shapes,
        operator_indptr=avatar.operator_indptr,
        operator_indices=avatar.operator_indices,
        operator_values=avatar.operator_values,
        contact_pairs=avatar.contact_pairs,
        contact_entries=avatar.contact_entries,
        contact_weights=avatar.contact_weights,
        contact_down=down.astype(np.float32),
        rest_coarse=np.ascontiguousarray(avatar.rest_px[:coarse]),
        rest=avatar.rest_px,
        rigid=avatar.rigid_weight,
        shade_weight=avatar.shade_weight,
        normal_triangles=model.dense_triangles,
    )


def _glasses_texture(avatar: Avatar, rigid: RigidLayers, scale: float) -> ops.WarpMesh | None:
    if not len(rigid.glasses_triangles):
        return None
    texture = shrink(avatar.glasses_rgba, scale)
    points = rigid.mesh.tensors.rest[rigid.glasses :, :2]
    uv = texture_uv(points, avatar.meta.canvas_px, texture)
    return ops.WarpMesh(uv, rigid.glasses_triangles, texture)
