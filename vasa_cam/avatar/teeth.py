"""Dental arches of a talking portrait: crowns on a curved arch, as a mesh and its texture.

Lengths are centimetres in the head frame (x image right, y down, z away) with the origin at the
midline on the incisal edge. Crown sizes are averages for adults (Wheeler's Dental Anatomy); a
seeded generator varies length, turn and tone the way neighbouring teeth differ. An arch is first
planned (where crowns start and end), so that the photo's own teeth can correct it, then built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.paint import Floats, Ints, Reals, bump, vector
from vasa_cam.numeric import smoothstep

GUM_CM: Final = 0.55
BELOW_EDGE_CM: Final = 0.35
"""The texture goes on below the planned edges by this much, for photos with longer teeth."""
_COLUMN_CM: Final = 0.055
_ROWS: Final = vector(0.0, 0.3, 0.6, 0.85, 1.0)


@dataclass(frozen=True)
class ArchShape:
    """Numbers that tell the upper from the lower arch, from the central incisor to the molars.

    widths, crowns: cm. half_width, depth: of the half ellipse seen from above. direction: +1 crowns
    hang down, -1 they stand up. rise: how far the edges recede towards the molars.
    """

    widths: tuple[float, ...]
    crowns: tuple[float, ...]
    half_width: float
    depth: float
    direction: float
    rise: float


UPPER_ARCH: Final = ArchShape(
    widths=(0.85, 0.66, 0.76, 0.70, 0.68, 1.0, 0.95),
    crowns=(1.05, 0.92, 1.0, 0.86, 0.78, 0.75, 0.72),
    half_width=2.95,
    depth=4.2,
    direction=1.0,
    rise=0.20,
)
LOWER_ARCH: Final = ArchShape(
    widths=(0.53, 0.59, 0.68, 0.70, 0.71, 1.1, 1.05),
    crowns=(0.90, 0.92, 1.02, 0.88, 0.80, 0.75, 0.72),
    half_width=2.62,
    depth=3.8,
    direction=-1.0,
    rise=0.06,
)


@dataclass(frozen=True)
class Tooth:
    """One crown: centre and half width along the arch (cm), and how it departs from its kind.

    kind: 0 central incisor .. 6 second molar. shorter: cm. turn, lean: cm of depth and height that
    its far corner gains. tone: relative brightness.
    """

    kind: int
    centre: float
    half: float
    shorter: float
    turn: float
    lean: float
    tone: float


@dataclass(frozen=True)
class ArchPlan:
    """Where the crowns of an arch start (neck) and end (edge).

    s: float32 [n], arc length, cm, 0 at the midline. edge, neck: float32 [n], height, in a frame
    where crowns point to +y.
    """

    shape: ArchShape
    teeth: tuple[Tooth, ...]
    s: Floats
    edge: Floats
    neck: Floats

    def place(self, s: Reals, y: Reals) -> Floats:
        """Head-frame place [..., 3] in cm of arch coordinates: s along the arch, y down a crown."""
        edge, neck = np.interp(s, self.s, self.edge), np.interp(s, self.s, self.neck)
        v = np.clip((y - neck) / (edge - neck), -0.5, 1.2)
        x, z = _ellipse(self.shape, s)
        index, t = self.nearest(s)
        bulge = 0.05 * np.sin(np.pi * np.clip(0.15 + 0.75 * v, 0.0, 1.0)) * (1.0 - 0.35 * t * t)
        z = z - bulge + self.gather("turn", index) * t
        return np.stack([x, self.shape.direction * y, z], -1).astype(np.float32)

    def nearest(self, s: Reals) -> tuple[npt.NDArray[np.intp], Floats]:
        """Index of the tooth at arc length s and the place on it, -1 (to the midline) .. 1."""
        bounds = [tooth.centre + tooth.half for tooth in self.teeth[:-1]]
        index = np.searchsorted(bounds, s)
        centre = self.gather("centre", index)
        t = np.clip((s - centre) / self.gather("half", index), -1.0, 1.0) * np.sign(centre)
        return index, t.astype(np.float32)

    def gather(self, name: str, index: npt.NDArray[np.intp]) -> Floats:
        """A property of the teeth at every index."""
        return np.array([getattr(tooth, name) for tooth in self.teeth], np.float32)[index]


@dataclass(frozen=True)
class Arch:
    """A dental arch.

    vertices: float32 [K, 3] cm. uv: float32 [K, 2], pixels of `texture`. triangles: int32 [T, 3].
    texture: float32 [h, w, 3], sRGB 0..255. surface: float32 [h, w, 3], the place in cm of every
    texel, for projecting a photo onto the arch.
    """

    vertices: Floats
    uv: Floats
    triangles: Ints
    texture: Floats
    surface: Floats


@dataclass(frozen=True)
class ToothColours:
    """sRGB 0..255, float32 [3] each: enamel in the front, gum, and the dark the arch fades into."""

    enamel: Floats
    gum: Floats
    dark: Floats


def plan_arch(shape: ArchShape, rng: np.random.Generator) -> ArchPlan:
    """Lay out the crowns of one arch."""
    teeth = []
    for side in (-1.0, 1.0):
        start = 0.0
        for kind, width in enumerate(shape.widths):
            teeth.append(
                Tooth(
                    kind=kind,
                    centre=side * (start + 0.5 * width),
                    half=0.5 * width,
                    shorter=float(rng.uniform(0.0, 0.035)) + (0.06 if kind == 1 else 0.0),
                    turn=float(rng.normal(0.0, 0.018)),
                    lean=float(rng.normal(0.0, 0.014)),
                    tone=float(rng.normal(0.0, 0.02)),
                )
            )
            start += width
    reach = sum(shape.widths) - 0.02
    s = np.linspace(-reach, reach, 2 * round(reach / _COLUMN_CM) + 1, dtype=np.float32)
    teeth.sort(key=lambda tooth: tooth.centre)
    bare = ArchPlan(shape, tuple(teeth), s, s, s)
    edge, neck = _outline(bare)
    return ArchPlan(shape, bare.teeth, s, edge, neck)


def build_arch(
    plan: ArchPlan, colours: ToothColours, texels_per_cm: float, rng: np.random.Generator
) -> Arch:
    """Mesh and texture of a planned arch; `texels_per_cm` also along the arch."""
    gum_top = float(plan.neck.min()) - GUM_CM
    s = np.broadcast_to(plan.s, (len(_ROWS) + 1, len(plan.s)))
    crown = plan.neck + _ROWS[:, None] * (plan.edge - plan.neck)
    y = np.concatenate([np.full((1, len(plan.s)), gum_top), crown])
    left = float(plan.s[0])
    uv = np.stack([s - left, y - gum_top], -1) * texels_per_cm
    width = int(np.ceil(-2 * left * texels_per_cm)) + 1
    height = int(np.ceil((float(plan.edge.max()) + BELOW_EDGE_CM - gum_top) * texels_per_cm))
    v, u = np.mgrid[0:height, 0:width] / texels_per_cm
    texel_s, texel_y = u + left, v + gum_top
    return Arch(
        vertices=plan.place(s, y).reshape(-1, 3),
        uv=uv.reshape(-1, 2).astype(np.float32),
        triangles=grid_triangles(*y.shape),
        texture=_paint(plan, colours, texel_s, texel_y, rng),
        surface=plan.place(texel_s, texel_y),
    )


def grid_triangles(rows: int, columns: int) -> Ints:
    """Two triangles for every cell of a rows x columns vertex grid, int32 [T, 3]."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.stack([corner, corner + 1, corner + columns], 1)
    second = np.stack([corner + columns, corner + 1, corner + columns + 1], 1)
    return np.concatenate([first, second]).astype(np.int32)


