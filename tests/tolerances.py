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
    "warp_mesh.colour": Tolerance(
        2.0,
        "levels; texture coordinates are rounded to 1/256 px, off by at most 1/512 px, which on "
        "the steepest edge (1.1 * 255 levels a px, twice) is 1.1, and to the nearest byte",
    ),
    "warp_mesh.edges": Tolerance(
        255.0,
        "a pixel within float32 rounding of a triangle's edge, of another's depth or of the jump "
        "limit may go to either side",
        share=1e-3,
    ),
    "compose.over": Tolerance(
        1.0,
        "levels; RGB is exact, RGBA over a translucent background divides by a float32 alpha",
        share=0.001,
    ),
    "compose.aperture": Tolerance(
        5e-4, "px; float32 differences of coordinates up to 2,000 px, whose step is 1.2e-4"
    ),
    "compose.eye": Tolerance(
        1.0,
        "levels; float32 lookups and curves at 1e-4 px, which changes the rounding of a few pixels",
        share=0.005,
    ),
    "compose.mouth": Tolerance(
        1.0, "levels; float32 curves and powers, as for the eye", share=0.005
    ),
    "guided_update.next": Tolerance(
        1e-6,
        "of the sum of the magnitudes that are added up; float32 rounds each of a few products and "
        "sums by 6e-8",
    ),
    "sampler.clean": Tolerance(
        1e-5,
        "of the largest value, or of 1; float32 sums of up to 2,048 products in up to 8 layers, "
        "and softmax and SiLU by a power of two of relative error 2e-7: measured up to 2e-6 at the "
        "sizes in use, more where a norm has few numbers and divides by their small deviation",
    ),
    "sampler.clean_cuda": Tolerance(
        5e-5,
        "as on the CPU; every factor is split into two tf32, which drops products of 2^-22",
    ),
    "sampler.clean_float16": Tolerance(
        4e-3,
        "of the largest value, or of 1; weights and the inputs of products are rounded to 11 bits "
        "(2.4e-4 each, to either side) in 5 products a layer, sums and the residual are float32; "
        "guidance adds up the errors of the passes: seen up to 1.1e-3",
    ),
    "sampler.clean_bfloat16": Tolerance(
        3e-2, "as float16 with 8 bits instead of 11: seen up to 8.2e-3"
    ),
    "spade.mean": Tolerance(
        2e-6,
        "of the largest magnitude of the values, or of 1; float32 sums of 32 distances and a mean "
        "that is moved once for each of them",
    ),
    "spade.rstd": Tolerance(
        2e-5,
        "relative; within a run of 32 values the shift is one of them, so at most 33 roundings of "
        "6e-8 stay, and nothing cancels where runs are joined",
    ),
    "spade.float32": Tolerance(
        2e-6, "of the largest result, or of 1; half a dozen float32 roundings, fused or not"
    ),
    "spade.float16": Tolerance(
        6e-4, "of the largest result, or of 1; computed in float32, rounded once to 11 bits"
    ),
    "spade.bfloat16": Tolerance(
        5e-3, "of the largest result, or of 1; computed in float32, rounded once to 8 bits"
    ),
    "spade.phase_weights": Tolerance(
        1e-13,
        "of the largest sum, in float64; sums of up to nine weights and 2,304 products in another "
        "order",
    ),
    "spade.levels": Tolerance(
        1.0,
        "levels; the sigmoid's float32 error of 2e-7 moves 255 of them by 5e-5, which changes the "
        "truncation of so many",
        share=2e-4,
    ),
    "warp_volume.float32": Tolerance(
        2e-5,
        "of the largest value; a float32 coordinate near 1 has a step of 1.2e-7, which on an axis "
        "of 64 voxels is 4e-6 of one, and neighbours may differ by twice the largest value",
    ),
    "warp_volume.float16": Tolerance(
        5.2e-4, "of the largest value; sums in float32 and one rounding to 2^-11 of the value"
    ),
    "warp_volume.bfloat16": Tolerance(
        4.0e-3, "of the largest value; sums in float32 and one rounding to 2^-8 of the value"
    ),
    "dense_motion.deformation": Tolerance(
        2e-6,
        "of -1..1; float32 sums of up to 32 products with masks whose relative error is 2e-7",
    ),
    "dense_motion.float32": Tolerance(
        4e-5,
        "of the largest value, or of 1; as warp_volume, with a place off by two more roundings",
    ),
    "dense_motion.float16": Tolerance(
        5.4e-4, "of the largest value, or of 1; as warp_volume's, and a heat's rounding"
    ),
    "dense_motion.bfloat16": Tolerance(
        4.1e-3, "of the largest value, or of 1; as warp_volume's, and a heat's rounding"
    ),
}
"""Key: `<op>.<output>`."""


def tolerance(name: str) -> Tolerance:
    """The entry `<op>.<output>`; KeyError if nobody has written down a reason."""
    return TOLERANCES[name]
