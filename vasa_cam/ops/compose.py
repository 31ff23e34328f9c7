"""Ops that put layers together: a layer over a background, eyes and mouth into their openings.

An opening is described by an `aperture`, float32 [134]: image-left corner x, y; unit axis x, y from
it to the image-right corner; length; greatest gap; then 64 upper and 64 lower offsets in px,
perpendicular to the axis and positive downwards, at equal steps along it from 0 to length.
`reference_compose.py` has the maths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

APERTURE_SIZE: Final = 134
MAX_ORIGIN_PX: Final = 1_000_000

_EYE_LENGTHS: Final = {"patch_from_screen": 6, "iris_centre_px": 2, "gaze_rad": 2, "lash_rgb": 3}


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
    softness_px: width of the opening's soft edge, screen px, above 0.
    Raises ValueError for a number that is not finite or out of range.
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

    def __post_init__(self) -> None:
        _check.check_array(
            self.rest_aperture, "EyeParams", "rest_aperture", "float32", (APERTURE_SIZE,)
        )
        _check_numbers(self, _EYE_LENGTHS)
        _check_positive(self, "iris_radius_px", "eyeball_radius_px", "shadow_reach", "softness_px")
        if not 0.0 <= self.shadow_strength < 1.0:
            raise ValueError(
                f"EyeParams: shadow_strength must be 0 to below 1, got {self.shadow_strength}"
            )


@dataclass(frozen=True)
class MouthParams:
    """How the opening between the lips is drawn.

    cavity_rgb: 0..255, behind what the interior layer leaves transparent.
    px_per_cm: screen px in a centimetre of the face; ambient occlusion is in centimetres.
    occlusion: 0 none .. 1 full darkening towards the lips, the corners and in a narrow gap.
    fade_px: greatest gap at which the interior begins to show, and from which it shows fully.
    rim_strength: darkening of the lips next to the opening, 0..1; rim_px: how far it reaches.
    softness_px: width of the opening's soft edge, screen px, above 0.
    Raises ValueError for a number that is not finite or out of range.
    """

    cavity_rgb: tuple[float, float, float]
    px_per_cm: float
    occlusion: float = 1.0
    fade_px: tuple[float, float] = (0.6, 2.2)
    rim_strength: float = 0.35
    rim_px: float = 1.6
    softness_px: float = 1.0

    def __post_init__(self) -> None:
        _check_numbers(self, {"cavity_rgb": 3, "fade_px": 2})
        _check_positive(self, "px_per_cm", "rim_px", "softness_px")
        if not self.fade_px[0] < self.fade_px[1]:
            raise ValueError(f"MouthParams: fade_px must rise, got {self.fade_px}")


def compose_over(
    background: U8,  # [H, W, 3 or 4]
    layer: U8,  # [h, w, 4]
    origin_px: tuple[int, int] = (0, 0),
    out: U8 | None = None,  # [H, W, 3 or 4]
) -> U8:
    """Layer over background, straight alpha, its first pixel at origin_px; returns out.

    The layer may lie partly or wholly outside. out may be the background itself; it has as many
    channels as the background, or 4 where that has 3 (alpha is then 255). Raises TypeError or
    ValueError.
    """
    op = "compose_over"
    height, width, channels = _check.check_array(
        background, op, "background", "uint8", (None, None, (3, 4))
    )
    device = _check.device_of(background, op, "background")
    _check.check_array(layer, op, "layer", "uint8", (None, None, 4), device)
    if out is None:
        out = _check.empty_like_device((height, width, channels), "uint8", background)
    allowed = (3, 4) if channels == 3 else 4
    _check.check_array(out, op, "out", "uint8", (height, width, allowed), device)
    _check.check_writable(out, op, "out")
    _core.compose_over(background, layer, _origin(origin_px, op), out, _check.current_stream(out))
    return out


def aperture(
    vertices: F32,  # [N, 3]
    upper_chain: I32,  # [n]
    lower_chain: I32,  # [m]
    out: F32 | None = None,  # [134]
) -> F32:
    """The opening between two chains of vertices, float32 [134]; layout in this module's docstring.

    Both chains run from the image-left to the image-right corner, two vertices or more. Where the
    curves cross, both are their mean. Length and gap are 0 for an opening shorter than 0.001 px or
    with a vertex that is not finite. Raises TypeError or ValueError.
    """
    op = "aperture"
    _check.check_array(vertices, op, "vertices", "float32", (None, 3))
    device = _check.device_of(vertices, op, "vertices")
    _check.check_array(upper_chain, op, "upper_chain", "int32", (None,), device)
    _check.check_array(lower_chain, op, "lower_chain", "int32", (None,), device)
    out = _check.check_output(out, op, "out", "float32", (APERTURE_SIZE,), vertices)
    _core.aperture(vertices, upper_chain, lower_chain, out, _check.current_stream(vertices))
    return out


def compose_eye(
    frame: U8,  # [H, W, 3 or 4]
    aperture: F32,  # [134]
    params: EyeParams,
    sclera: U8,  # [h, w, 3]
    iris: U8,  # [h, w, 4]
    lid: U8,  # [hl, wl, 3]
) -> None:
    """Draw one eye into frame, in place.

    sclera: the eyeball without its iris. iris: the disc as straight alpha, same grid. lid: skin of
    the closed lid, crease (row 0) to lash line, image-left to image-right corner. With the gaze at
    0 and the lids at rest the frame stays as it is wherever the patches hold what it shows. Raises
    TypeError or ValueError.
    """
    op = "compose_eye"
    device = _check_frame(frame, aperture, op)
    _check.check_array(sclera, op, "sclera", "uint8", (None, None, 3), device)
    _check.check_array(iris, op, "iris", "uint8", (None, None, 4), device)
    _check.check_array(lid, op, "lid", "uint8", (None, None, 3), device)
    layers = (sclera, iris, lid)
    _core.compose_eye(frame, aperture, params, layers, _check.current_stream(frame))


def compose_mouth(
    frame: U8,  # [H, W, 3 or 4]
    aperture: F32,  # [134]
    params: MouthParams,
    interior: U8,  # [h, w, 4]
    origin_px: tuple[int, int],
) -> None:
    """Draw the mouth's inside into frame, in place; nothing while the lips are closed.

    interior: teeth and tongue as straight alpha, its first pixel at origin_px of the frame; outside
    it only the cavity shows. Raises TypeError or ValueError.
    """
    op = "compose_mouth"
    device = _check_frame(frame, aperture, op)
    _check.check_array(interior, op, "interior", "uint8", (None, None, 4), device)
    origin = _origin(origin_px, op)
    _core.compose_mouth(frame, aperture, params, interior, origin, _check.current_stream(frame))


def _check_frame(frame: U8, aperture: F32, op: str) -> tuple[str, int]:
    _check.check_array(frame, op, "frame", "uint8", (None, None, (3, 4)))
    _check.check_writable(frame, op, "frame")
    device = _check.device_of(frame, op, "frame")
    _check.check_array(aperture, op, "aperture", "float32", (APERTURE_SIZE,), device)
    return device


def _origin(origin_px: tuple[int, int], op: str) -> tuple[int, int]:
    x, y = (int(part) for part in origin_px)
    if max(abs(x), abs(y)) > MAX_ORIGIN_PX:
        raise ValueError(f"{op}: origin_px must be within +-{MAX_ORIGIN_PX}, got {origin_px}")
    return x, y


def _check_numbers(params: EyeParams | MouthParams, lengths: dict[str, int]) -> None:
    """Every number finite, every tuple as long as it must be."""
    kind = type(params).__name__
    for item in fields(params):
        value = getattr(params, item.name)
        if isinstance(value, np.ndarray):
            continue
        numbers = value if isinstance(value, tuple) else (value,)
        if len(numbers) != lengths.get(item.name, len(numbers)):
            raise ValueError(f"{kind}: {item.name} must have {lengths[item.name]} numbers")
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{kind}: {item.name} must be finite, got {value}")


def _check_positive(params: EyeParams | MouthParams, *names: str) -> None:
    for name in names:
        if not getattr(params, name) > 0:
            raise ValueError(
                f"{type(params).__name__}: {name} must be above 0, got {getattr(params, name)}"
            )