def corridor(s: Reals) -> Floats:
    """Light that reaches the arch at arc length s: full in front, almost none at the molars."""
    return np.asarray(0.05 + 0.95 * smoothstep(3.9, 1.0, np.abs(s)) ** 1.2, np.float32)


def _outline(plan: ArchPlan) -> tuple[Floats, Floats]:
    """Incisal edge and neck heights along the plan's arc."""
    index, t = plan.nearest(plan.s)
    kind = plan.gather("kind", index).astype(np.intp)
    recede = plan.shape.rise * smoothstep(0.3, 4.0, np.abs(plan.s))
    far, near = np.maximum(t, 0.0), np.maximum(-t, 0.0)
    square = 0.06 * far**3.0 + 0.04 * near**5.0
    pointed = 0.09 * np.abs(t) ** 1.5 * np.where(kind == 3, 0.8, 1.0)
    rounded = 0.06 * np.abs(t) ** 3.0
    corners = np.where(kind <= 1, square, np.where(kind <= 4, pointed, rounded))
    gap_cm = (1.0 - np.abs(t)) * plan.gather("half", index)
    edge = plan.gather("lean", index) * t - recede - plan.gather("shorter", index)
    edge = edge - corners - 0.035 * bump(gap_cm, 0.0, 0.04)
    neck = 0.02 - recede - np.array(plan.shape.crowns)[kind]
    return edge.astype(np.float32), neck.astype(np.float32)


