"""The 52 ARKit offset fields on the canonical mesh: ICT's expressions, corrected by hand.

What ICT does well (brows, cheeks, nose, smiles, asymmetric mouths) is kept. Lips and lids, where
a few tenths of a millimetre decide, get handles of our own whose difference from ICT's field is
spread smoothly over the cut mesh. All lengths are cm in our axes: x right, y down, z away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.handles import HandleField
from vasa_cam.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    LOWER_MOUTH_LINE,
    UPPER_LIP_RINGS,
    UPPER_MOUTH_LINE,
)
from vasa_cam.motion.space import ARKIT_NAMES

Array = npt.NDArray[np.float64]
LipRule = Callable[[int, bool, float, Array], "list[float]"]
"""(ring 0 outer .. 3 mouth line, upper lip?, place along the lip -1 .. 1, vertex) -> offset cm."""

MOUTH_REACH_CM = 5.2
JAW_SCALE = 0.85
"""Share of ICT's jaw drop: at 1 the mouth opens by about half its width, as people's do."""
JAW_LOWER = (1.0, 0.98, 0.92, 0.81, 0.65, 0.45)
JAW_UPPER = (0.04, 0.05, 0.08, 0.15, 0.27, 0.45)
"""Share of the drop along the lips, centre to corner: together a lens-shaped aperture."""
SEAL_DROP = 0.22
"""With the lips sealed over a dropped jaw the seam sinks by this share of the drop."""
RING_FOLLOW = (0.88, 0.93, 0.97, 1.0)
LID_MEET = 0.88
"""A closing lid meets the other this far down from the upper one."""
LID_ARC_CM = 0.12
STRENGTH = {"eyeLookDown": 0.53, "eyeLookUp": 0.75, "eyeWide": 0.9, "browDown": 1.35}
"""Times ICT's movement: its eyes are wider open than the canonical face's, its frown is faint."""
LIP_SHARE = {"noseSneer": (0.6, 0.25), "mouthShrugUpper": (0.95, 0.3), "mouthUpperUp": (0.85, 1.1)}
"""Share of ICT's upper-lip movement at the outer border and at the mouth line."""
PUFF_WIDEN_CM = 0.85
PUFF_CENTRE_CM = (4.3, 3.6)
PUFF_RADIUS_CM = (2.6, 2.8)


