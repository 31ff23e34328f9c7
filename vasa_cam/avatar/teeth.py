"""Dental arches of a talking portrait: crowns on a curved arch, as a mesh and its texture.

Lengths are centimetres in the head frame (x image right, y down, z away) with the origin at the
midline on the incisal edge. Crown sizes are textbook averages for adults (Wheeler's Dental Anatomy);
a seeded generator varies length, turn and tone the way neighbouring teeth differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.paint import Floats, Ints, smoothstep, vector

_UPPER_WIDTHS: Final = (0.85, 0.66, 0.76, 0.70, 0.68, 1.0, 0.95)
_LOWER_WIDTHS: Final = (0.53, 0.59, 0.68, 0.70, 0.71, 1.1, 1.05)
_UPPER_CROWNS: Final = (1.05, 0.92, 1.0, 0.86, 0.78, 0.75, 0.72)
_LOWER_CROWNS: Final = (0.90, 0.92, 1.02, 0.88, 0.80, 0.75, 0.72)
_GUM_CM: Final = 0.55
_COLUMN_CM: Final = 0.055


@dataclass(frozen=True)
class ArchShape:
    """Numbers that tell the upper from the lower arch.

    half_width, depth: of the half ellipse seen from above. direction: +1 crowns hang down, -1 stand
    up. rise: how far the edges recede vertically towards the molars.
    """

    widths: tuple[float, ...]
    crowns: tuple[float, ...]
    half_width: float
    depth: float
    direction: float
    rise: float


UPPER_ARCH: Final = ArchShape(_UPPER_WIDTHS, _UPPER_CROWNS, 2.95, 4.2, 1.0, 0.16)
LOWER_ARCH: Final = ArchShape(_LOWER_WIDTHS, _LOWER_CROWNS, 2.62, 3.8, -1.0, 0.10)


@dataclass(frozen=True)
class Tooth:
    """One crown: its centre and half width along the arch, and how it differs from its neighbours."""

    kind: int  # 0 central incisor .. 6 second molar
    centre: float
    half: float
    shorter: float
    turn: float
    lean: float
    tone: float


@dataclass(frozen=True)
class Arch:
    """A dental arch.

    vertices: float32 [K, 3] cm. uv: float32 [K, 2], pixels of `texture`. triangles: int32 [T, 3].
    texture: float32 [h, w, 4], sRGB 0..255 and alpha 0..1. surface: float32 [h, w, 3], the place in
    cm of every texel, for projecting a photo onto the arch.
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


def build_arch(
    shape: ArchShape, colours: ToothColours, texels_per_cm: float, rng: np.random.Generator
) -> Arch:
    """Build one arch with its texture at about `texels_per_cm`."""
    teeth = _row_of_teeth(shape, rng)
    reach = sum(shape.widths) - 0.02
    columns = 2 * round(reach / _COLUMN_CM) + 1
    s = np.linspace(-reach, reach, columns, dtype=np.float32)
    edge, neck = _outline(shape, teeth, s)
    gum_top = neck.min() - _GUM_CM
    fractions = vector(0.0, 0.3, 0.6, 0.85, 1.0)
    rows = [np.full_like(s, gum_top), *(neck + f * (edge - neck) for f in fractions)]
    y = np.stack(rows)
    place = _surface(shape, teeth, np.broadcast_to(s, y.shape), y, (y - neck) / (edge - neck))
    origin = vector(-reach, gum_top)
    width = int(np.ceil(2 * reach * texels_per_cm)) + 1
    height = int(np.ceil((float(edge.max()) - gum_top) * texels_per_cm)) + 3
    uv = (np.stack([np.broadcast_to(s, y.shape), y], -1) - origin) * texels_per_cm
    v, u = np.mgrid[0:height, 0:width].astype(np.float32) / texels_per_cm
    texture, surface = _paint(shape, teeth, colours, u + origin[0], v + origin[1], rng)
    return Arch(
        vertices=place.reshape(-1, 3).astype(np.float32),
        uv=uv.reshape(-1, 2).astype(np.float32),
        triangles=grid_triangles(*y.shape),
        texture=texture,
        surface=surface,
    )


