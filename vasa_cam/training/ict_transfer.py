"""Carries ICT-FaceKit's expressions over to the canonical face mesh.

The two neutral faces are registered by a thin-plate spline on 68 landmarks (Bookstein 1989), with
the canonical mouth closed first because ICT's is. Each canonical vertex then takes a smooth mean
of the displacements around its place. Upper and lower lips and lids only take from their own side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from vasa_cam.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_RINGS,
)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FACE_VERTICES = 9409
"""ICT's face region: the first vertices of its mesh, without neck, sockets and eyes."""

IBUG_TO_MEDIAPIPE = (
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
"""The 68-point convention's landmarks in MediaPipe's numbering."""

# Contour points (17 of them) differ between the conventions: they only steer, softly.
_CONTOUR = 17
_FOUR_SIDES = (
    ((49, 50, 51, 52, 53, 61, 62, 63), (55, 56, 57, 58, 59, 65, 66, 67)),
    ((37, 38), (40, 41)),
    ((43, 44), (46, 47)),
)
_REACH_CM = (4.2, 2.6, 2.6)


@dataclass(frozen=True)
class IctFace:
    """ICT's face region in our axes: neutral [F, 3] cm, triangles, landmarks [68], expressions."""

    neutral: Array
    edges: Indices
    landmarks: Indices
    expressions: dict[str, Array]


def to_our_axes(points: npt.NDArray[np.floating]) -> Array:
    """(x right, y up, z to the viewer) -> (x right, y down, z away)."""
    return np.asarray(np.asarray(points, np.float64) * np.array([1.0, -1.0, -1.0]))


def ict_face(
    neutral: npt.NDArray[np.floating],
    faces: npt.NDArray[np.integer],
    expressions: dict[str, npt.NDArray[np.floating]],
    landmarks: list[int],
) -> IctFace:
    """The face region of ICT's arrays (its own axes), ready for transfer."""
    quads = faces[(faces < FACE_VERTICES).all(1)].astype(np.int64)
    pairs = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return IctFace(
        neutral=to_our_axes(neutral[:FACE_VERTICES]),
        edges=pairs,
        landmarks=np.asarray(landmarks, np.int64),
        expressions={n: to_our_axes(x[:FACE_VERTICES]) for n, x in expressions.items()},
    )


def _registered(face: IctFace, target: Array) -> Array:
    """ICT's neutral bent onto the canonical mesh by its landmarks."""
    source = face.neutral[face.landmarks]
    goal = target[list(IBUG_TO_MEDIAPIPE)].copy()
    inner = slice(_CONTOUR, None)
    shift = (goal[inner] - source[inner]).mean(0)
    # Along the contour only the distance to the surface can be trusted: keep ICT's own points.
    tree = cKDTree(target)
    moved = source[:_CONTOUR] + shift
    goal[:_CONTOUR] = 0.5 * (moved + target[tree.query(moved)[1]])
    spline = RBFInterpolator(source, goal, kernel="thin_plate_spline", smoothing=0.02, degree=1)
    return np.asarray(spline(face.neutral), np.float64)


def _sides(face: IctFace) -> list[tuple[Indices, Indices]]:
    """For mouth, right eye, left eye: (distance-to-upper < distance-to-lower, within reach)."""
    length = np.linalg.norm(face.neutral[face.edges[:, 0]] - face.neutral[face.edges[:, 1]], axis=1)
    graph = sparse.csr_matrix(
        (length, (face.edges[:, 0], face.edges[:, 1])), shape=(FACE_VERTICES, FACE_VERTICES)
    )
    out: list[tuple[Indices, Indices]] = []
    for (upper, lower), reach in zip(_FOUR_SIDES, _REACH_CM, strict=True):
        near = [
            dijkstra(graph, directed=False, indices=face.landmarks[list(seeds)], min_only=True)
            for seeds in (upper, lower)
        ]
        inside = np.minimum(near[0], near[1]) < reach
        out.append(
            (
                np.flatnonzero(inside & (near[0] < near[1])),
                np.flatnonzero(inside & (near[0] >= near[1])),
            )
        )
    return out


def _restricted_vertices() -> list[tuple[list[int], list[int]]]:
    """Canonical vertices that take from one side only, per opening: (upper, lower)."""
    lips = [
        sorted({i for ring in rings for i in ring[1:-1]})
        for rings in (UPPER_LIP_RINGS, LOWER_LIP_RINGS)
    ]
    return [
        (lips[0], lips[1]),
        (list(RIGHT_UPPER_LID[1:-1]), list(RIGHT_LOWER_LID[1:-1])),
        (list(LEFT_UPPER_LID[1:-1]), list(LEFT_LOWER_LID[1:-1])),
    ]


def transfer_matrix(
    face: IctFace, canonical_closed: Array, radius_cm: float = 0.3, count: int = 24
) -> sparse.csr_matrix:
    """Weights [468, F] that average ICT's displacements around each canonical vertex.

    canonical_closed: [468, 3] with the mouth closed, our axes. Rows sum to one; weights fall off
    as a Gaussian of `radius_cm` beyond the nearest point.
    """
    bent = _registered(face, canonical_closed)
    vertices = len(canonical_closed)
    pools: list[tuple[Indices, Indices]] = [(np.arange(vertices), np.arange(FACE_VERTICES))]
    for pools_of, wanted in zip(_sides(face), _restricted_vertices(), strict=True):
        pools += [(np.asarray(w), p) for p, w in zip(pools_of, wanted, strict=True)]
    matrix = sparse.lil_matrix((vertices, FACE_VERTICES))
    for wanted_ids, pool in pools:
        distance, index = cKDTree(bent[pool]).query(canonical_closed[wanted_ids], k=count)
        weight = np.exp(-0.5 * ((distance - distance[:, :1]) / radius_cm) ** 2)
        weight /= weight.sum(1, keepdims=True)
        for row, vertex in enumerate(wanted_ids):
            matrix.rows[vertex], matrix.data[vertex] = [], []
            matrix[int(vertex), pool[index[row]]] = weight[row]
    return matrix.tocsr()


def transfer(face: IctFace, canonical_closed: Array) -> dict[str, Array]:
    """Every ICT expression as offsets [468, 3] cm on the canonical mesh, our axes."""
    matrix = transfer_matrix(face, canonical_closed)
    return {name: np.asarray(matrix @ offset) for name, offset in face.expressions.items()}
