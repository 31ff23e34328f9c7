"""Filling a hole with texture taken from around it: patch-based completion, coarse to fine.

Follows Wexler, Shechtman and Irani, "Space-time completion of video" (2007): every patch that
touches the hole looks for its nearest neighbour among the known patches and pixels become the vote
of the patches over them; with the randomised search of Barnes et al., "PatchMatch" (2009), run on
all pixels at once with jumps instead of in scan order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.spread import spread_colours

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_RADIUS: Final = 2
_OFFSETS: Final = tuple(
    (dy, dx) for dy in range(-_RADIUS, _RADIUS + 1) for dx in range(-_RADIUS, _RADIUS + 1)
)
_PEEL_RADIUS: Final = 3
_CHUNK: Final = 8192  # patches compared at a time, to stay in the cache
_JUMPS: Final = (1, 3, 8)
_FAR_PENALTY: Final = 12.0
"""Squared grey levels a pixel that the farthest possible source costs: near sources win ties."""


@dataclass
class _Level:
    """One scale: picture, hole and the nearest-neighbour field of the patches over the hole."""

    image: F32  # [H, W, 3]
    hole: Mask  # [H, W]
    source: Mask  # [H, W], centres of patches that are known throughout
    rows: I64  # [n], targets: centres of patches that touch the hole
    columns: I64
    field: I64  # [H, W, 2], source row and column of every target

    @classmethod
    def make(cls, image: F32, hole: Mask, usable: Mask) -> _Level:
        cv2 = load_cv2()
        square = np.ones((2 * _RADIUS + 1, 2 * _RADIUS + 1), np.uint8)
        touched = cv2.dilate(hole.astype(np.uint8), square) > 0
        good = cv2.erode((usable & ~hole).astype(np.uint8), square) > 0
        for mask in (touched, good):
            mask[:_RADIUS] = mask[-_RADIUS:] = False
            mask[:, :_RADIUS] = mask[:, -_RADIUS:] = False
        rows, columns = np.nonzero(touched)
        return cls(image, hole, good, rows, columns, np.zeros((*hole.shape, 2), np.int64))

    def patches(self, rows: I64, columns: I64) -> F32:
        """[n, 25, 3] patches around the given centres."""
        width = self.hole.shape[1]
        shifts = np.array([dy * width + dx for dy, dx in _OFFSETS])
        picked: F32 = self.image.reshape(-1, 3)[(rows * width + columns)[:, None] + shifts]
        return picked

    def cost(self, wanted: F32, rows: I64, columns: I64) -> F32:
        """Mean squared difference a pixel plus the distance penalty; infinite where not allowed."""
        cost = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            difference = self.patches(rows[part], columns[part])
            difference -= wanted[part]
            np.einsum("npc,npc->n", difference, difference, out=cost[part])
        cost /= len(_OFFSETS)
        span = max(self.hole.shape)
        away = ((rows - self.rows) ** 2 + (columns - self.columns) ** 2) / span**2
        cost += (_FAR_PENALTY * away).astype(np.float32)
        cost[~self.source[rows, columns]] = np.inf
        return cost


def fill_hole(rgb: U8, hole: Mask, usable: Mask, detailed: Mask, seed: int = 0) -> U8:
    """`rgb` uint8 [H, W, 3] with `hole` filled by texture from `usable` pixels outside it.

    hole, usable, detailed: bool [H, W]. Texture is made where `detailed` is set; the rest of the
    hole is filled at a quarter of the resolution. seed: of the random search.
    """
    rng = np.random.default_rng(seed)
    pyramid = _pyramid(rgb.astype(np.float32), hole, usable, detailed)
    image, small_hole, small_usable, _ = pyramid[-1]
    level = _Level.make(_smooth_fill(image, small_hole), small_hole, small_usable)
    if not level.source.any() or len(level.rows) == 0:
        return _to_bytes(_smooth_fill(rgb.astype(np.float32), hole))
    _start_randomly(level, rng)
    _peel(level)
    coarse_depth = max(1, len(pyramid) - 2)
    _improve(level, 6, rng)
    for depth in range(len(pyramid) - 2, -1, -1):
        image, small_hole, small_usable, wanted = pyramid[depth]
        coarse = _enlarged(level.image, small_hole.shape)
        image = np.where(small_hole[..., None], coarse, image)
        active = small_hole if depth >= coarse_depth else small_hole & wanted
        finer = _Level.make(image, active, small_usable & ~small_hole)
        _inherit(finer, level)
        if depth >= coarse_depth:
            _improve(finer, 4, rng)
        else:  # the coarser levels decided what goes where; only its place is polished
            _improve(finer, 1, rng if depth == coarse_depth - 1 else None)
        level = finer
    return _to_bytes(level.image)


def _to_bytes(image: F32) -> U8:
    rounded: U8 = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return rounded


def _pyramid(
    image: F32, hole: Mask, usable: Mask, detailed: Mask
) -> list[tuple[F32, Mask, Mask, Mask]]:
    """Full size first, halved until the longer side is under 64 px."""
    cv2 = load_cv2()
    levels = [(image, hole, usable, detailed)]
    while max(levels[-1][1].shape) >= 96:
        image, hole, usable, detailed = levels[-1]
        size = ((hole.shape[1] + 1) // 2, (hole.shape[0] + 1) // 2)
        known = (~hole).astype(np.float32)
        weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        colour = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
        masks = [
            cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            for mask in (usable, detailed)
        ]
        levels.append(
            (
                (colour / np.maximum(weight, 1e-3)[..., None]).astype(np.float32),
                weight < 0.5,
                masks[0] > 0.99,
                masks[1] > 0,
            )
        )
    return levels


def _smooth_fill(image: F32, hole: Mask) -> F32:
    return spread_colours(image, (~hole).astype(np.float32))


def _enlarged(image: F32, shape: tuple[int, ...]) -> F32:
    cv2 = load_cv2()
    doubled: F32 = cv2.resize(
        image, (2 * image.shape[1], 2 * image.shape[0]), interpolation=cv2.INTER_LINEAR
    )
    return doubled[: shape[0], : shape[1]]


def _start_randomly(level: _Level, rng: np.random.Generator) -> None:
    rows, columns = np.nonzero(level.source)
    pick = rng.integers(0, len(rows), len(level.rows))
    level.field[level.rows, level.columns, 0] = rows[pick]
    level.field[level.rows, level.columns, 1] = columns[pick]


def _peel(level: _Level) -> None:
    """Fill the hole from its rim inwards, so that lines and rows go on into it.

    Every rim pixel takes the middle of the known patch that fits best where its own patch is
    known already (the exemplar of Criminisi, Perez and Toyama, 2004, ring by ring). Exhaustive,
    hence for the coarsest level; the votes that follow smooth the seams.
    """
    cv2 = load_cv2()
    reach = _PEEL_RADIUS
    height, width = level.hole.shape
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    good = cv2.erode(level.source.astype(np.uint8), square[2 * _RADIUS :, 2 * _RADIUS :]) > 0
    good[:reach] = good[-reach:] = good[:, :reach] = good[:, -reach:] = False
    sources = np.argwhere(good)
    if len(sources) == 0 or min(height, width) <= 2 * reach:
        return
    shifts = np.array(
        [dy * width + dx for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    )
    flat = level.image.reshape(-1, 3)
    examples = flat[(sources @ [width, 1])[:, None] + shifts].reshape(len(sources), -1)
    squares = examples**2
    known = ~level.hole
    while not known.all():
        ring = np.argwhere(~known & (cv2.dilate(known.astype(np.uint8), np.ones((3, 3))) > 0))
        if len(ring) == 0:
            return
        middle = np.clip(ring, reach, [height - 1 - reach, width - 1 - reach])
        at = (middle @ [width, 1])[:, None] + shifts
        mask = np.repeat(known.reshape(-1)[at], 3, axis=1).astype(np.float32)
        wanted = flat[at].reshape(len(ring), -1) * mask
        cost = mask @ squares.T - 2 * wanted @ examples.T  # less a constant of each row
        away = ((middle[:, None] - sources[None]) ** 2).sum(2) / max(height, width) ** 2
        cost += _FAR_PENALTY * mask.sum(1, keepdims=True) / 3 * away
        found = sources[cost.argmin(1)] + ring - middle
        level.image[ring[:, 0], ring[:, 1]] = level.image[found[:, 0], found[:, 1]]
        level.field[ring[:, 0], ring[:, 1]] = np.clip(
            found, _RADIUS, [height - 1 - _RADIUS, width - 1 - _RADIUS]
        )
        known[ring[:, 0], ring[:, 1]] = True


def _inherit(finer: _Level, coarser: _Level) -> None:
    """Start the finer field from the coarser one, doubled."""
    height, width = coarser.hole.shape
    rows = np.clip(finer.rows // 2, _RADIUS, height - 1 - _RADIUS)
    columns = np.clip(finer.columns // 2, _RADIUS, width - 1 - _RADIUS)
    found = coarser.field[rows, columns]
    lost = ~found.any(1)  # no target there: point at the place itself, which costs infinity
    found[lost] = np.stack([rows, columns], 1)[lost]
    height, width = finer.hole.shape
    source = 2 * found + np.stack([finer.rows % 2, finer.columns % 2], 1)
    limit = np.array([height - 1 - _RADIUS, width - 1 - _RADIUS])
    finer.field[finer.rows, finer.columns] = np.clip(source, _RADIUS, limit)


def _improve(level: _Level, rounds: int, rng: np.random.Generator | None) -> None:
    for _ in range(rounds):
        cost = _search(level, rng)
        _vote(level, cost)


def _search(level: _Level, rng: np.random.Generator | None) -> F32:
    """Better neighbours from those of nearby patches and, with `rng`, from random places.

    Returns the costs.
    """
    wanted = level.patches(level.rows, level.columns)
    best = level.field[level.rows, level.columns]
    cost = level.cost(wanted, best[:, 0], best[:, 1])
    low = np.array([_RADIUS, _RADIUS])
    high = np.array(level.hole.shape) - 1 - _RADIUS
    jumps = _JUMPS if rng else _JUMPS[:1]
    steps = [(dy * jump, dx * jump) for jump in jumps for dy, dx in ((0, 1), (1, 0))]
    for dy, dx in [*steps, *((-dy, -dx) for dy, dx in steps)]:
        rows = np.clip(level.rows + dy, low[0], high[0])
        columns = np.clip(level.columns + dx, low[1], high[1])
        other = level.field[rows, columns] - (dy, dx)
        _take_better(level, wanted, np.clip(other, low, high), best, cost)
        level.field[level.rows, level.columns] = best
    reach = max(level.hole.shape)
    while rng and reach >= 2:
        shift = rng.integers(-reach, reach + 1, best.shape)
        _take_better(level, wanted, np.clip(best + shift, low, high), best, cost)
        reach //= 3
    level.field[level.rows, level.columns] = best
    return cost


def _take_better(level: _Level, wanted: F32, other: I64, best: I64, cost: F32) -> None:
    trial = level.cost(wanted, other[:, 0], other[:, 1])
    better = trial < cost
    best[better] = other[better]
    cost[better] = trial[better]


def _vote(level: _Level, cost: F32) -> None:
    """Every hole pixel becomes the weighted mean of what the patches over it propose."""
    cv2 = load_cv2()
    finite = np.isfinite(cost)
    if not finite.any():
        return
    scale = max(float(np.percentile(cost[finite], 75)), 1.0)
    inwards = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
    weight = np.where(finite, np.exp(-np.where(finite, cost, 0) / (2 * scale)), 0)
    weight = weight * 1.2 ** -np.minimum(inwards[level.rows, level.columns], 40)
    source = level.patches(*level.field[level.rows, level.columns].T)
    height, width = level.hole.shape
    total = np.zeros((height * width, 3))
    mass = np.zeros(height * width)
    for index, (dy, dx) in enumerate(_OFFSETS):
        at = (level.rows + dy) * width + level.columns + dx  # no doubles within one offset
        mass[at] += weight
        total[at] += weight[:, None] * source[:, index]
    voted = (mass > 1e-12).reshape(height, width) & level.hole
    mean = total / np.maximum(mass, 1e-12)[:, None]
    level.image[voted] = mean.reshape(height, width, 3)[voted]
