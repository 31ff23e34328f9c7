"""Topology of the portrait's face mesh: cut openings, two Loop subdivisions, chains, contacts.

The subdivision follows C. Loop, "Smooth Subdivision Surfaces Based on Triangles" (1987), with the
boundary rules of Hoppe et al. (1994) along the face's border and along the mouth and eye cuts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vasa_cam.landmarks import (
    COARSE_VERTICES,
    FACE_OVAL,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    LOWER_MOUTH_LINE,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_RINGS,
    UPPER_MOUTH_LINE,
)

Ints = npt.NDArray[np.int32]
Edge = tuple[int, int]

CHAINS: dict[str, tuple[int, ...]] = {
    "lip_upper": UPPER_MOUTH_LINE,
    "lip_lower": LOWER_MOUTH_LINE,
    "right_lid_upper": RIGHT_UPPER_LID,
    "right_lid_lower": RIGHT_LOWER_LID,
    "left_lid_upper": LEFT_UPPER_LID,
    "left_lid_lower": LEFT_LOWER_LID,
}
OPENINGS = (
    ("lip_upper", "lip_lower"),
    ("right_lid_upper", "right_lid_lower"),
    ("left_lid_upper", "left_lid_lower"),
)
# How far the rings beside the mouth line follow when the lips would cross (inner to outer).
CONTACT_FALLOFF = ((3, 1.0), (2, 0.8), (1, 0.4))


@dataclass(frozen=True)
class Subdivision:
    """One Loop step: matrix [M, N] (CSR), triangles i32 [T, 3], new vertex of each old edge."""

    matrix: sparse.csr_matrix
    triangles: Ints
    edge_vertex: dict[Edge, int]


def _edge(a: int, b: int) -> Edge:
    return (a, b) if a < b else (b, a)


def cut_openings(triangles: Ints) -> Ints:
    """Triangles [T, 3] without those that lie wholly inside the mouth or an eye."""
    insides = [frozenset(CHAINS[upper]) | frozenset(CHAINS[lower]) for upper, lower in OPENINGS]
    kept = [t for t in triangles.tolist() if not any(set(t) <= inside for inside in insides)]
    return np.asarray(kept, np.int32)


def loop_subdivision(triangles: Ints, vertices: int) -> Subdivision:
    """One Loop step over `vertices` vertices, boundary edges kept as cubic curves.

    triangles: i32 [T, 3]. Rows of the matrix sum to one. Corner vertices of the openings follow
    the boundary rule like their neighbours.
    """
    edge_vertex: dict[Edge, int] = {}
    opposite: dict[Edge, list[int]] = {}
    for t in triangles.tolist():
        for a, b, c in ((t[0], t[1], t[2]), (t[1], t[2], t[0]), (t[2], t[0], t[1])):
            edge = _edge(a, b)
            edge_vertex.setdefault(edge, vertices + len(edge_vertex))
            opposite.setdefault(edge, []).append(c)
    rows = _vertex_rows(opposite, vertices) + _edge_rows(opposite, edge_vertex)
    row, column, value = (np.asarray(part) for part in zip(*rows, strict=True))
    shape = (vertices + len(edge_vertex), vertices)
    matrix = sparse.csr_matrix((value, (row, column)), shape=shape)
    return Subdivision(matrix, _split(triangles, edge_vertex), edge_vertex)


def _vertex_rows(opposite: dict[Edge, list[int]], vertices: int) -> list[tuple[int, int, float]]:
    neighbours: list[set[int]] = [set() for _ in range(vertices)]
    border: list[list[int]] = [[] for _ in range(vertices)]
    for (a, b), others in opposite.items():
        for vertex, other in ((a, b), (b, a)):
            neighbours[vertex].add(other)
            if len(others) == 1:
                border[vertex].append(other)
    rows: list[tuple[int, int, float]] = []
    for i in range(vertices):
        if border[i]:
            rows += [(i, i, 0.75), *((i, j, 0.125) for j in border[i][:2])]
        elif neighbours[i]:
            valence = len(neighbours[i])
            beta = 3 / 16 if valence == 3 else 3 / (8 * valence)
            rows += [(i, i, 1 - valence * beta), *((i, j, beta) for j in sorted(neighbours[i]))]
        else:
            rows.append((i, i, 1.0))
    return rows


def _edge_rows(
    opposite: dict[Edge, list[int]], edge_vertex: dict[Edge, int]
) -> list[tuple[int, int, float]]:
    rows: list[tuple[int, int, float]] = []
    for (a, b), others in opposite.items():
        i = edge_vertex[a, b]
        if len(others) == 1:
            rows += [(i, a, 0.5), (i, b, 0.5)]
        else:
            rows += [(i, a, 0.375), (i, b, 0.375), *((i, c, 0.125) for c in others)]
    return rows


def _split(triangles: Ints, edge_vertex: dict[Edge, int]) -> Ints:
    out: list[list[int]] = []
    for a, b, c in triangles.tolist():
        ab, bc, ca = (edge_vertex[_edge(*pair)] for pair in ((a, b), (b, c), (c, a)))
        out += [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
    return np.asarray(out, np.int32)


def _refine(path: Sequence[int], edge_vertex: dict[Edge, int]) -> list[int]:
    out: list[int] = []
    for a, b in itertools.pairwise(path):
        out += [a, edge_vertex[_edge(a, b)]]
    return [*out, path[-1]]


def _strip(upper: Sequence[int], lower: Sequence[int]) -> list[list[int]]:
    """Triangles between two chains; the degenerate ones at shared corners are left out."""
    out: list[list[int]] = []
    for i in range(len(upper) - 1):
        a, b, c, d = upper[i], upper[i + 1], lower[i], lower[i + 1]
        out += [t for t in ([a, b, c], [c, b, d]) if len(set(t)) == len(t)]
    return out


def contact_tables() -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
    """Pairs (upper, lower) that must not cross, and who gives way by which share of the overlap.

    Returns pairs i32 [P, 2], entries i32 [E, 2] (pair, vertex), weights f32 [E]: times the overlap
    along "mouth down". Lips share the way equally; of the lids the upper one gives way.
    """
    pairs: list[Edge] = []
    entries: list[Edge] = []
    weights: list[float] = []
    for k in range(1, len(UPPER_MOUTH_LINE) - 1):
        for ring, follow in CONTACT_FALLOFF:
            entries += [
                (len(pairs), UPPER_LIP_RINGS[ring][k]),
                (len(pairs), LOWER_LIP_RINGS[ring][k]),
            ]
            weights += [-0.5 * follow, 0.5 * follow]
        pairs.append((UPPER_MOUTH_LINE[k], LOWER_MOUTH_LINE[k]))
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        for k in range(1, len(upper) - 1):
            entries += [(len(pairs), upper[k]), (len(pairs), lower[k])]
            weights += [-0.85, 0.15]
            pairs.append((upper[k], lower[k]))
    return (
        np.asarray(pairs, np.int32),
        np.asarray(entries, np.int32),
        np.asarray(weights, np.float32),
    )


def build_topology(canonical_triangles: Ints) -> dict[str, npt.NDArray[np.generic]]:
    """Every topology tensor of the face model asset, by its name there."""
    coarse = cut_openings(canonical_triangles)
    first = loop_subdivision(coarse, COARSE_VERTICES)
    second = loop_subdivision(first.triangles, first.matrix.shape[0])
    both = (second.matrix @ first.matrix).tocsr()
    both.sort_indices()

    def dense(path: Iterable[int]) -> list[int]:
        return _refine(_refine(list(path), first.edge_vertex), second.edge_vertex)

    chains = {name: dense(path) for name, path in CHAINS.items()}
    fill = [t for upper, lower in OPENINGS for t in _strip(chains[upper], chains[lower])]
    pairs, entries, weights = contact_tables()
    return {
        "triangles": coarse,
        "sub_indptr": both.indptr.astype(np.int32),
        "sub_indices": both.indices.astype(np.int32),
        "sub_values": both.data.astype(np.float32),
        "dense_triangles": second.triangles,
        "fill_triangles": np.asarray(fill, np.int32),
        "oval": np.asarray(dense((*FACE_OVAL, FACE_OVAL[0]))[:-1], np.int32),
        "contact_pairs": pairs,
        "contact_entries": entries,
        "contact_weights": weights,
        **{name: np.asarray(path, np.int32) for name, path in chains.items()},
    }