class ShapeAuthor:
    """Builds the offsets. canonical: [468, 3]; triangles: cut mesh; ict: name -> [468, 3]."""

    def __init__(
        self, canonical: Array, triangles: npt.NDArray[np.int32], ict: Mapping[str, Array]
    ) -> None:
        self.vertices = canonical
        self.field = HandleField(canonical, triangles)
        self.ict = ict
        self.mirror = mirror_map(canonical)
        centre = canonical[[UPPER_MOUTH_LINE[5], LOWER_MOUTH_LINE[5]]].mean(0)
        distance = np.linalg.norm((canonical - centre) * np.array([1.0, 1.0, 0.5]), axis=1)
        nose = (canonical[:, 1] < 1.6) & (np.abs(canonical[:, 0]) < 2.2)
        self.away = np.flatnonzero((distance > MOUTH_REACH_CM) | nose)

    def mirrored(self, offset: Array) -> Array:
        """The field of the other side of the face."""
        return np.asarray(offset[self.mirror] * np.array([-1.0, 1.0, 1.0]))

    def lips(self, base: Array, rule: LipRule) -> Array:
        """`base` bent so that the lips follow `rule`; skin away from the mouth keeps `base`."""
        handles = {int(i): np.zeros(3) for i in self.away}
        for upper, rings in ((True, UPPER_LIP_RINGS), (False, LOWER_LIP_RINGS)):
            for ring, path in enumerate(rings):
                for k, i in enumerate(path):
                    goal = np.asarray(rule(ring, upper, (k - 5) / 5, self.vertices[i])) - base[i]
                    at_corner = k in (0, 10) and not upper
                    handles[i] = (handles[i] + goal) / 2 if at_corner else goal
        return base + self.field.solve(handles)

    def jaw(self) -> Array:
        """jawOpen: ICT's chin and cheeks, our aperture."""
        base = self.ict["jawOpen"] * JAW_SCALE
        centre = base[LOWER_LIP_RINGS[0][5]]

        def rule(ring: int, upper: bool, u: float, _: Array) -> list[float]:
            k = round(abs(u) * 5)
            share = (JAW_UPPER if upper else JAW_LOWER)[k]
            narrow = -0.40 * np.sign(u) * abs(u) ** 1.5
            slide = 1.0 if not upper else 0.45
            return [narrow, share * centre[1], share * slide * centre[2]]

        return self.lips(base, rule)

    def seal(self, jaw: Array) -> Array:
        """mouthClose: exactly closes what jawOpen opens, the seam sinking a little."""
        drop = jaw[LOWER_MOUTH_LINE[5]]

        def rule(ring: int, upper: bool, u: float, _: Array) -> list[float]:
            k = round(u * 5) + 5
            line = UPPER_MOUTH_LINE if upper else LOWER_MOUTH_LINE
            goal = SEAL_DROP * drop * (1 - 0.35 * u * u)
            goal[2] *= 0.7
            needed = goal - jaw[line[k]]
            # The lip's own opening is undone in full at the mouth line, less towards the skin.
            return list(RING_FOLLOW[ring] * needed)

        return self.lips(np.zeros_like(jaw), rule)

    def eased_lips(self, base: Array, outer: float, line: float) -> Array:
        """`base` with its movement of the upper lip reduced to the two shares; the rest stays."""
        handles = {int(i): np.zeros(3) for i in self.away}
        for ring, (above, below) in enumerate(zip(UPPER_LIP_RINGS, LOWER_LIP_RINGS, strict=True)):
            share = outer + (line - outer) * ring / 3
            for _k, (i, j) in enumerate(zip(above, below, strict=True)):
                handles[j] = (share - 1) * base[i] if i == j else np.zeros(3)
                handles[i] = (share - 1) * base[i]
        return base + self.field.solve(handles)

    def puff(self, base: Array) -> Array:
        """cheekPuff: ICT's bulge is nearly all depth; seen from the front, cheeks also widen."""
        x, y = self.vertices[:, 0], self.vertices[:, 1]
        away = np.hypot(
            (np.abs(x) - PUFF_CENTRE_CM[0]) / PUFF_RADIUS_CM[0],
            (y - PUFF_CENTRE_CM[1]) / PUFF_RADIUS_CM[1],
        )
        swell = np.clip(1 - away**2, 0, 1) ** 1.5
        widened = base + np.stack([np.sign(x) * PUFF_WIDEN_CM * swell, 0 * x, 0 * x], axis=1)
        return self.lips(widened, _held_shut)

    def blink(self, base: Array) -> Array:
        """eyeBlinkLeft: lids meet low, following the eyeball; `base` moves the skin around."""
        handles = {int(i): np.zeros(3) for i in np.flatnonzero(self.vertices[:, 1] > -0.9)}
        for k, (above, below) in enumerate(zip(LEFT_UPPER_LID, LEFT_LOWER_LID, strict=True)):
            meet = (1 - LID_MEET) * self.vertices[above] + LID_MEET * self.vertices[below]
            meet = meet - np.array([0, 0, LID_ARC_CM * np.sin(np.pi * k / 8)])
            handles[above] = meet - self.vertices[above] - base[above]
            if 0 < k < len(LEFT_UPPER_LID) - 1:
                handles[below] = meet - self.vertices[below] - base[below]
        far = np.abs(self.vertices[:, 1] + 2.6) > 1.9
        handles |= {int(i): np.zeros(3) for i in np.flatnonzero(far | (self.vertices[:, 0] < 0.3))}
        return base + self.field.solve(handles)


def mirror_map(vertices: Array) -> npt.NDArray[np.int64]:
    """Index of each vertex's mirror image across x = 0."""
    flipped = vertices * np.array([-1.0, 1.0, 1.0])
    return np.asarray(np.linalg.norm(flipped[:, None] - vertices[None], axis=2).argmin(1), np.int64)


def _bump(u: float) -> float:
    return 1 - u * u


def _roll_upper(ring: int, upper: bool, u: float, _: Array) -> list[float]:
    inward = (3 - ring) / 3
    return [0, 0.36 * _bump(u) * inward, 0.22 * _bump(u)] if upper else [0, 0, 0]


