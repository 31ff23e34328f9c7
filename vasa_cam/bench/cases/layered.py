"""The ops of the layered renderer, on the built-in avatar as a frame of talk has it.

There is no library that draws eyes and mouths: those are set against the NumPy reference alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Setting, Trial, Way, Work, bytes_of
from vasa_cam.bench.cases.portrait import drawn, pose_of, prepared, talking
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.ops import (
    reference_compose,
    reference_expression,
    reference_warp_mesh,
)

Pixels = np.ndarray[Any, Any]

_SIZES: Final = (512, 1024)


def cases() -> Iterator[Case]:
    """Every op of a frame, in its order."""
    yield expression_case(512)
    for side in _SIZES:
        yield warp_mesh_case(side)
        yield compose_over_case(side)
    yield aperture_case(512)
    yield compose_eye_case(512)
    yield compose_mouth_case(512)


def expression_work(tensors: ops.ExpressionTensors) -> Work:
    """Shapes to coarse vertices, coarse to dense, normals of triangles, then every vertex."""
    shapes, coarse, _ = tensors.shapes.shape
    dense, entries = len(tensors.rest), len(tensors.operator_values)
    triangles = len(tensors.normal_triangles)
    read = bytes_of(*(getattr(tensors, name) for name in tensors.__dataclass_fields__))
    flops = 8 * shapes * coarse + 8 * entries + 24 * triangles + 60 * dense
    return Work(
        read + 4 * shapes + 4 * 5 * dense,
        flops,
        "bytes: the mesh's tensors + 4 S + 20 N; flops: 8 S V blending + 8 nnz + "
        "24 F normals + 60 N pose, perspective and light",
    )


def expression_case(side: int) -> Case:
    """The skin's mesh; its size does not depend on the picture's."""

    def build(setting: Setting) -> Trial:
        mesh, pose = prepared(side).skin, pose_of(side)
        weights = np.ones(mesh.shape_count, np.float32)
        weights[:COEFFICIENTS] = talking()[:COEFFICIENTS]
        device = setting.device
        count = mesh.vertex_count

        def ours() -> Call:
            here = mesh
            if device.kind == "cuda":
                here = ops.ExpressionMesh(mesh.tensors, mesh.light, device.place)
            given = device.array(weights)
            vertices, attributes = (
                device.array(np.zeros((count, size), np.float32)) for size in (3, 2)
            )
            return lambda: ops.expression(here, given, pose, (vertices, attributes))

        def scipy() -> Call:
            run = _expression_scipy(mesh.tensors, pose)
            return lambda: run(weights)

        other = Way(
            "NumPy and SciPy float32",
            scipy,
            needs=("scipy",),
            part="without contacts, perspective and light",
        )
        if device.kind == "cuda":
            out = np.empty((count, 3), np.float32), np.empty((count, 2), np.float32)
            other = Way(
                "CPU twin", lambda: lambda: ops.expression(mesh, weights, pose, out), clock="wall"
            )
        return Trial(
            (Way("vasa_cam", ours), other),
            lambda: reference_expression.expression(mesh, weights, pose),
            # Pixels at coordinates up to 2,000, whose own step in float32 is 1.2e-4.
            Check("absolute", 2e-3),
            expression_work(mesh.tensors),
        )

    return Case(
        "expression/portrait",
        "ops",
        ("expression",),
        "skin of the built-in avatar",
        "float32",
        build,
    )


def _expression_scipy(tensors: ops.ExpressionTensors, pose: ops.Pose) -> Any:
    """The dense part with library calls; everything that can be prepared is."""
    from scipy.sparse import csr_matrix

    shapes = tensors.shapes.reshape(len(tensors.shapes), -1)
    dense, faces = len(tensors.rest), len(tensors.normal_triangles)
    matrix = csr_matrix(
        (tensors.operator_values, tensors.operator_indices, tensors.operator_indptr),
        (dense, len(tensors.rest_coarse)),
    )
    corners = (tensors.normal_triangles.ravel(), np.repeat(np.arange(faces), 3))
    gather = csr_matrix((np.ones(3 * faces, np.float32), corners), (dense, faces))
    rotation, pivot = np.asarray(pose.rotation, np.float32), np.asarray(pose.pivot_px, np.float32)
    a, b, c = tensors.normal_triangles.T

    def run(weights: Pixels) -> tuple[Pixels, Pixels]:
        coarse = (weights @ shapes).reshape(-1, 4)
        points = tensors.rest + (matrix @ coarse)[:, :3]
        head = (points - pivot) @ rotation.T + pivot
        posed = points + tensors.rigid[:, None] * (head - points)
        normals = gather @ np.cross(posed[b] - posed[a], posed[c] - posed[a])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return posed, normals / np.maximum(length, np.float32(1e-12))

    return run


def warp_mesh_work(mesh: ops.WarpMesh, side: int, covered: int) -> Work:
    """A bicubic lookup of four channels takes about 180 operations."""
    detail = () if mesh.detail is None else (mesh.detail,)
    moved = bytes_of(mesh.uv, mesh.drawn, mesh.texture, *detail)
    return Work(
        moved + 20 * mesh.vertex_count + 4 * side * side,
        180 * covered,
        "bytes: uv, triangles, texture and detail + 20 N + 4 HW; flops: 180 a covered pixel",
    )


def warp_mesh_case(side: int) -> Case:
    """The skin layer: hair, face and body from the photo."""

    def build(setting: Setting) -> Trial:
        state, device = drawn(side), setting.device
        mesh, buffers = state.skin_texture, state.buffers
        wanted = reference_warp_mesh.warp_mesh(
            mesh, buffers.vertices, buffers.attributes, state.warp,
            out=np.empty((side, side, 4), np.uint8),
        )  # fmt: skip

        def ours() -> Call:
            here = mesh
            if device.kind == "cuda":
                here = ops.WarpMesh(
                    mesh.uv, mesh.drawn, mesh.texture, mesh.detail, device=device.place
                )
            given = [device.array(part) for part in (buffers.vertices, buffers.attributes)]
            out = device.array(np.zeros((side, side, 4), np.uint8))
            return lambda: ops.warp_mesh(here, given[0], given[1], state.warp, out=out)

        def twin() -> Call:
            out = np.empty((side, side, 4), np.uint8)
            vertices, attributes = buffers.vertices, buffers.attributes
            return lambda: ops.warp_mesh(mesh, vertices, attributes, state.warp, out=out)

        other = Way(
            "cv2.remap, bicubic",
            lambda: _remap(mesh.texture, side, setting.threads),
            needs=("cv2",),
            part="the lookup alone, for a given map",
        )
        if device.kind == "cuda":
            other = Way("CPU twin", twin, clock="wall")
        return Trial(
            (Way("vasa_cam", ours), other),
            lambda: wanted,
            # 2 levels of colour from lookups at 1/256 px; edges may go to either side.
            Check("absolute", 2, share=1e-3),
            warp_mesh_work(mesh, side, int((wanted[..., 3] > 0).sum())),
        )

    return Case(f"warp_mesh/{side}x{side}", "ops", ("warp_mesh",), f"[{side}, {side}, 4]", "uint8",
                build)  # fmt: skip


def _remap(texture: Pixels, side: int, threads: int) -> Call:
    import cv2

    cv2.setNumThreads(threads)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * np.float32(len(texture) / side)
    map_x, map_y = x + 3 * np.sin(y / 40), y + 3 * np.cos(x / 30)
    return lambda: cv2.remap(texture, map_x, map_y, cv2.INTER_CUBIC)


def compose_over_work(side: int) -> Work:
    """Three bytes of background, four of layer, three out; five operations a channel."""
    pixels = side * side
    return Work(10 * pixels, 15 * pixels, "bytes: 3 HW + 4 HW + 3 HW; flops: 15 HW")


def compose_over_case(side: int) -> Case:
    """The skin layer over the background plate."""

    def build(setting: Setting) -> Trial:
        state, device = drawn(side), setting.device
        background, layer = state.background, state.buffers.layer.copy()

        def ours() -> Call:
            below, above = device.array(background), device.array(layer)
            out = device.array(np.zeros_like(background))
            return lambda: ops.compose_over(below, above, out=out)

        def twin() -> Call:
            out = np.empty_like(background)
            return lambda: ops.compose_over(background, layer, out=out)

        other = Way("NumPy uint16", lambda: _over_numpy(background, layer))
        if device.kind == "cuda":
            other = Way("CPU twin", twin, clock="wall")
        return Trial(
            (Way("vasa_cam", ours), other),
            lambda: reference_compose.compose_over(
                background, layer, (0, 0), out=np.empty_like(background)
            ),
            Check("absolute", 1),
            compose_over_work(side),
        )

    return Case(f"compose_over/{side}x{side}", "ops", ("compose_over",), f"[{side}, {side}, 3]",
                "uint8", build)  # fmt: skip


def _over_numpy(background: Pixels, layer: Pixels) -> Call:
    out = np.empty_like(background)

    def over() -> Pixels:
        alpha = layer[..., 3:].astype(np.uint16)
        mixed = layer[..., :3] * alpha + background * (255 - alpha) + 127
        return np.floor_divide(mixed, 255, out=out, casting="unsafe")

    return over


def aperture_case(side: int) -> Case:
    """The opening between the lips, from the chains of both lips."""

    def build(setting: Setting) -> Trial:
        state, device = drawn(side), setting.device
        vertices, (upper, lower) = state.buffers.vertices, state.mouth.chains

        def ours() -> Call:
            given = [device.array(part) for part in (vertices, upper, lower)]
            out = device.array(np.zeros(ops.APERTURE_SIZE, np.float32))
            return lambda: ops.aperture(given[0], given[1], given[2], out=out)

        def reference() -> Pixels:
            out = np.empty(ops.APERTURE_SIZE, np.float32)
            return reference_compose.aperture(vertices, upper, lower, out=out)

        members = len(upper) + len(lower)
        knots = ops.APERTURE_SIZE - 6
        return Trial(
            (Way("vasa_cam", ours), Way("NumPy float64", lambda: reference)),
            reference,
            Check("absolute", 5e-4),  # px; float32 differences of coordinates up to 2,000
            Work(
                16 * members + 4 * ops.APERTURE_SIZE,
                8 * members + 6 * knots,
                "bytes: 16 a vertex of the chains + 536; flops: 8 a vertex + 6 a knot of 128",
            ),
        )

    return Case("aperture/lips", "ops", ("aperture",), "2 chains to [134]", "float32", build,
                devices=("cpu",))  # fmt: skip


def _drawing_work(region: tuple[int, int, int, int], layers: Sequence[Pixels]) -> Work:
    x0, y0, x1, y1 = region
    pixels = (x1 - x0) * (y1 - y0)
    return Work(
        6 * pixels + bytes_of(*layers) + 4 * ops.APERTURE_SIZE,
        120 * pixels,
        "bytes: 6 a pixel of the opening's box + the layers + 536; flops: 120 a pixel "
        "(three bilinear lookups, two curves, three blends)",
    )


def compose_eye_case(side: int) -> Case:
    """One eye, half shut and looking aside."""

    def build(setting: Setting) -> Trial:
        state, device = drawn(side), setting.device
        eye, frame = state.eyes[0], state.buffers.frame
        params = eye.placed(state.rigid, state.buffers.rigid_vertices, talking())
        layers = (eye.sclera, eye.iris, eye.lid)

        def ours() -> Call:
            picture, opening = device.array(frame), device.array(eye.aperture)
            parts = [device.array(layer) for layer in layers]

            def draw() -> Any:
                ops.compose_eye(picture, opening, params, *parts)
                return picture

            return draw

        def reference() -> Any:
            picture = frame.copy()
            reference_compose.compose_eye(picture, eye.aperture, params, *layers)
            return picture

        region = reference_compose.bounds(eye.aperture, 4 * params.softness_px, side, side)
        return Trial(
            (Way("vasa_cam", ours), Way("NumPy float64", lambda: reference)),
            reference,
            Check("absolute", 1, share=0.005),
            _drawing_work(region, layers),
        )

    return Case("compose_eye/portrait", "ops", ("compose_eye",), f"an eye in [{side}, {side}, 3]",
                "uint8", build)  # fmt: skip


def compose_mouth_case(side: int) -> Case:
    """The open mouth with teeth and tongue."""

    def build(setting: Setting) -> Trial:
        state, device = drawn(side), setting.device
        mouth, frame = state.mouth, state.buffers.frame
        place = mouth.region(state.buffers.vertices[np.concatenate(mouth.chains), :2])
        assert place is not None  # `talking` opens the mouth
        (x, y), (width, height) = place
        interior = mouth.layer[: 4 * width * height].reshape(height, width, 4).copy()

        def ours() -> Call:
            picture, opening, inside = map(device.array, (frame, mouth.aperture, interior))

            def draw() -> Any:
                ops.compose_mouth(picture, opening, mouth.params, inside, (x, y))
                return picture

            return draw

        def reference() -> Any:
            picture = frame.copy()
            reference_compose.compose_mouth(picture, mouth.aperture, mouth.params, interior, (x, y))
            return picture

        return Trial(
            (Way("vasa_cam", ours), Way("NumPy float64", lambda: reference)),
            reference,
            Check("absolute", 1, share=0.005),
            _drawing_work((x, y, x + width, y + height), [interior]),
        )

    return Case("compose_mouth/portrait", "ops", ("compose_mouth",),
                f"a mouth in [{side}, {side}, 3]", "uint8", build)  # fmt: skip
