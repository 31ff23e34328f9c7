"""Everything that moves with the bones instead of the skin: mouth interior, eyeballs, glasses.

They share one small mesh in a single `expression` call: the interior's vertices, three anchors per
eye that give the eyeball's place on the screen, and a grid that carries the glasses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import INDEX

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

JAW_SHAPES: Final = ("jawOpen", "jawForward", "jawLeft", "jawRight", "tongueOut")
"""The coefficients that move the mouth's interior."""
_JAW_INDEX: Final = [INDEX[name] for name in JAW_SHAPES]
_ANCHOR_SPAN_PX: Final = 20.0
_GLASSES_GRID: Final = (9, 17)
_GLASSES_AHEAD_IOD: Final = 0.12


@dataclass(frozen=True)
class RigidLayers:
    """The prepared mesh and where its parts begin.

    The mouth interior comes first. anchors: first eye anchor; right eye's three, then the left's.
    glasses: first vertex of the glasses' grid; glasses_triangles: int32 [., 3], indices from there.
    """

    mesh: ops.ExpressionMesh
    anchors: int
    glasses: int
    glasses_triangles: Ints

    @classmethod
    def build(cls, avatar: Avatar) -> RigidLayers:
        """Collects the parts of one avatar."""
        interior = avatar.interior_vertices
        anchors = np.concatenate(
            [_eye_anchors(avatar.right_eye_params), _eye_anchors(avatar.left_eye_params)]
        )
        glasses, glasses_triangles = _glasses_grid(avatar)
        rest = np.concatenate([interior, anchors, glasses]).astype(np.float32)
        count = len(rest)
        shapes = np.zeros((len(JAW_SHAPES), count, 4), np.float32)
        shapes[:, : len(interior), :3] = _jaw_shapes(avatar)
        tensors = ops.ExpressionTensors(
            shapes=shapes,
            operator_indptr=np.arange(count + 1, dtype=np.int32),
            operator_indices=np.arange(count, dtype=np.int32),
            operator_values=np.ones(count, np.float32),
            contact_pairs=np.zeros((0, 2), np.int32),
            contact_entries=np.zeros((0, 2), np.int32),
            contact_weights=np.zeros(0, np.float32),
            contact_down=np.array([0.0, 1.0, 0.0], np.float32),
            rest_coarse=rest,
            rest=rest,
            rigid=np.ones(count, np.float32),
            shade_weight=np.zeros(count, np.float32),
            normal_triangles=np.zeros((0, 3), np.int32),
        )
        first = len(interior)
        mesh = ops.ExpressionMesh(tensors)
        return cls(mesh, first, first + len(anchors), glasses_triangles)

    def weights(self, motion: Floats) -> Floats:
        """The jaw coefficients of a motion frame, float32 [5]."""
        return np.ascontiguousarray(motion[_JAW_INDEX])

    def eye_affine(self, vertices: Floats, side: int) -> npt.NDArray[np.float64]:
        """[2, 3]: output pixel (x, y, 1) -> canvas pixel on the plane of the eye.

        vertices: this frame's, float32 [n, 3]; side: 0 right, 1 left.
        """
        first = self.anchors + 3 * side
        at = vertices[first : first + 3, :2].astype(np.float64)
        inverse = np.linalg.inv(np.stack([at[1] - at[0], at[2] - at[0]], axis=1) / _ANCHOR_SPAN_PX)
        return np.column_stack([inverse, self.mesh.tensors.rest[first, :2] - inverse @ at[0]])


def _glasses_grid(avatar: Avatar) -> tuple[Floats, Ints]:
    """Vertices float32 [G, 3] and triangles int32 [., 3] that carry the glasses; empty without.

    The grid bends with the face's width, a little in front of it.
    """
    alpha = avatar.glasses_rgba[..., 3] if avatar.glasses_rgba.size else None
    if alpha is None or not alpha.any():
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    rows, columns = np.nonzero(alpha)
    x = np.linspace(columns.min() - 2, columns.max() + 2, _GLASSES_GRID[1])
    y = np.linspace(rows.min() - 2, rows.max() + 2, _GLASSES_GRID[0])
    grid_x, grid_y = (part.ravel() for part in np.meshgrid(x, y))
    dense = avatar.rest_px[: load_face_model().dense_count]
    near = (dense[:, 1] > rows.min()) & (dense[:, 1] < rows.max())
    depth = np.polyval(np.polyfit(dense[near, 0], dense[near, 2], 2), grid_x)
    depth -= _GLASSES_AHEAD_IOD * avatar.meta.iod_px
    vertices = np.stack([grid_x, grid_y, depth], axis=1).astype(np.float32)
    index = np.arange(len(vertices), dtype=np.int32).reshape(_GLASSES_GRID)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    first, second = np.stack([a, b, c], -1), np.stack([c, b, d], -1)
    return vertices, np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])


def _eye_anchors(params: Floats) -> Floats:
    """Iris centre and two points beside and below it, on the plane of the eye."""
    x, y, depth = params[2], params[3], params[6]
    span = _ANCHOR_SPAN_PX
    return np.array([[x, y, depth], [x + span, y, depth], [x, y + span, depth]], np.float32)


def _jaw_shapes(avatar: Avatar) -> Floats:
    """Displacement of the interior's vertices for each of JAW_SHAPES at 1, float32 [5, K, 3]."""
    hinge = avatar.jaw_params[:3].astype(np.float64)
    angle, forward, aside = (float(value) for value in avatar.jaw_params[3:6])
    vertices = avatar.interior_vertices.astype(np.float64)
    weight = avatar.interior_jaw_weight[:, None]
    axis = _head_x_axis(avatar)
    # Rodrigues about the head's own x axis: a positive angle swings the chin down and back.
    arm = vertices - hinge
    turned = (
        arm * np.cos(angle)
        + np.cross(axis, arm) * np.sin(angle)
        + axis * (arm @ axis)[:, None] * (1.0 - np.cos(angle))
    )
    shapes = np.stack(
        [
            (turned - arm) * weight,
            np.array([0.0, 0.0, -forward]) * weight,
            axis * aside * weight,
            -axis * aside * weight,
            avatar.interior_tongue,
        ]
    )
    return shapes.astype(np.float32)


def _head_x_axis(avatar: Avatar) -> npt.NDArray[np.float64]:
    """Unit vector from the subject's right eye to the left one: the head's x axis in the canvas."""
    model = load_face_model()
    right, left = (
        avatar.rest_px[np.concatenate(chains)].mean(0).astype(np.float64)
        for chains in (
            (model.right_lid_upper, model.right_lid_lower),
            (model.left_lid_upper, model.left_lid_lower),
        )
    )
    return np.asarray((left - right) / np.linalg.norm(left - right))
