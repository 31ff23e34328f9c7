"""Tongue and cavity of a mouth: small curved meshes with textures that are lit and fade with depth.

Lengths are centimetres in the head frame (x image right, y down, z away), origin at the midline of
the mouth line, in the plane of the upper incisors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.avatar.mouth_colours import MouthColours
from vasa_cam.avatar.paint import Floats, Ints, Reals, blur, bump, vector
from vasa_cam.avatar.teeth import grid_triangles
from vasa_cam.numeric import smoothstep

_TONGUE_GRID: Final = (17, 19)
_CAVITY_GRID: Final = (13, 25)
_LIGHT: Final = vector(0.0, -0.62, -0.78)
"""Direction to the light that falls into a mouth: from the viewer's side and above."""
_DEPTH_CM: Final = 3.0
"""Depth behind the incisors at which the light in the mouth has fallen to 1/e."""

Surface = Callable[[Reals, Reals], Floats]


@dataclass(frozen=True)
class Part:
    """One piece of the interior, before it is placed.

    vertices: float32 [K, 3] cm. uv: float32 [K, 2], pixels of `texture`, float32 [h, w, 3] (sRGB
    0..255). triangles: int32 [T, 3]. jaw_weight: float32 [K]. tongue: float32 [K, 3], cm moved at
    tongueOut = 1.
    """

    vertices: Floats
    uv: Floats
    triangles: Ints
    texture: Floats
    jaw_weight: Floats
    tongue: Floats


def tongue_part(colours: MouthColours, texels_per_cm: float, rng: np.random.Generator) -> Part:
    """The tongue at rest: low, domed, with a median groove, its tip behind the lower incisors."""
    across, along = _grid(*_TONGUE_GRID)
    size = (round(3.6 * texels_per_cm), round(4.4 * texels_per_cm))
    tip = smoothstep(0.30, 0.88, along) * (1.0 - 0.25 * across**2)
    # The tip rises first and comes forward: the l and th of speech, then out.
    lift = tip[..., None] * vector(0.0, -0.90, -0.75)
    return Part(
        vertices=_tongue_surface(across, along).reshape(-1, 3),
        uv=_texels(across, along, size),
        triangles=grid_triangles(*_TONGUE_GRID),
        texture=_paint_tongue(colours, size, rng),
        # Speakers hold the tongue up while the jaw drops; its root hangs from the skull.
        jaw_weight=(0.52 + 0.28 * smoothstep(0.0, 0.8, along)).reshape(-1).astype(np.float32),
        tongue=lift.reshape(-1, 3).astype(np.float32),
    )


def _tongue_surface(across: Reals, along: Reals) -> Floats:
    """Place of the tongue: across -1..1, along 0 at the root to 1 under the tip."""
    half = 2.0 * (1.0 - 0.12 * along) * np.sqrt(np.clip(1.02 - along**5.0, 0.02, 1.0))
    x = half * np.sin(across * 1.35) / np.sin(1.35)
    z = 5.4 - 4.55 * np.sin(np.clip(along / 0.94, 0, 1) * np.pi / 2)
    y = 0.97 - 0.62 * np.sin(np.pi * np.clip(along, 0, 1) ** 1.5)
    y = y + 0.62 * smoothstep(0.82, 1.0, along)
    y = y + 0.40 * across**2 + 0.12 * bump(across, 0.0, 0.11) * smoothstep(0.97, 0.6, along)
    return np.stack([x, y, z], -1).astype(np.float32)


