"""From 478 landmarks to the mesh that is warped: head frame, depth, face and outer rings.

The neutral mesh lies exactly on the photo: a vertex's texture coordinate is its own position, so
that rest motion reproduces the picture. Only depth is invented: half the tracker's, half the
canonical model's, with a limit on its slope, because steep ears and cheeks tear in a turning head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.face_model import FaceModel
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_UPPER_FACE_MAX_Y_CM: Final = 2.2
_MAX_DEPTH_SLOPE: Final = 1.5
_FACE_WIDTH_CM: Final = 14.5
_RINGS: Final = 24
_FOCAL_FACE_WIDTHS: Final = 5.0
_EAR_PLANE_CM: Final = (0.0, 0.0, 3.2)
_NECK_CM: Final = (0.0, 6.0, 0.5)


@dataclass(frozen=True)
class HeadFrame:
    """Where the head is in the photo: px = px_per_cm * rotation @ cm + origin_px.

    rotation: float32 [3, 3]; px_per_cm: scale; origin_px: float32 [3], the canonical origin, which
    is also the pivot of head motion. Axes x right, y down, z away.
    """

    rotation: Floats
    px_per_cm: float
    origin_px: Floats

    def to_px(self, points_cm: Floats) -> Floats:
        """Head frame [..., 3] in cm -> canvas [..., 3] in px."""
        return np.asarray(points_cm @ self.rotation.T * self.px_per_cm + self.origin_px, np.float32)

    def to_cm(self, points_px: Floats) -> Floats:
        """Canvas [..., 3] in px -> head frame [..., 3] in cm."""
        return np.asarray((points_px - self.origin_px) @ self.rotation / self.px_per_cm, np.float32)

    @property
    def face_width_px(self) -> float:
        """Width of an average face at this scale, the unit of all reaches below."""
        return _FACE_WIDTH_CM * self.px_per_cm

    @property
    def focal_px(self) -> float:
        """Focal length of the portrait's assumed perspective."""
        return _FOCAL_FACE_WIDTHS * self.face_width_px


@dataclass(frozen=True)
class PortraitMesh:
    """The mesh fields of an Avatar; shapes and units as in `vasa_cam.avatar.file.Avatar`."""

    rest_px: Floats
    triangles: Ints
    rigid_weight: Floats
    shade_weight: Floats
    operator_indptr: Ints
    operator_indices: Ints
    operator_values: Floats


def fit_head_frame(points_px: Floats, model: FaceModel) -> HeadFrame:
    """Similarity transform from the canonical face to the photo, by Procrustes on the upper face.

    points_px: float32 [>=468, 3]. The mouth and jaw are left out because they move.
    """
    rigid = model.vertices[:, 1] < _UPPER_FACE_MAX_Y_CM
    source = model.vertices[rigid].astype(np.float64)
    target = points_px[:468][rigid].astype(np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, s, vt = np.linalg.svd((source - source_mean).T @ (target - target_mean))
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * flip @ vt).T
    scale = float((s * flip).sum() / ((source - source_mean) ** 2).sum())
    origin = target_mean - scale * rotation @ source_mean
    return HeadFrame(rotation.astype(np.float32), scale, origin.astype(np.float32))


def settle_depth(points_px: Floats, frame: HeadFrame, model: FaceModel) -> Floats:
    """Depth of the 468 vertices: half tracker, half canonical, then limited in slope.

    Returns float32 [468, 3]: x and y as given, z in px. The limit spreads outwards from the central
    face, which keeps its depth.
    """
    cm = frame.to_cm(points_px[:468])
    cm[:, 2] = 0.5 * (cm[:, 2] + model.vertices[:, 2])
    points = frame.to_px(cm)
    points[:, :2] = points_px[:468, :2]
    central = (np.abs(cm[:, 0]) < 3.2) & (cm[:, 1] > -4.5)
    kept = points[central, 2].copy()
    edges = np.unique(
        np.sort(model.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1), axis=0
    )
    a, b = edges.T
    rise = np.linalg.norm(points[a, :2] - points[b, :2], axis=1) * _MAX_DEPTH_SLOPE
    for _ in range(60):
        np.minimum.at(points[:, 2], a, points[b, 2] + rise)
        np.minimum.at(points[:, 2], b, points[a, 2] + rise)
        points[central, 2] = kept
    return points