def _ellipse(shape: ArchShape, s: Reals) -> tuple[Floats, Floats]:
    """x and z at arc length s of the arch x = a sin(theta), z = b (1 - cos(theta))."""
    theta = np.linspace(0.0, 1.55, 400)
    speed = np.hypot(shape.half_width * np.cos(theta), shape.depth * np.sin(theta))
    length = np.concatenate([[0.0], np.cumsum(speed[:-1] * np.diff(theta))])
    at = np.interp(np.abs(s), length, theta)
    x = np.sign(s) * shape.half_width * np.sin(at)
    z = shape.depth * (1.0 - np.cos(at)) + np.maximum(np.abs(s) - length[-1], 0.0)
    return x.astype(np.float32), z.astype(np.float32)


def _paint(
    plan: ArchPlan, colours: ToothColours, s: Reals, y: Reals, rng: np.random.Generator
) -> Floats:
    """Texture float32 [h, w, 3] over a grid of arch coordinates."""
    index, t = plan.nearest(s)
    edge, neck = np.interp(s, plan.s, plan.edge), np.interp(s, plan.s, plan.neck)
    v = (y - neck) / (edge - neck)
    kind = plan.gather("kind", index)
    gap_cm = (1.0 - np.abs(t)) * plan.gather("half", index)
    enamel = colours.enamel * _enamel_shade(t, v, kind, gap_cm)
    tone = 1.0 + plan.gather("tone", index) - 0.05 * (kind == 2) - 0.02 * (kind == 1)
    enamel = enamel * tone[..., None] * np.where(kind == 2, 0.97, 1.0)[..., None] ** vector(0, 0, 1)
    streaks = np.interp(s[0], np.linspace(s[0, 0], s[0, -1], 160), rng.normal(0, 0.015, 160))
    enamel = enamel * (1.0 + streaks[:, None] * np.clip(v, 0, 1)[..., None])
    gum_edge = (y - neck) - (0.02 + 0.16 * np.abs(t) ** 2.2)
    gum = colours.gum * (0.90 + 0.10 * np.cos(0.5 * np.pi * t))[..., None]
    gum = gum * (1.0 - 0.45 * smoothstep(0.0, -GUM_CM, gum_edge))[..., None]
    colour = gum + (enamel - gum) * smoothstep(-0.04, 0.045, gum_edge)[..., None]
    colour = colour * (1.0 - 0.16 * bump(gum_edge, 0.0, 0.06))[..., None]
    return np.asarray(colours.dark + (colour - colours.dark) * corridor(s)[..., None], np.float32)


def _enamel_shade(t: Reals, v: Reals, kind: Reals, gap_cm: Reals) -> Floats:
    """Multiplier of the enamel colour, [h, w, 3]."""
    warm_neck = smoothstep(0.5, 0.0, v)[..., None] * vector(0.07, 0.12, 0.22)
    thin = smoothstep(0.80, 1.0, v) * np.where(kind <= 2, 1.0, 0.35)
    thin_edge = thin[..., None] * vector(0.14, 0.13, 0.11)
    light = 0.045 * bump(t, -0.2, 0.32) * bump(v, 0.5, 0.22)
    form = 1.0 - 0.06 * t * t - 0.07 * np.abs(t) ** 6 + light
    # Neighbours touch in the middle of the crown; the gap darkens towards the edge and the gum.
    touch = 0.08 + 0.13 * smoothstep(0.72, 1.0, v) + 0.08 * smoothstep(0.35, 0.0, v)
    form = form * (1.0 - touch * bump(gap_cm, 0.0, 0.03))
    return np.asarray(form[..., None] * (1.0 - warm_neck) * (1.0 - thin_edge), np.float32)