def _paint_tongue(colours: MouthColours, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    u, v = _grid(*size)
    light, depth = _lit(_tongue_surface, u, v)
    fine = _noise(rng, u, 0.9)
    coarse = _noise(rng, u, size[1] / 16)
    tone = (0.56 + 0.62 * light) * depth * (1.0 + 0.025 * fine + 0.035 * coarse)
    tone = tone * (1.0 - 0.12 * bump(u, 0.0, 0.06) * smoothstep(0.95, 0.6, v))
    tone = tone * (1.0 - 0.5 * smoothstep(0.93, 1.0, v)) * (1.0 - 0.35 * np.abs(u) ** 3)
    wet = bump(np.abs(u), 0.30, 0.20) * bump(v, 0.74, 0.10) * (0.85 + 0.10 * fine)
    wet = wet + 0.5 * bump(u, 0.1, 0.3) * bump(v, 0.86, 0.04) * (0.9 + 0.10 * fine)
    # Papillae are paler than the edges.
    pale = 0.10 * (1.0 - u**2) * (1.0 + 0.5 * coarse)
    colour = colours.tongue * tone[..., None] * (1.0 + pale[..., None] * vector(0.2, 1.0, 0.9))
    return np.asarray(colour + colours.gloss * (0.10 * wet)[..., None], np.float32)


def cavity_part(colours: MouthColours, texels_per_cm: float) -> Part:
    """Cheeks, palate, floor and throat: a bowl open towards the lips.

    Columns run from the image-left cheek through the throat to the image-right one, rows from the
    palate to the floor, which follows the jaw.
    """
    turn, fall = _grid(*_CAVITY_GRID)
    size = (round(2.6 * texels_per_cm), round(5.0 * texels_per_cm))
    return Part(
        vertices=_cavity_surface(turn, fall).reshape(-1, 3),
        uv=_texels(turn, fall, size),
        triangles=grid_triangles(*_CAVITY_GRID),
        texture=_paint_cavity(colours, size),
        jaw_weight=smoothstep(0.25, 0.95, fall).reshape(-1),
        tongue=np.zeros((turn.size, 3), np.float32),
    )


def _cavity_surface(turn: Reals, fall: Reals) -> Floats:
    """Place of the cavity's wall: turn -1..1 from cheek to cheek, fall 0 palate to 1 floor."""
    angle, height = turn * (np.pi / 2), np.cos(fall * np.pi)
    depth = np.cos(angle) * np.sqrt(np.clip(1.02 - 0.55 * height**2, 0.02, 1.0))
    return np.stack([3.25 * np.sin(angle), 0.25 - 1.75 * height, 0.75 + 5.6 * depth], -1).astype(
        np.float32
    )


def _paint_cavity(colours: MouthColours, size: tuple[int, int]) -> Floats:
    u, v = _grid(*size)
    place = _cavity_surface(u, v)
    near = np.exp(-np.maximum(place[..., 2] - 0.6, 0.0) / _DEPTH_CM)
    palate = smoothstep(0.42, 0.12, v) * 0.55
    # Ridges of the palate, and the soft arches before the throat.
    ridges = 1.0 + 0.10 * np.sin(v * 70.0) * smoothstep(0.30, 0.10, v) * (1.0 - u**2)
    arch = bump(np.hypot(u / 0.55, (v - 0.62) / 0.42), 1.0, 0.22) * smoothstep(0.75, 0.45, v)
    share = np.clip(near + 0.30 * palate * ridges + 0.16 * arch, 0.0, 1.0)[..., None]
    throat = bump(np.hypot(u / 0.40, (v - 0.56) / 0.26), 0.0, 1.0)[..., None]
    colour = colours.dark + (colours.flesh - colours.dark) * share
    return np.asarray(colour * (1.0 - 0.5 * throat), np.float32)


def _lit(surface: Surface, u: Reals, v: Reals) -> tuple[Floats, Floats]:
    """Lambert light 0..1 and fading with depth of a surface over its parameters."""
    place = surface(u, v)
    normal = np.cross(np.gradient(place, axis=1), np.gradient(place, axis=0))
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    normal = normal * (-1.0 if float(normal[..., 1].mean()) > 0.0 else 1.0)
    light = np.clip(normal @ _LIGHT, 0.0, 1.0)
    depth = np.exp(-np.maximum(place[..., 2] - 1.0, 0.0) / _DEPTH_CM)
    return light.astype(np.float32), depth.astype(np.float32)


def _grid(rows: int, columns: int) -> tuple[Floats, Floats]:
    """Parameters of a grid: u -1..1 across columns, v 0..1 down rows, float32 [rows, columns]."""
    u, v = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    return u.astype(np.float32), v.astype(np.float32)


def _texels(u: Floats, v: Floats, size: tuple[int, int]) -> Floats:
    """Texture coordinates [K, 2] of grid parameters in a texture of `size` (rows, columns)."""
    return np.stack([(u + 1) / 2 * (size[1] - 1), v * (size[0] - 1)], -1).reshape(-1, 2)


def _noise(rng: np.random.Generator, like: Floats, sigma: float) -> Floats:
    """Smooth noise of unit deviation in the shape of `like`."""
    noise = blur(rng.normal(0, 1, like.shape).astype(np.float32), sigma)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)