def grid_triangles(rows: int, columns: int) -> Ints:
    """Two triangles for every cell of a rows x columns vertex grid, int32 [T, 3]."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.stack([corner, corner + 1, corner + columns], 1)
    second = np.stack([corner + columns, corner + 1, corner + columns + 1], 1)
    return np.concatenate([first, second]).astype(np.int32)


def _row_of_teeth(shape: ArchShape, rng: np.random.Generator) -> list[Tooth]:
    teeth = []
    for side in (-1.0, 1.0):
        start = 0.0
        for kind, width in enumerate(shape.widths):
            half = 0.5 * width
            teeth.append(
                Tooth(
                    kind=kind,
                    centre=side * (start + half),
                    half=half,
                    shorter=float(rng.uniform(0.0, 0.035)) + (0.06 if kind == 1 else 0.0),
                    turn=float(rng.normal(0.0, 0.018)),
                    lean=float(rng.normal(0.0, 0.012)),
                    tone=float(rng.normal(0.0, 0.016)),
                )
            )
            start += width
    return sorted(teeth, key=lambda tooth: tooth.centre)


def _nearest(teeth: list[Tooth], s: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Index of the tooth at arc length s and the place on it, -1..1 (towards the midline < 0)."""
    bounds = np.array([tooth.centre + tooth.half for tooth in teeth[:-1]])
    index = np.searchsorted(bounds, s)
    centre = np.array([tooth.centre for tooth in teeth], np.float32)[index]
    half = np.array([tooth.half for tooth in teeth], np.float32)[index]
    t = np.clip((s - centre) / half, -1.0, 1.0) * np.sign(centre)
    return index, t.astype(np.float32)


def _gather(teeth: list[Tooth], name: str, index: npt.NDArray[np.intp]) -> Floats:
    return np.array([getattr(tooth, name) for tooth in teeth], np.float32)[index]


def _outline(shape: ArchShape, teeth: list[Tooth], s: Floats) -> tuple[Floats, Floats]:
    """Incisal edge and neck heights at arc lengths s, in a frame where crowns point to +y."""
    index, t = _nearest(teeth, s)
    kind = _gather(teeth, "kind", index).astype(np.intp)
    along = np.abs(s)
    edge = -shape.rise * smoothstep(0.6, 4.2, along) - _gather(teeth, "shorter", index)
    edge = edge + _gather(teeth, "lean", index) * t
    far_corner, near_corner = np.maximum(t, 0.0), np.maximum(-t, 0.0)
    square = 0.055 * far_corner**3.0 + 0.035 * near_corner**5.0
    pointed = 0.13 * np.abs(t) ** 1.5
    rounded = 0.06 * np.abs(t) ** 3.0
    corners = np.where(kind <= 1, square, np.where(kind <= 4, pointed, rounded))
    corners = corners * np.where(kind == 3, 0.8, 1.0)
    notch = 0.05 * np.exp(-(((1.0 - np.abs(t)) * _gather(teeth, "half", index) / 0.035) ** 2))
    crown = np.array(shape.crowns, np.float32)[kind]
    edge = edge - corners - notch
    neck = -shape.rise * smoothstep(0.6, 4.2, along) - crown + 0.02
    return edge.astype(np.float32), neck.astype(np.float32)


def _surface(shape: ArchShape, teeth: list[Tooth], s: Floats, y: Floats, v: Floats) -> Floats:
    """Place in cm of arch coordinates: s along the arch, y towards the edges, v 0 neck .. 1 edge."""
    x, z = _ellipse(shape, s)
    index, t = _nearest(teeth, s)
    bulge = 0.05 * np.sin(np.pi * np.clip(0.15 + 0.75 * v, 0.0, 1.0)) * (1.0 - 0.35 * t * t)
    z = z - bulge + _gather(teeth, "turn", index) * t
    return np.stack([x, shape.direction * y, z], -1).astype(np.float32)


