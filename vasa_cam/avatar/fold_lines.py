"""Where faces wrinkle: curves on the canonical face that fold maps and fold weights share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Point = tuple[float, float]


@dataclass(frozen=True)
class FoldLine:
    """One crease on the subject's left (image right), mirrored unless `single`.

    points: (x, y) cm on the canonical face, our axes, along the crease. depth: darkness 0..1.
    width_cm: half width of the dark core. highlight: bright ridge beside it as a share of depth;
    it lies to the right of the direction of travel (image axes).
    """

    region: str
    points: tuple[Point, ...]
    depth: float
    width_cm: float
    highlight: float = 0.0
    single: bool = False


FOLD_LINES: Final[tuple[FoldLine, ...]] = (
    FoldLine(
        "nasolabial",
        ((1.95, 0.55), (2.25, 1.25), (2.75, 2.05), (3.2, 2.95), (3.42, 3.8), (3.4, 4.5)),
        1.0,
        0.13,
        -0.55,
    ),
    FoldLine("dimple", ((3.75, 3.3), (3.95, 3.95), (3.85, 4.7)), 0.55, 0.14, -0.4),
    FoldLine("corner", ((2.62, 4.35), (2.86, 4.75), (2.9, 5.2)), 0.6, 0.1, -0.2),
    FoldLine("crow", ((4.95, -3.0), (5.5, -3.35), (6.05, -3.9)), 0.6, 0.05, 0.5),
    FoldLine("crow", ((5.0, -2.6), (5.65, -2.65), (6.3, -2.85)), 0.75, 0.05, 0.5),
    FoldLine("crow", ((4.9, -2.2), (5.5, -1.95), (6.1, -1.65)), 0.6, 0.05, 0.5),
    FoldLine(
        "under_eye",
        ((1.75, -1.95), (2.5, -1.4), (3.4, -1.22), (4.3, -1.42), (4.9, -1.85)),
        0.7,
        0.1,
        -0.45,
    ),
    FoldLine("under_eye", ((2.2, -1.95), (3.2, -1.72), (4.2, -1.92)), 0.4, 0.06, -0.5),
    FoldLine(
        "forehead",
        (
            (-3.9, -6.0),
            (-2.2, -6.25),
            (-0.9, -6.12),
            (0.0, -6.02),
            (0.9, -6.12),
            (2.2, -6.25),
            (3.9, -6.0),
        ),
        0.6,
        0.09,
        0.5,
        single=True,
    ),
    FoldLine(
        "forehead",
        ((-3.3, -6.75), (-1.8, -6.98), (-0.6, -6.84), (0.6, -6.82), (1.8, -6.98), (3.3, -6.75)),
        0.66,
        0.09,
        0.5,
        single=True,
    ),
    FoldLine(
        "forehead",
        ((-2.4, -7.45), (-1.2, -7.58), (0.0, -7.48), (1.2, -7.58), (2.4, -7.45)),
        0.45,
        0.08,
        0.5,
        single=True,
    ),
    FoldLine(
        "glabella", ((0.6, -3.85), (0.64, -4.35), (0.76, -4.9), (0.84, -5.3)), 0.9, 0.08, -0.45
    ),
    FoldLine("nose_bridge", ((0.35, -3.05), (0.75, -2.75), (1.05, -2.2)), 0.5, 0.06, 0.5),
    FoldLine(
        "nose_bridge", ((-0.75, -3.5), (0.0, -3.62), (0.75, -3.5)), 0.5, 0.07, 0.5, single=True
    ),
    FoldLine(
        "chin",
        ((-1.5, 6.2), (-0.75, 6.0), (0.0, 5.92), (0.75, 6.0), (1.5, 6.2)),
        0.7,
        0.13,
        0.4,
        single=True,
    ),
)
