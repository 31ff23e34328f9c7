"""Tongue and cavity of a mouth: small curved meshes with painted textures.

Lengths are centimetres in the head frame, origin at the midline of the mouth line, in the plane of
the upper incisors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.avatar.mouth_colours import MouthColours
from vasa_cam.avatar.paint import Floats, Ints, smoothstep, vector
from vasa_cam.avatar.teeth import grid_triangles

_TONGUE_ROWS: Final = 15
_TONGUE_COLUMNS: Final = 17
_CAVITY_ROWS: Final = 13
_CAVITY_COLUMNS: Final = 25


@dataclass(frozen=True)
class Part:
    """One piece of the interior, before it is placed.

    vertices: float32 [K, 3] cm. uv: float32 [K, 2] pixels of `texture`, float32 [h, w, 4] (sRGB
    0..255, alpha 0..1). jaw_weight: float32 [K]. tongue: float32 [K, 3] cm at tongueOut = 1.
    """

    vertices: Floats
    uv: Floats
    triangles: Ints
    texture: Floats
    jaw_weight: Floats
    tongue: Floats


def tongue_part(colours: MouthColours, texels_per_cm: float, rng: np.random.Generator) -> Part:
    """The tongue: a domed body with a median groove whose tip rests behind the lower incisors."""
    across, along = np.meshgrid(
        np.linspace(-1, 1, _TONGUE_COLUMNS, dtype=np.float32),
        np.linspace(0, 1, _TONGUE_ROWS, dtype=np.float32),
    )
    # along: 0 at the root in the throat, 1 at the tip's underside.
    half = 2.05 * (1.0 - 0.10 * along) * np.sqrt(np.clip(1.02 - along**5.0, 0.02, 1.0))
    x = half * np.sin(across * 1.35) / np.sin(1.35)
    z = 5.2 - 4.35 * np.sin(np.clip(along / 0.93, 0, 1) * np.pi / 2)
    dome = 0.55 - 0.75 * np.sqrt(np.clip(np.sin(along * np.pi), 0, 1))
    y = 0.72 + 0.30 * dome + 0.42 * across**2 + 0.55 * smoothstep(0.84, 1.0, along)
    y = y + 0.10 * np.exp(-((across / 0.10) ** 2)) * smoothstep(0.98, 0.6, along)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    width, height = round(4.4 * texels_per_cm), round(3.6 * texels_per_cm)
    uv = np.stack([(across + 1) / 2 * (width - 1), along * (height - 1)], -1).reshape(-1, 2)
    tip = (smoothstep(0.25, 0.9, along) * (1.0 - 0.3 * across**2)).reshape(-1, 1)
    return Part(
        vertices=vertices,
        uv=uv.astype(np.float32),
        triangles=grid_triangles(_TONGUE_ROWS, _TONGUE_COLUMNS),
        texture=_paint_tongue(colours, width, height, rng),
        jaw_weight=np.ones(len(vertices), np.float32),
        tongue=(tip * vector(0.0, -0.62, -0.75)).astype(np.float32),
    )


def _paint_tongue(
    colours: MouthColours, width: int, height: int, rng: np.random.Generator
) -> Floats:
    import cv2

    u, v = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32)
    )
    light = (0.20 + 0.80 * smoothstep(0.05, 0.85, v)) * (1.0 - 0.38 * np.abs(u) ** 2.2)
    light = light * (1.0 - 0.16 * np.exp(-((u / 0.07) ** 2)) * smoothstep(0.98, 0.7, v))
    light = light * (1.0 - 0.45 * smoothstep(0.90, 1.0, v))
    noise = cv2.GaussianBlur(rng.normal(0, 1, u.shape).astype(np.float32), (0, 0), 1.1)
    noise = noise / max(float(noise.std()), 1e-6)
    coarse = cv2.GaussianBlur(rng.normal(0, 1, u.shape).astype(np.float32), (0, 0), width / 16)
    coarse = coarse / max(float(coarse.std()), 1e-6)
    light = light * (1.0 + 0.03 * noise + 0.03 * coarse)
    wet = np.exp(-(((np.abs(u) - 0.28) / 0.16) ** 2) - (((v - 0.78) / 0.07) ** 2))
    colour = colours.tongue * light[..., None]
    colour = colour + colours.gloss * (0.30 * wet * (0.8 + 0.25 * noise))[..., None]
    return np.concatenate([colour, np.ones((*u.shape, 1), np.float32)], -1).astype(np.float32)


def cavity_part(colours: MouthColours, texels_per_cm: float) -> Part:
    """Cheeks, palate, floor and throat: a bowl open towards the lips.

    Columns run from the image-left corner through the throat to the image-right one, rows from the
    palate to the floor, which follows the jaw.
    """
    turn, fall = np.meshgrid(
        np.linspace(-1, 1, _CAVITY_COLUMNS, dtype=np.float32),
        np.linspace(0, 1, _CAVITY_ROWS, dtype=np.float32),
    )
    angle = turn * (np.pi / 2)
    x = 3.25 * np.sin(angle)
    height = np.cos(fall * np.pi)
    depth = np.cos(angle) * np.sqrt(np.clip(1.02 - 0.55 * height**2, 0.02, 1.0))
    z = 0.75 + 5.6 * depth
    y = 0.25 - 1.75 * height
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    width, tall = round(5.0 * texels_per_cm), round(2.6 * texels_per_cm)
    uv = np.stack([(turn + 1) / 2 * (width - 1), fall * (tall - 1)], -1).reshape(-1, 2)
    return Part(
        vertices=vertices,
        uv=uv.astype(np.float32),
        triangles=grid_triangles(_CAVITY_ROWS, _CAVITY_COLUMNS),
        texture=_paint_cavity(colours, width, tall),
        jaw_weight=smoothstep(0.25, 0.95, fall).reshape(-1),
        tongue=np.zeros((len(vertices), 3), np.float32),
    )


def _paint_cavity(colours: MouthColours, width: int, height: int) -> Floats:
    u, v = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32)
    )
    cheek = smoothstep(0.45, 1.0, np.abs(u)) * smoothstep(0.0, 0.4, v) * smoothstep(1.0, 0.6, v)
    palate = smoothstep(0.45, 0.05, v) * (1.0 - 0.6 * np.abs(u))
    floor = smoothstep(0.6, 1.0, v) * 0.8
    share = np.clip(0.75 * cheek + 0.55 * palate + 0.5 * floor, 0.0, 1.0)[..., None]
    throat = np.exp(-((u / 0.42) ** 2) - (((v - 0.55) / 0.28) ** 2))[..., None]
    colour = colours.dark + (colours.flesh - colours.dark) * share
    colour = colour * (1.0 - 0.45 * throat)
    return np.concatenate([colour, np.ones((*u.shape, 1), np.float32)], -1).astype(np.float32)
