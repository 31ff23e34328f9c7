"""From face landmarks to ARKit coefficients: bounded least squares, all frames at once.

A frame's landmarks are explained as rest + sum_i w_i * offset_i with 0 <= w_i <= 1. Lip and lid
apertures count extra, because a few tenths of a millimetre decide whether a /b/ is closed. A
sparsity penalty with a weight per coefficient keeps ambiguous explanations plausible, a smoothness
penalty ties neighbouring frames, and mouthClose never exceeds jawOpen, as ARKit means it. Solved by
cyclic coordinate descent (Wright, "Coordinate descent algorithms", 2015), vectorised over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.landmarks import (
    LEFT_BROW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    LOWER_MOUTH_LINE,
    RIGHT_BROW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_RINGS,
    UPPER_MOUTH_LINE,
)
from vasa_cam.motion.space import ARKIT_NAMES, COEFFICIENTS, INDEX

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

IOD_CM: Final = 6.302
"""Eye centre to eye centre on the canonical face: landmarks in IOD times this are cm."""

_CHEEK_AND_NOSE: Final = frozenset((205, 425, 50, 280, 49, 279, 101, 330))
_CHIN: Final = frozenset((18, 152, 172, 397, 150, 379, 176, 400, 199, 200))
_LIPS: Final = frozenset(i for r in (*UPPER_LIP_RINGS, *LOWER_LIP_RINGS) for i in r)
_LIDS: Final = frozenset((*RIGHT_UPPER_LID, *RIGHT_LOWER_LID, *LEFT_UPPER_LID, *LEFT_LOWER_LID))
_INNER_CORNERS: Final = (UPPER_MOUTH_LINE[0], UPPER_MOUTH_LINE[-1])
_BROWS: Final = frozenset((*RIGHT_BROW, *LEFT_BROW))
_NEEDS: Final = (
    ("tongue", frozenset[int]()),
    ("eyeLook", frozenset[int]()),
    ("eye", _LIDS),
    ("brow", _BROWS),
    ("cheek", _CHEEK_AND_NOSE),
    ("nose", _CHEEK_AND_NOSE),
    ("", _LIPS),
)
_COSTLY: Final = {
    "jawForward": 6.0,
    "jawLeft": 2.0,
    "jawRight": 2.0,
    "mouthLeft": 3.0,
    "mouthRight": 3.0,
    "mouthClose": 1.5,
    "mouthDimple": 3.0,
    "mouthFrown": 5.0,
    "mouthShrugLower": 3.0,
    "mouthShrugUpper": 10.0,
    "mouthRollUpper": 3.0,
    "mouthLowerDown": 4.0,
    "mouthUpperUp": 1.5,
    "mouthFunnel": 0.2,
    "mouthPucker": 0.3,
    "mouthStretch": 1.5,
    "cheekPuff": 5.0,
    "noseSneer": 2.0,
    "eyeSquint": 1.5,
    "jawOpen": 0.3,
    "eyeBlink": 0.3,
}
"""Sparsity penalty as a multiple of the usual one, by name without its side."""


@dataclass(frozen=True)
class FitOptions:
    """Weights of `fit_motion`. Penalties are in cm^2, as the squared landmark errors are.

    sparsity: times the coefficient; ridge: times its square; symmetry: times the squared difference
    of left and right; smoothness: times the squared difference of neighbouring frames.
    depth_weight: trust in landmark z against x and y. aperture_weight: trust in lip and lid gaps;
    width_weight: in the mouth's width, which tells rounding.
    passes: rounds of coordinate descent.
    """

    sparsity: float = 0.012
    ridge: float = 0.02
    symmetry: float = 0.15
    smoothness: float = 0.02
    depth_weight: float = 0.1
    aperture_weight: float = 2.5
    width_weight: float = 1.5
    passes: int = 60


def clip_rest(landmarks: Floats, indices: Sequence[int]) -> Floats:
    """The face at rest in a clip: float32 [n, 3] from landmarks float32 [T, n, 3], same units.

    Points are medians over the frames with the mouth most nearly closed (below the eyes) and over
    those with the eyes most open (lids); a gap that is left between the lips is closed. indices:
    MediaPipe index of each of the n points.
    """
    place = {index: k for k, index in enumerate(indices)}
    gap = _mean_gap(landmarks, place, [(UPPER_MOUTH_LINE, LOWER_MOUTH_LINE)])
    rest = np.median(landmarks[gap <= np.quantile(gap, 0.25)], axis=0)
    lids = [k for index, k in place.items() if index in _LIDS]
    if lids:
        pairs = [(RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)]
        opening = _mean_gap(landmarks, place, pairs)
        rest[lids] = np.median(landmarks[opening >= np.quantile(opening, 0.5)][:, lids], axis=0)
    for above, below in zip(UPPER_MOUTH_LINE[1:-1], LOWER_MOUTH_LINE[1:-1], strict=True):
        if above in place and below in place:
            middle = (rest[place[above]] + rest[place[below]]) / 2
            rest[place[above]] = rest[place[below]] = middle
    return rest.astype(np.float32)


def _mean_gap(
    landmarks: Floats,
    place: dict[int, int],
    chains: list[tuple[tuple[int, ...], tuple[int, ...]]],
) -> Array:
    """Mean vertical gap [T] between upper and lower points, over the pairs that are given."""
    pairs = [
        (place[a], place[b])
        for upper, lower in chains
        for a, b in zip(upper[1:-1], lower[1:-1], strict=True)
        if a in place and b in place
    ]
    if not pairs:
        return np.zeros(len(landmarks))
    above, below = np.asarray(pairs).T
    gaps = landmarks[:, below, 1] - landmarks[:, above, 1]
    return np.asarray(gaps.mean(1), np.float64)


def fitted_names(indices: Sequence[int]) -> tuple[str, ...]:
    """The coefficients that landmarks with these MediaPipe indices can tell."""
    given = set(indices)
    names = []
    for name in ARKIT_NAMES:
        needed = next(points for prefix, points in _NEEDS if name.startswith(prefix))
        if len(needed & given) >= min(4, max(1, len(needed))):
            names.append(name)
    return tuple(names)


def fit_motion(
    landmarks: Floats,
    indices: Sequence[int],
    offsets: Floats,
    rest: Floats,
    options: FitOptions | None = None,
    *,
    clip_starts: Sequence[int] = (0,),
    given: Floats | None = None,
) -> Floats:
    """ARKit coefficients float32 [T, 52] in 0..1 from landmarks in the head frame.

    landmarks: float32 [T, n, 3] and rest: float32 [n, 3] in inter-ocular distances, our axes; rest
    as from `clip_rest` (or [T, n, 3], a rest for each frame). indices: MediaPipe index (< 468) of
    each point. offsets: [>=52, 468, 3] cm, ARKit's shapes on this face. clip_starts: frames at
    which a new clip begins, so that smoothing does not cross. given: [T, 52] coefficients known
    from elsewhere (gaze); they are added to those found. Raises ValueError on wrong shapes.
    """
    options = options or FitOptions()
    frames, count = landmarks.shape[:2]
    if landmarks.shape != (frames, len(indices), 3) or rest.shape[-2:] != (count, 3):
        raise ValueError(
            f"landmarks {landmarks.shape} and rest {rest.shape} must be [T, {len(indices)}, 3] and "
            f"[{len(indices)}, 3]"
        )
    names = fitted_names(indices)
    active = [INDEX[name] for name in names]
    basis = offsets[:COEFFICIENTS, list(indices)].astype(np.float64)
    moved = (landmarks - rest).astype(np.float32) * np.float32(IOD_CM)
    if given is not None:
        moved -= np.tensordot(given, basis.astype(np.float32), 1)
    operator = _measurement(indices, options)
    if "jawOpen" in names:
        # Open and sealed jaw instead of jawOpen and mouthClose: nearly independent, so that the
        # descent converges, and mouthClose <= jawOpen holds by itself.
        basis[INDEX["mouthClose"]] += basis[INDEX["jawOpen"]]
    rows = operator @ basis[active].reshape(len(active), -1).T
    target = (moved.reshape(frames, -1) @ operator.T.astype(np.float32)).astype(np.float64)
    normal, penalty = _normal_matrix(rows, names, options)
    pull = (target @ rows).T - penalty[:, None]
    found = _descend(normal, pull, names, options, _neighbours(frames, clip_starts))
    out = np.zeros((frames, COEFFICIENTS), np.float32) if given is None else given.copy()
    out[:, active] += found.T
    if "jawOpen" in names:
        out[:, INDEX["jawOpen"]] += out[:, INDEX["mouthClose"]]
    return np.asarray(np.clip(out, 0, 1), np.float32)


def _measurement(indices: Sequence[int], options: FitOptions) -> Array:
    """Matrix [m, 3 n]: weighted coordinates, then lip and lid gaps and the mouth's width."""
    count = len(indices)
    weights = np.empty((count, 3))
    for k, index in enumerate(indices):
        trust = (
            0.55 if index in _CHIN else 0.8 if index in _LIPS else 0.7 if index in _LIDS else 0.4
        )
        weights[k] = trust
    weights[:, 2] *= options.depth_weight
    # Many points of one region must not outvote the few of another.
    weights *= np.sqrt(60 / max(count, 60))
    rows = [np.diag(weights.ravel())]
    place = {index: k for k, index in enumerate(indices)}
    chains = (
        (UPPER_MOUTH_LINE, LOWER_MOUTH_LINE, 1.0),
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID, 0.7),
        (LEFT_UPPER_LID, LEFT_LOWER_LID, 0.7),
    )
    for upper, lower, share in chains:
        for a, b in zip(upper[1:-1], lower[1:-1], strict=True):
            if a in place and b in place:
                row = np.zeros((1, count, 3))
                row[0, place[b], 1] = share * options.aperture_weight
                row[0, place[a], 1] = -share * options.aperture_weight
                rows.append(row.reshape(1, -1))
    for right, left in ((UPPER_LIP_RINGS[0][0], UPPER_LIP_RINGS[0][-1]), _INNER_CORNERS):
        if right in place and left in place:
            row = np.zeros((1, count, 3))
            row[0, place[right], 0], row[0, place[left], 0] = (
                -options.width_weight,
                options.width_weight,
            )
            rows.append(row.reshape(1, -1))
    return np.concatenate(rows)


