"""How far a native op may be from its reference, and why. Tests take their numbers from here.

An op's reference computes in float64; each entry says which rounding or cut makes the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Tolerance:
    """Allowed absolute difference; `share` is the share of elements that may differ at all."""

    absolute: float
    why: str
    share: float = 1.0


TOLERANCES: Final[dict[str, Tolerance]] = {
    "expression.vertices": Tolerance(
        2e-3,
        "px; float32 sums of up to 53 shapes and a dozen coarse vertices at coordinates up to "
        "2,000 px, whose own step is 1.2e-4",
    ),
    "expression.shade": Tolerance(
        2e-4,
        "normals from differences of float32 positions: 1e-4 px of error on edges of a few px, "
        "and the ratio of two light values near the ambient floor",
    ),
    "expression.fold": Tolerance(
        2e-5, "float32 sums of up to 53 shapes; clamped to 1.5, so no larger than its step there"
    ),
    "pixel.yuv": Tolerance(
        1.0,
        "levels; weights are rounded to 2^-15, which moves a sample by less than 0.01 and so "
        "changes the rounding of few of them",
        share=0.02,
    ),
    "pixel.packed": Tolerance(0.0, "bytes are only moved"),
}
"""Key: `<op>.<output>`."""


def tolerance(name: str) -> Tolerance:
    """The entry `<op>.<output>`; KeyError if nobody has written down a reason."""
    return TOLERANCES[name]
