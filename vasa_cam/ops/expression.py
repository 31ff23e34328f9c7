"""Posed, shaded vertices of an avatar's mesh from expression weights and a head pose.

Coordinates are canvas pixels, x right, y down, z away from the camera. The maths is written out in
`reference_expression.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

_LIGHT_LENGTH: Final = math.hypot(0.55, 0.83)


@dataclass(frozen=True)
class Light:
    """The one light of the relighting: it only brightens or darkens what turns or folds.

    direction: unit vector that points to the light; the default is above the camera.
    ambient: share of light that comes from everywhere, (0, 1].
    relight: strength of the effect, 0 off .. 1 full.
    """

    direction: tuple[float, float, float] = (0.0, -0.55 / _LIGHT_LENGTH, -0.83 / _LIGHT_LENGTH)
    ambient: float = 0.45
    relight: float = 0.6

    def __post_init__(self) -> None:
        length = math.sqrt(sum(part * part for part in self.direction))
        if not abs(length - 1.0) < 1e-3:
            raise ValueError(f"Light: direction must be a unit vector, got length {length:.4g}")
        if not 0.0 < self.ambient <= 1.0:
            raise ValueError(f"Light: ambient must be above 0 and at most 1, got {self.ambient}")
        if not 0.0 <= self.relight <= 1.0:
            raise ValueError(f"Light: relight must be 0 to 1, got {self.relight}")


@dataclass(frozen=True, eq=False)
class ExpressionTensors:
    """What does not change between frames; S shapes, V coarse and N dense vertices."""

    shapes: Floats  # [S, V, 4] displacement x, y, z in px and fold intensity per unit of weight
    operator_indptr: Indices  # [N + 1] CSR of the matrix [N, V] that makes dense displacements
    operator_indices: Indices  # [nnz]
    operator_values: Floats  # [nnz]
    contact_pairs: Indices  # [P, 2] upper and lower coarse vertex that must not pass each other
    contact_entries: Indices  # [E, 2] pair, coarse vertex that moves when the pair overlaps
    contact_weights: Floats  # [E] its signed share of the overlap
    contact_down: Floats  # [3] unit vector from the upper to the lower lip
    rest_coarse: Floats  # [V, 3] px
    rest: Floats  # [N, 3] px
    rigid: Floats  # [N] 1 moves with the head .. 0 stays with the torso
    shade_weight: Floats  # [N] 0..1 share of the relighting
    normal_triangles: Indices  # [F, 3] dense vertices, all wound in one sense

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)


@dataclass(frozen=True, eq=False)
class Pose:
    """Where the head is and how the canvas maps to the output.

    rotation: [3, 3] about the pivot. translation_px, pivot_px: canvas px. focal_px: distance of the
    camera to the pivot's depth. principal_px: the canvas point that perspective leaves in place.
    scale: output px per canvas px. offset_px: output position of the canvas origin.
    """

    rotation: npt.ArrayLike
    translation_px: tuple[float, float, float]
    pivot_px: tuple[float, float, float]
    focal_px: float
    principal_px: tuple[float, float]
    scale: float = 1.0
    offset_px: tuple[float, float] = (0.0, 0.0)

    def values(self) -> list[float]:
        """The 21 numbers in the order of the native struct; ValueError if they make no pose."""
        rotation = np.asarray(self.rotation, np.float64)
        if rotation.shape != (3, 3):
            raise ValueError(f"Pose: rotation must be [3, 3], got {list(rotation.shape)}")
        numbers = [
            *rotation.ravel().tolist(),
            *map(float, self.translation_px),
            *map(float, self.pivot_px),
            float(self.focal_px),
            *map(float, self.principal_px),
            float(self.scale),
            *map(float, self.offset_px),
        ]
        if len(numbers) != 21:
            raise ValueError("Pose: translation_px and pivot_px have 3 numbers, the others 2")
        if not all(map(math.isfinite, numbers)):
            raise ValueError("Pose: every number must be finite")
        if self.focal_px <= 0 or self.scale <= 0:
            raise ValueError("Pose: focal_px and scale must be above 0")
        return numbers


class ExpressionMesh:
    """The prepared mesh: a native handle with its own aligned copy of the tensors.

    device: "cpu", or "cuda" with an ordinal. Frames of one handle are computed one at a time.
    Raises TypeError or ValueError for tensors that do not fit each other.
    """

    def __init__(
        self,
        tensors: ExpressionTensors,
        light: Light | None = None,
        device: tuple[str, int] = ("cpu", 0),
    ) -> None:
        self.tensors = tensors
        self.light = light or Light()
        self.device = device
        arrays = [getattr(tensors, item.name) for item in fields(ExpressionTensors)]
        light_values = [*self.light.direction, self.light.ambient, self.light.relight]
        self.native = _core.ExpressionMesh(arrays, light_values, *device)

    @property
    def shape_count(self) -> int:
        """S, the number of weights of a frame."""
        return int(self.tensors.shapes.shape[0])

    @property
    def vertex_count(self) -> int:
        """N, the number of dense vertices."""
        return int(self.tensors.rest.shape[0])


def expression(
    mesh: ExpressionMesh,
    weights: Floats,  # [S]
    pose: Pose,
    out: tuple[Floats, Floats] | None = None,
) -> tuple[Floats, Floats]:
    """Vertices float32 [N, 3] and attributes float32 [N, 2] of one frame.

    Vertices: output x, y in px and z (smaller is nearer, same scale). Attributes: the factor for
    the sRGB colour (1 at rest) and the fold weight 0..1.5. Computed on the mesh's device, where
    `out` must be; weights may be on the CPU too. Raises TypeError or ValueError, also for weights
    on the CPU that are not finite (on a GPU they make NaN vertices).
    """
    _check.check_array(weights, "expression", "weights", "float32", (mesh.shape_count,))
    if isinstance(weights, np.ndarray) and not np.isfinite(weights).all():
        raise ValueError("expression: weights must be finite, got NaN or infinity")
    count = mesh.vertex_count
    vertices, attributes = out if out is not None else (None, None)
    vertices = _output(mesh, vertices, "out vertices", (count, 3), weights)
    attributes = _output(mesh, attributes, "out attributes", (count, 2), weights)
    stream = _check.current_stream(vertices)
    _core.expression(mesh.native, weights, pose.values(), vertices, attributes, stream)
    return vertices, attributes


def _output(
    mesh: ExpressionMesh, out: Floats | None, name: str, shape: tuple[int, int], weights: Floats
) -> Floats:
    """`out` checked against the mesh's device, or a new array there."""
    if out is None:
        if _check.device_of(weights, "expression", "weights") != mesh.device:
            raise ValueError(
                f"expression: the mesh is on {mesh.device[0]} and the weights are not; "
                "pass out= on the mesh's device"
            )
        new: Floats = _check.empty_like_device(shape, "float32", weights)
        return new
    _check.check_array(out, "expression", name, "float32", shape, mesh.device)
    _check.check_writable(out, "expression", name)
    return out