def build_mesh(points_px: Floats, frame: HeadFrame, model: FaceModel, hair: Floats) -> PortraitMesh:
    """Dense face mesh plus rings from the face oval out to beyond the canvas.

    points_px: float32 [468, 3] from `settle_depth`; hair: float32 [Hc, Wc] in 0..1, around the face
    and over the forehead: where the mesh follows the head alone and no expression.
    """
    dense = model.subdivide(points_px)
    indptr, indices = model.sub_indptr, model.sub_indices
    values = model.sub_values * np.repeat(1.0 - _sample(hair, dense), np.diff(indptr))
    rings = _OuterRings.around(dense[model.oval], frame, canvas_size=hair.shape[::-1])
    oval_rows = _csr_rows(indptr, indices, model.sub_values, model.oval)
    coupling = rings.coupling(oval_rows, hair)
    outer_indptr, outer_indices, outer_values = _to_csr(coupling)
    count = len(dense)
    return PortraitMesh(
        rest_px=np.concatenate([dense, rings.points]).astype(np.float32),
        triangles=np.concatenate(
            [model.dense_triangles, model.fill_triangles, rings.triangles(model.oval, count)]
        ).astype(np.int32),
        rigid_weight=np.concatenate([np.ones(count), rings.rigid_weight()]).astype(np.float32),
        shade_weight=np.concatenate(
            [model.subdivide(_inner_weight(model)).clip(0.0, 1.0), np.zeros(len(rings.points))]
        ).astype(np.float32),
        operator_indptr=np.concatenate([indptr, outer_indptr[1:] + indptr[-1]]).astype(np.int32),
        operator_indices=np.concatenate([indices, outer_indices]).astype(np.int32),
        operator_values=np.concatenate([values, outer_values]).astype(np.float32),
    )


@dataclass(frozen=True)
class _OuterRings:
    """Rings of vertices from the oval outwards: hair, ears, neck, shoulders.

    points: [J * K, 3], ring after ring; distance_px: [J * K] from the oval; K vertices a ring.
    """

    points: npt.NDArray[np.float64]
    distance_px: npt.NDArray[np.float64]
    oval: npt.NDArray[np.float64]
    face_width_px: float

    @classmethod
    def around(cls, oval: Floats, frame: HeadFrame, canvas_size: tuple[int, int]) -> _OuterRings:
        ring = oval.astype(np.float64)
        center = 0.5 * (ring[:, :2].min(0) + ring[:, :2].max(0))
        ray = ring[:, :2] - center
        radius = np.linalg.norm(ray, axis=1, keepdims=True)
        corners = np.array([(x, y) for x in (0, canvas_size[0]) for y in (0, canvas_size[1])])
        reach = 1.05 * float(np.linalg.norm(corners - center, axis=1).max())
        width = frame.face_width_px
        gap = np.maximum(reach - radius, 0.05 * width)
        # Spacing grows with distance: about 1 % of the way at the oval, where expressions reach.
        step = np.expm1(np.linspace(0.0, 1.0, _RINGS + 1)[1:] * 2.2) / np.expm1(2.2)
        flat = ring[None, :, :2] + step[:, None, None] * (ray / radius * gap)[None]
        distance = np.broadcast_to(step[:, None] * gap[:, 0][None], flat.shape[:2])
        depth = _outer_depth(flat, distance, ring, frame)
        points = np.concatenate([flat, depth[..., None]], axis=2).reshape(-1, 3)
        return cls(points, distance.reshape(-1), ring, width)

    def triangles(self, oval_index: Ints, first: int) -> Ints:
        """Two triangles a quad between neighbouring rings; ring 0 is the face oval itself."""
        size = len(oval_index)
        rings = first + np.arange(len(self.points)).reshape(-1, size)
        inner = np.concatenate([oval_index[None], rings[:-1]])
        inner_next, outer_next = np.roll(inner, -1, 1), np.roll(rings, -1, 1)
        first_half = np.stack([inner, rings, outer_next], -1).reshape(-1, 3)
        second_half = np.stack([inner, outer_next, inner_next], -1).reshape(-1, 3)
        return np.concatenate([first_half, second_half]).astype(np.int32)

    def rigid_weight(self) -> npt.NDArray[np.float64]:
        """1 for head and hair, falling smoothly to 0 below the chin, and earlier beside the neck,
        where shoulders and collars are."""
        chin = self.oval[self.oval[:, 1].argmax()]
        width = self.face_width_px
        aside = smoothstep(0.33 * width, 0.60 * width, np.abs(self.points[:, 0] - chin[0]))
        below = self.points[:, 1] - chin[1] + 0.60 * width * aside
        return np.asarray(1.0 - smoothstep(-0.02 * width, 0.62 * width, below), np.float64)

    def coupling(self, oval_rows: Floats, hair: Floats) -> npt.NDArray[np.float64]:
        """How far each outer vertex follows the face's expression: [J * K, 468]."""
        size = len(self.oval)
        spacing = np.linalg.norm(np.roll(self.oval, -1, 0) - self.oval, axis=1)[:, None]
        ring_distance = self.distance_px.reshape(-1, size)
        fade = np.exp(-((self.distance_px / (0.20 * self.face_width_px)) ** 1.5))
        fade *= 1.0 - _sample(hair, self.points)
        step = np.abs(np.arange(size)[:, None] - np.arange(size)[None])
        step = np.minimum(step, size - step)
        rows = []
        for distance in ring_distance:
            sigma = 0.5 + 0.5 * distance[:, None] / spacing
            window = np.exp(-0.5 * (step / sigma) ** 2)
            rows.append(window / window.sum(1, keepdims=True) @ oval_rows)
        return np.concatenate(rows) * fade[:, None]