def _roll_lower(ring: int, upper: bool, u: float, _: Array) -> list[float]:
    inward = (3 - ring) / 3
    return [0, 0, 0] if upper else [0, -0.46 * _bump(u) * inward - 0.03, 0.26 * _bump(u)]


def _press(ring: int, upper: bool, u: float, _: Array) -> list[float]:
    inward = (3 - ring) / 3
    return [0.1 * np.sign(u) * u * u, (0.16 if upper else -0.2) * _bump(u) * inward, 0.1 * _bump(u)]


def _held_shut(ring: int, upper: bool, u: float, _: Array) -> list[float]:
    inward = (3 - ring) / 3
    return [-0.22 * u, (0.1 if upper else -0.12) * _bump(u) * inward, -0.2 * _bump(u)]


def _funnel(ring: int, upper: bool, u: float, p: Array) -> list[float]:
    open_at = max(0.0, _bump(u)) ** 0.6 * (0.62 + 0.38 * ring / 3)
    return [-0.30 * p[0], (-0.46 if upper else 0.62) * open_at, -0.62 - 0.22 * _bump(u)]


def _pucker(ring: int, upper: bool, u: float, p: Array) -> list[float]:
    fuller = (3 - ring) / 3 * _bump(u)
    return [-0.34 * p[0], (-0.06 if upper else 0.08) * fuller - 0.02, -0.75 - 0.3 * _bump(u)]


def _tongue_out(ring: int, upper: bool, u: float, _: Array) -> list[float]:
    return [0, (-0.10 if upper else 0.28) * _bump(u) ** 0.7, -0.05 * _bump(u)]


def arkit_offsets(
    canonical: Array, triangles: npt.NDArray[np.int32], ict: Mapping[str, Array]
) -> Array:
    """All 52 fields [52, 468, 3] cm in ARKit order, mirror-symmetric, our axes."""
    author = ShapeAuthor(canonical, triangles, ict)
    zero = np.zeros_like(canonical)
    jaw = author.jaw()
    whole = {
        "jawOpen": jaw,
        "mouthClose": author.seal(jaw),
        "mouthRollUpper": author.lips(zero, _roll_upper),
        "mouthRollLower": author.lips(zero, _roll_lower),
        "mouthFunnel": author.lips(ict["mouthFunnel"], _funnel),
        "mouthPucker": author.lips(ict["mouthPucker"], _pucker),
        "tongueOut": author.lips(zero, _tongue_out),
        "browInnerUp": ict["browInnerUp_L"] + ict["browInnerUp_R"],
        "cheekPuff": author.puff(ict["cheekPuff_L"] + ict["cheekPuff_R"]),
    }
    press = author.lips(zero, _press)
    ramp = side_ramp(canonical)[:, None]
    left = {"mouthPress": press * ramp, "eyeBlink": author.blink(ict["eyeBlink_L"])}
    left |= {stem: share * ict[f"{stem}_L"] for stem, share in STRENGTH.items()}
    for stem in ("noseSneer", "mouthUpperUp"):
        left[stem] = author.eased_lips(ict[f"{stem}_L"], *LIP_SHARE[stem])
    whole["mouthShrugUpper"] = author.eased_lips(
        ict["mouthShrugUpper"], *LIP_SHARE["mouthShrugUpper"]
    )
    return np.stack([_one_field(author, name, whole, left) for name in ARKIT_NAMES])


def _one_field(
    author: ShapeAuthor, name: str, whole: Mapping[str, Array], left: Mapping[str, Array]
) -> Array:
    """One coefficient's field: authored where we have it, ICT's otherwise, made symmetric."""
    stem = name.removesuffix("Left").removesuffix("Right")
    if stem == name:
        field = whole[name] if name in whole else author.ict[name]
        return np.asarray((field + author.mirrored(field)) / 2)
    if stem in ("jaw", "mouth"):
        moved_right = author.mirrored(author.ict[f"{stem}Right"])
        field = np.asarray((author.ict[f"{stem}Left"] + moved_right) / 2)
    else:
        field = left[stem] if stem in left else author.ict[f"{stem}_L"]
    return author.mirrored(field) if name.endswith("Right") else field


def side_ramp(vertices: Array) -> Array:
    """[468]: 0 on the subject's right, 1 on the left, smooth over the middle; halves sum to one."""
    t = np.clip(vertices[:, 0] / 1.6 + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