def _check_shapes(tensors: ExpressionTensors) -> None:
    def check(name: str, dtype: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        array = getattr(tensors, name)
        return _check.check_array(array, "ExpressionTensors", name, dtype, shape, ("cpu", 0))

    _, coarse, _ = check("shapes", "float32", (None, None, 4))
    dense, _ = check("rest", "float32", (None, 3))
    (entries,) = check("operator_indices", "int32", (None,))
    contacts, _ = check("contact_entries", "int32", (None, 2))
    check("operator_indptr", "int32", (dense + 1,))
    check("operator_values", "float32", (entries,))
    check("contact_pairs", "int32", (None, 2))
    check("contact_weights", "float32", (contacts,))
    check("contact_down", "float32", (3,))
    check("rest_coarse", "float32", (coarse, 3))
    check("rigid", "float32", (dense,))
    check("shade_weight", "float32", (dense,))
    check("normal_triangles", "int32", (None, 3))


def _check_values(tensors: ExpressionTensors) -> None:
    coarse, dense = tensors.shapes.shape[1], tensors.rest.shape[0]
    pairs = tensors.contact_pairs.shape[0]
    _check_range("operator_indices", tensors.operator_indices, coarse)
    _check_range("contact_pairs", tensors.contact_pairs, coarse)
    _check_range("contact_entries pair", tensors.contact_entries[:, 0], pairs)
    _check_range("contact_entries vertex", tensors.contact_entries[:, 1], coarse)
    _check_range("normal_triangles", tensors.normal_triangles, dense)
    starts = tensors.operator_indptr
    if starts[0] != 0 or starts[-1] != tensors.operator_indices.size or np.any(np.diff(starts) < 0):
        raise ValueError(
            "ExpressionTensors: operator_indptr must rise from 0 to the number of "
            f"operator_indices, {tensors.operator_indices.size}"
        )
    for item in fields(tensors):
        array = getattr(tensors, item.name)
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise ValueError(f"ExpressionTensors: {item.name} must be finite")
    weight = tensors.shade_weight
    if weight.size and (weight.min() < 0 or weight.max() > 1):
        raise ValueError("ExpressionTensors: shade_weight must be 0 to 1")


def _check_range(name: str, indices: Indices, count: int) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise ValueError(
            f"ExpressionTensors: {name} must be 0 to {count - 1}, "
            f"got {indices.min()} to {indices.max()}"
        )
