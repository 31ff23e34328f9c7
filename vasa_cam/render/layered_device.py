"""The layered renderer's frame on another device: everything stays there until it is done.

The CPU decides what a call's arguments hold (the eyes' place, whether the mouth is open and where),
from its own copy of the few vertices that this takes: the bones' and the lips'. So a frame on a GPU
is one sequence of launches that waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.render.layered import LayeredState, frame_pose
from vasa_cam.render.limits import MotionLimits

Floats = npt.NDArray[np.float32]


class DeviceFrames:
    """Frames of a prepared avatar with a background, as I420 on a device.

    place: ("cuda", ordinal), or ("cpu", 0). array: makes an array of that device from a NumPy one.
    Frames of one object are drawn one at a time, on the caller's current stream.
    """

    def __init__(
        self,
        state: LayeredState,
        place: tuple[str, int],
        array: Callable[[npt.NDArray[Any]], Any],
        limits: MotionLimits | None = None,
    ) -> None:
        self._state = state
        self._limits = limits or MotionLimits()
        self._lips, self._lip_chains = _lips(state)
        skin, rigid = state.skin, state.rigid.mesh
        self._skin = ops.ExpressionMesh(skin.tensors, skin.light, place)
        self._rigid = ops.ExpressionMesh(rigid.tensors, rigid.light, place)
        self._texture = _moved(state.skin_texture, place)
        self._interior = _moved(state.mouth.interior, place)
        self._glasses = None if state.glasses is None else _moved(state.glasses, place)
        self._background = array(state.background)
        self._eyes = [
            tuple(array(part) for part in (*eye.chains, eye.sclera, eye.iris, eye.lid))
            for eye in state.eyes
        ]
        self._mouth = tuple(array(chain) for chain in state.mouth.chains)
        self._buffers = _buffers(state, array)

        height, width = state.background.shape[:2]
        self._frame = array(np.zeros((height, width, 3), np.uint8))
        self.i420 = array(np.zeros((height // 2 * 3, width), np.uint8))

    def draw(self, motion: Floats) -> Any:
        """One frame, uint8 [H * 3 / 2, W] on the device, from motion float32 [58].

        The same memory at every call. On a GPU the frame is complete when the stream gets there.
        """
        state, buffers = self._state, self._buffers
        depth_iod = self._limits.depth(motion)
        motion = self._limits.apply(motion)
        pose = frame_pose(state, motion, depth_iod)
        weights = state.buffers.weights
        weights[:COEFFICIENTS] = motion[:COEFFICIENTS]
        jaw = state.rigid.weights(motion)
        bones, _ = ops.expression(
            state.rigid.mesh,
            jaw,
            pose,
            (state.buffers.rigid_vertices, state.buffers.rigid_attributes),
        )
        ops.expression(self._skin, weights, pose, buffers["skin"])
        ops.expression(self._rigid, jaw, pose, buffers["rigid"])
        vertices, attributes = buffers["skin"]
        ops.warp_mesh(self._texture, vertices, attributes, state.warp, out=buffers["layer"])
        ops.compose_over(self._background, buffers["layer"], out=self._frame)
        for eye, (upper, lower, sclera, iris, lid) in zip(state.eyes, self._eyes, strict=True):
            opening = ops.aperture(buffers["skin"][0], upper, lower, out=buffers["aperture"])
            params = eye.placed(state.rigid, bones, motion)
            ops.compose_eye(self._frame, opening, params, sclera, iris, lid)
        self._draw_mouth(weights, pose)
        if self._glasses is not None:
            vertices, attributes = (part[state.rigid.glasses :] for part in buffers["rigid"])
            ops.warp_mesh(self._glasses, vertices, attributes, state.warp, out=buffers["layer"])
            ops.compose_over(self._frame, buffers["layer"], out=self._frame)
        return ops.pixel(self._frame, "i420", out=self.i420)

    def _draw_mouth(self, weights: Floats, pose: ops.Pose) -> None:
        mouth, buffers = self._state.mouth, self._buffers
        lips, _ = ops.expression(self._lips, weights, pose)
        if ops.aperture(lips, *self._lip_chains)[5] <= mouth.params.fade_px[0]:
            return
        place = mouth.region(lips[:, :2])
        if place is None:
            return
        origin, (width, height) = place
        layer = buffers["mouth"][: 4 * width * height].reshape(height, width, 4)
        vertices, attributes = (part[: mouth.count] for part in buffers["rigid"])
        options = ops.WarpOptions(origin_px=origin)
        ops.warp_mesh(self._interior, vertices, attributes, options, out=layer)
        upper, lower = self._mouth
        opening = ops.aperture(buffers["skin"][0], upper, lower, out=buffers["aperture"])
        ops.compose_mouth(self._frame, opening, mouth.params, layer, origin)


def _lips(
    state: LayeredState,
) -> tuple[ops.ExpressionMesh, tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """The skin's mesh cut down to the vertices of both lips, and the chains in it."""
    tensors = state.skin.tensors
    upper, lower = state.mouth.chains
    rows = np.concatenate([upper, lower])
    starts = tensors.operator_indptr
    entries = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
    counts = starts[rows + 1] - starts[rows]
    cut = replace(
        tensors,
        operator_indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        operator_indices=np.ascontiguousarray(tensors.operator_indices[entries]),
        operator_values=np.ascontiguousarray(tensors.operator_values[entries]),
        rest=np.ascontiguousarray(tensors.rest[rows]),
        rigid=np.ascontiguousarray(tensors.rigid[rows]),
        shade_weight=np.zeros(len(rows), np.float32),
        normal_triangles=np.zeros((0, 3), np.int32),
    )
    chains = np.arange(len(rows), dtype=np.int32)
    return ops.ExpressionMesh(cut), (chains[: len(upper)], chains[len(upper) :])


def _moved(mesh: ops.WarpMesh, place: tuple[str, int]) -> ops.WarpMesh:
    return ops.WarpMesh(mesh.uv, mesh.drawn, mesh.texture, mesh.detail, place)


def _buffers(state: LayeredState, array: Callable[[npt.NDArray[Any]], Any]) -> dict[str, Any]:
    """What a frame writes on its way, on the device."""
    here = state.buffers
    return {
        "skin": (array(here.vertices), array(here.attributes)),
        "rigid": (array(here.rigid_vertices), array(here.rigid_attributes)),
        "layer": array(here.layer),
        "mouth": array(state.mouth.layer),
        "aperture": array(np.zeros(ops.APERTURE_SIZE, np.float32)),
    }
