"""Ops that put layers together: a layer over a background, eyes and mouth into their openings.

An opening is described by an `aperture`, float32 [134]: image-left corner x, y; unit axis x, y from
it to the image-right corner; length; greatest gap; then 64 upper and 64 lower offsets in px,
perpendicular to the axis and positive downwards, at equal steps along it from 0 to length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.ops import reference_compose as reference

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

APERTURE_SIZE: Final = 134


@dataclass(frozen=True, eq=False)
class EyeParams:
    """How one eye is drawn. Patch px: pixels of the sclera and iris patches, (0, 0) the first.

    patch_from_screen: 2x3 affine, row-major, from screen px (x, y, 1) to patch px; it carries the
        eyeball with the head. At rest and scale 1 it only subtracts the patch's origin.
    rest_aperture: float32 [134], `aperture` of the lids at rest in patch px (rest vertices less the
        patch origin); the shadow and the lid skin are relative to it.
    iris_centre_px, iris_radius_px, eyeball_radius_px: at rest, patch px.
    gaze_rad: rotation of the eyeball from rest, (to the image right, up), radians.
    shadow_strength: share of light that the upper lid takes at its edge, 0..1; what the patches
        hold already, so it only acts as the lid or the gaze moves. shadow_reach: its end below the
        lid's edge, in iris radii.
    lid_strength: 0..1, how much of the lid's own skin replaces the stretched photo as it closes.
    lash_strength: 0..1, darkness of the lash line when the eye is shut; none at rest.
    lash_width: its half width in iris radii. lash_rgb: its colour, 0..255.
    softness_px: width of the opening's soft edge, screen px.
    """

    patch_from_screen: tuple[float, float, float, float, float, float]
    rest_aperture: F32
    iris_centre_px: tuple[float, float]
    iris_radius_px: float
    eyeball_radius_px: float
    gaze_rad: tuple[float, float] = (0.0, 0.0)
    shadow_strength: float = 0.35
    shadow_reach: float = 0.6
    lid_strength: float = 1.0
    lash_strength: float = 0.55
    lash_width: float = 0.18
    lash_rgb: tuple[float, float, float] = (42.0, 30.0, 26.0)
    softness_px: float = 1.0


@dataclass(frozen=True)
class MouthParams:
    """How the opening between the lips is drawn.

    cavity_rgb: 0..255, behind what the interior layer leaves transparent.
    px_per_cm: screen px in a centimetre of the face; ambient occlusion is in centimetres.
    occlusion: 0 none .. 1 full darkening towards the lips, the corners and in a narrow gap.
    fade_px: greatest gap at which the interior begins to show, and from which it shows fully.
    rim_strength: darkening of the lips next to the opening, 0..1; rim_px: how far it reaches.
    softness_px: width of the opening's soft edge, screen px.
    """

    cavity_rgb: tuple[float, float, float]
    px_per_cm: float
    occlusion: float = 1.0
    fade_px: tuple[float, float] = (0.6, 2.2)
    rim_strength: float = 0.35
    rim_px: float = 1.6
    softness_px: float = 1.0


def compose_over(
    background: U8, layer: U8, origin_px: tuple[int, int] = (0, 0), out: U8 | None = None
) -> U8:
    """Layer over background; see the reference."""
    if out is None:
        out = np.empty_like(background)
    return reference.compose_over(background, layer, origin_px, out=out)


def aperture(vertices: F32, upper_chain: I32, lower_chain: I32, out: F32 | None = None) -> F32:
    """Opening between two chains; see the reference."""
    if out is None:
        out = np.empty(APERTURE_SIZE, np.float32)
    return reference.aperture(vertices, upper_chain, lower_chain, out=out)


def compose_eye(frame: U8, aperture: F32, params: EyeParams, sclera: U8, iris: U8, lid: U8) -> None:
    """Eye into frame; see the reference."""
    reference.compose_eye(frame, aperture, params, sclera, iris, lid)


def compose_mouth(
    frame: U8, aperture: F32, params: MouthParams, interior: U8, origin_px: tuple[int, int]
) -> None:
    """Mouth into frame; see the reference."""
    reference.compose_mouth(frame, aperture, params, interior, origin_px)