def _normal_matrix(rows: Array, names: Sequence[str], options: FitOptions) -> tuple[Array, Array]:
    """Quadratic term [k, k] with ridge and left-right ties, and the linear penalty [k]."""
    normal = rows.T @ rows + options.ridge * np.eye(len(names))
    place = {name: k for k, name in enumerate(names)}
    for name, k in place.items():
        twin = place.get(name.removesuffix("Left") + "Right")
        if name.endswith("Left") and twin is not None and name not in ("jawLeft", "mouthLeft"):
            tie = options.symmetry * (0.2 if name.startswith("eye") else 1.0)
            normal[[k, twin], [k, twin]] += tie
            normal[[k, twin], [twin, k]] -= tie
    stems = [
        n if n.startswith("jaw") else n.removesuffix("Left").removesuffix("Right") for n in names
    ]
    stems = [n if s == "mouth" else s for n, s in zip(names, stems, strict=True)]
    penalty = options.sparsity * np.array([_COSTLY.get(stem, 1.0) for stem in stems])
    return normal, penalty


def _neighbours(frames: int, clip_starts: Sequence[int]) -> tuple[Array, Array]:
    """1 where a frame continues the one before, and where the next one continues it; [T] each."""
    before = np.ones(frames)
    before[[start for start in clip_starts if start < frames]] = 0
    before[0] = 0
    return before, np.append(before[1:], 0.0)


def _descend(
    normal: Array,
    pull: Array,
    names: Sequence[str],
    options: FitOptions,
    neighbours: tuple[Array, Array],
) -> Array:
    """Minimises w'Nw/2 - pull'w + smoothness for every frame; returns [k, T].

    0 <= w <= 1, and open and sealed jaw together stay below 1.
    """
    before, after = neighbours
    diagonal = np.diag(normal)[:, None] + options.smoothness * (before + after)
    found = np.zeros_like(pull)
    jaw, sealed = (names.index(n) if n in names else -1 for n in ("jawOpen", "mouthClose"))
    other = {jaw: sealed, sealed: jaw} if jaw >= 0 else {}
    for _ in range(options.passes):
        for k in range(len(names)):
            value = found[k]
            slope = pull[k] - normal[k] @ found
            left = np.concatenate([[0.0], value[:-1]]) - value
            right = np.concatenate([value[1:], [0.0]]) - value
            slope += options.smoothness * (before * left + after * right)
            top = 1 - found[other[k]] if k in other else 1.0
            found[k] = np.clip(value + slope / diagonal[k], 0, top)
    return found