def _outer_depth(
    flat: npt.NDArray[np.float64],
    distance: npt.NDArray[np.float64],
    oval: npt.NDArray[np.float64],
    frame: HeadFrame,
) -> npt.NDArray[np.float64]:
    """Depth relaxes from the oval to the ear plane; the neck sits behind the chin."""
    width = frame.face_width_px
    scale = frame.px_per_cm
    ear = float(frame.to_px(np.array(_EAR_PLANE_CM, np.float32))[2])
    plane = min(ear, float(np.percentile(oval[:, 2], 85)) + 1.2 * scale)
    follow = np.exp(-((distance / (0.22 * width)) ** 1.3))
    smooth_oval = oval[:, 2]
    depth = np.empty(distance.shape)
    for row in range(len(distance)):
        depth[row] = plane + (smooth_oval - plane) * follow[row]
        smooth_oval = (np.roll(smooth_oval, 1) + 2.0 * smooth_oval + np.roll(smooth_oval, -1)) / 4.0
    chin = oval[oval[:, 1].argmax()]
    neck = float(frame.to_px(np.array(_NECK_CM, np.float32))[2])
    below = smoothstep(-0.05 * width, 0.12 * width, flat[..., 1] - chin[1])
    below = below * np.exp(-(((flat[..., 0] - chin[0]) / (0.5 * width)) ** 2))
    return np.asarray(depth * (1.0 - below) + below * np.maximum(neck, depth), np.float64)


def _inner_weight(model: FaceModel) -> Floats:
    """1 in the middle of the face, 0 on the oval: where relighting may act."""
    oval_cm = model.subdivide(model.vertices)[model.oval]
    gap = np.linalg.norm(model.vertices[:, None] - oval_cm[None], axis=2).min(1)
    return smoothstep(0.3, 3.0, gap)


def _sample(picture: Floats, points: npt.NDArray[np.floating]) -> Floats:
    """Nearest pixels of a picture [H, W] under points [N, >=2], the border's beyond it."""
    x = np.clip(np.rint(points[:, 0]), 0, picture.shape[1] - 1).astype(np.int64)
    y = np.clip(np.rint(points[:, 1]), 0, picture.shape[0] - 1).astype(np.int64)
    return np.asarray(picture[y, x], np.float32)


def _csr_rows(indptr: Ints, indices: Ints, values: Floats, rows: Ints) -> Floats:
    """Selected rows of a CSR [N, 468] as a dense matrix."""
    out = np.zeros((len(rows), 468), np.float32)
    for k, row in enumerate(rows):
        part = slice(indptr[row], indptr[row + 1])
        out[k, indices[part]] = values[part]
    return out


def _to_csr(matrix: npt.NDArray[np.float64]) -> tuple[Ints, Ints, Floats]:
    """Dense -> CSR; entries too small to move a vertex by a hundredth of a pixel are dropped."""
    keep = np.abs(matrix) > 1e-3
    indptr = np.concatenate([[0], np.cumsum(keep.sum(1))]).astype(np.int32)
    indices = np.nonzero(keep)[1].astype(np.int32)
    return indptr, indices, matrix[keep].astype(np.float32)