def _ellipse(shape: ArchShape, s: Floats) -> tuple[Floats, Floats]:
    """x and z at arc length s of the arch x = a sin(theta), z = b (1 - cos(theta))."""
    theta = np.linspace(0.0, 1.55, 400)
    dx = shape.half_width * np.cos(theta)
    dz = shape.depth * np.sin(theta)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(dx, dz)[:-1] * np.diff(theta))])
    at = np.interp(np.abs(s), length, theta)
    beyond = np.maximum(np.abs(s) - length[-1], 0.0)
    x = np.sign(s) * shape.half_width * np.sin(at)
    z = shape.depth * (1.0 - np.cos(at)) + beyond
    return x.astype(np.float32), z.astype(np.float32)


def _paint(
    shape: ArchShape,
    teeth: list[Tooth],
    colours: ToothColours,
    s: Floats,
    y: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Texture and surface over the texel grid (s, y), both float32 [h, w, .]."""
    index, t = _nearest(teeth, s)
    edge, neck = _outline(shape, teeth, s)
    v = (y - neck) / (edge - neck)
    kind = _gather(teeth, "kind", index)
    gap_cm = (1.0 - np.abs(t)) * _gather(teeth, "half", index)
    enamel = colours.enamel * _enamel_shade(t, v, kind, gap_cm)
    enamel = enamel * (1.0 + _gather(teeth, "tone", index) - 0.035 * (kind == 2))[..., None]
    streak = np.interp(s[0], np.linspace(s[0, 0], s[0, -1], 160), rng.normal(0, 0.012, 160))
    enamel = enamel * (1.0 + streak[None, :, None] * np.clip(v, 0, 1)[..., None])
    papilla = 0.02 + 0.15 * np.abs(t) ** 2.2
    gum_edge = (y - neck) - papilla
    gum = colours.gum * (1.0 + 0.10 * np.sin(np.pi * (t + 1) / 2) - 0.12)[..., None]
    gum = gum * (1.0 - 0.35 * smoothstep(0.0, -_GUM_CM, gum_edge))[..., None]
    tooth_share = smoothstep(-0.03, 0.035, gum_edge)[..., None]
    contact = 1.0 - 0.25 * np.exp(-((gum_edge / 0.05) ** 2))[..., None]
    colour = (gum + (enamel - gum) * tooth_share) * contact
    colour = colours.dark + (colour - colours.dark) * corridor(s)[..., None]
    alpha = np.ones(s.shape, np.float32)
    texture = np.concatenate([colour, alpha[..., None]], -1).astype(np.float32)
    return texture, _surface(shape, teeth, s, np.minimum(y, edge), np.clip(v, -0.5, 1.0))


def corridor(s: Floats) -> Floats:
    """Light that reaches the arch at arc length s: full in front, almost none at the molars."""
    return np.asarray(0.08 + 0.92 * smoothstep(4.3, 1.2, np.abs(s)) ** 1.3, np.float32)


def _enamel_shade(t: Floats, v: Floats, kind: Floats, gap_cm: Floats) -> Floats:
    """Multiplier of the enamel colour, [h, w, 3]."""
    neck = smoothstep(0.45, 0.0, v)[..., None] * vector(0.06, 0.11, 0.22)
    thin = (smoothstep(0.80, 1.0, v) * np.where(kind <= 2, 1.0, 0.3))[..., None]
    thin = thin * vector(0.17, 0.13, 0.09)
    round_ = 0.06 * t * t + 0.10 * np.abs(t) ** 6
    light = 0.045 * np.exp(-(((t + 0.2) / 0.32) ** 2) - (((v - 0.5) / 0.22) ** 2))
    seam = 0.34 * np.exp(-((gap_cm / 0.022) ** 2))
    shade = (1.0 - round_ + light) * (1.0 - seam)
    return np.asarray(shade[..., None] * (1.0 - neck) * (1.0 - thin), np.float32)
