"""NumPy reference of `compose_over`, `aperture`, `compose_eye` and `compose_mouth`, in float64.

Layers follow Porter and Duff ("Compositing digital images", 1984), on straight alpha and sRGB
values, as every video tool does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.reference_warp_mesh import sample_bicubic, sample_bilinear, to_bytes

if TYPE_CHECKING:
    from vasa_cam.ops.compose import EyeParams, MouthParams

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

KNOTS: Final = 64
LEAST_LENGTH_PX: Final = 1e-3
"""Openings shorter than this, or not finite, have length 0 and are not drawn."""
OCCLUSION_GAMMA: Final = np.array([0.85, 1.12, 1.20])
"""Exponents of the mouth's occlusion for R, G, B: shadow in a mouth is red."""


def compose_over(background: U8, layer: U8, origin_px: tuple[int, int], *, out: U8) -> U8:
    """Layer [h, w, 4] over background [H, W, 3|4], its corner at origin_px; the rest is copied.

    out may be the background itself. Bytes are rounded to nearest.
    """
    out[..., : background.shape[2]] = background
    if out.shape[2] > background.shape[2]:
        out[..., 3] = 255
    x0, y0 = origin_px
    left, top = max(x0, 0), max(y0, 0)
    right = min(x0 + layer.shape[1], out.shape[1])
    bottom = min(y0 + layer.shape[0], out.shape[0])
    if left >= right or top >= bottom:
        return out
    upper = layer[top - y0 : bottom - y0, left - x0 : right - x0].astype(np.float64)
    under = out[top:bottom, left:right]
    alpha = upper[..., 3:] / 255
    behind = under[..., 3:] / 255 if out.shape[2] == 4 else 1.0
    total = alpha + behind * (1 - alpha)
    mixed = upper[..., :3] * alpha + under[..., :3] * (behind * (1 - alpha))
    # Where the layer is empty the background stays, also the colour of its transparent pixels.
    shown = alpha > 0
    colour = to_bytes(mixed / np.where(total > 0, total, 1))
    under[..., :3] = np.where(shown, colour, under[..., :3])
    if out.shape[2] == 4:
        under[..., 3:] = np.where(shown, to_bytes(total * 255), under[..., 3:])
    return out


def aperture(vertices: F32, upper_chain: I32, lower_chain: I32, *, out: F32) -> F32:
    """The opening between two chains of vertices, float32 [134]; layout in `vasa_cam.ops.compose`.

    Both chains run from the image-left to the image-right corner. Positions along the axis never
    run backwards: a vertex that would is taken at its predecessor's. Where the curves cross, both
    are their mean.
    """
    points = vertices[:, :2].astype(np.float64)
    upper, lower = points[upper_chain], points[lower_chain]
    left, right = (upper[0] + lower[0]) / 2, (upper[-1] + lower[-1]) / 2
    length = float(np.hypot(*(right - left)))
    out[:] = 0
    if not (length >= LEAST_LENGTH_PX and np.isfinite(upper).all() and np.isfinite(lower).all()):
        return out
    axis = (right - left) / length
    at = np.linspace(0, length, KNOTS)
    curves = []
    for chain in (upper, lower):
        along = np.maximum.accumulate((chain - left) @ axis)
        curves.append(np.interp(at, along, (chain - left) @ np.array([-axis[1], axis[0]])))
    above, below = curves
    crossed = below < above
    above[crossed] = below[crossed] = (above[crossed] + below[crossed]) / 2
    out[:6] = *left, *axis, length, (below - above).max()
    out[6:] = np.concatenate(curves)
    return out


@dataclass(frozen=True)
class Opening:
    """An aperture seen from points: where they are along and across it, px."""

    along: F64
    across: F64
    upper: F64
    lower: F64
    upper_cos: F64
    lower_cos: F64
    length: float
    gap: float

    @staticmethod
    def seen_from(opening: F32, x: F64, y: F64) -> Opening:
        """The aperture [134] from points (x, y)."""
        ox, oy, ux, uy, length, gap = opening[:6].astype(np.float64)
        along = (x - ox) * ux + (y - oy) * uy
        across = (y - oy) * ux - (x - ox) * uy
        position = np.clip(along / length, 0, 1) * (KNOTS - 1)
        knot = np.minimum(position.astype(np.int64), KNOTS - 2)
        values = []
        for curve in (opening[6 : 6 + KNOTS], opening[6 + KNOTS :]):
            step = np.diff(curve.astype(np.float64))[knot]
            slope = step * (KNOTS - 1) / length
            values += [curve[knot] + step * (position - knot), 1 / np.sqrt(1 + slope * slope)]
        upper, upper_cos, lower, lower_cos = values
        return Opening(along, across, upper, lower, upper_cos, lower_cos, length, gap)

    def below_upper(self, softness_px: float) -> F64:
        """Share of a pixel below the upper curve, 0..1."""
        return np.clip(0.5 + (self.across - self.upper) * self.upper_cos / softness_px, 0, 1)

    def ends(self, softness_px: float) -> F64:
        """Share of a pixel between the two corners, 0..1."""
        start = np.clip(0.5 + self.along / softness_px, 0, 1)
        return np.asarray(start * np.clip(0.5 + (self.length - self.along) / softness_px, 0, 1))

    def coverage(self, softness_px: float) -> F64:
        """Share of a pixel inside the opening: exact for a box filter across parallel curves."""
        above = np.clip(0.5 + (self.lower - self.across) * self.lower_cos / softness_px, 0, 1)
        inside = np.maximum(0, self.below_upper(softness_px) + above - 1)
        return np.asarray(inside * self.ends(softness_px))


def smoothstep(low: float, high: float, value: F64 | float) -> F64:
    """0 up to low, 1 from high, the cubic 3 t^2 - 2 t^3 between."""
    t = np.clip((np.asarray(value) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def bounds(opening: F32, margin_px: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Pixels (x0, y0, x1, y1) of a frame that an aperture and a margin can touch."""
    ox, oy, ux, uy, length = opening[:5].astype(np.float64)
    along = np.array([-margin_px, length + margin_px])
    across = np.array([opening[6:].min() - margin_px, opening[6:].max() + margin_px])
    s, t = np.meshgrid(along, across)
    x, y = ox + s * ux - t * uy, oy + s * uy + t * ux
    low = np.floor([x.min(), y.min()]).clip(0, [width, height]).astype(int)
    high = (np.ceil([x.max(), y.max()]) + 1).clip(0, [width, height]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def compose_eye(frame: U8, opening: F32, params: EyeParams, sclera: U8, iris: U8, lid: U8) -> None:
    """Draw one eye into frame [H, W, 3|4], in place.

    sclera [h, w, 3] and iris [h, w, 4]: the eyeball and the iris disc at rest, one grid. lid
    [hl, wl, 3]: skin of the closed lid, crease to lash line, image-left to image-right corner.
    The iris turns on the eyeball: it moves by the radius times the sine of the gaze and narrows
    along that direction by its cosine. The upper lid's shadow is taken from where the photo has it
    and put where the lid is. As the lid comes down, its own skin covers the band that it passed.
    """
    if not opening[4] > 0 or not params.rest_aperture[4] > 0:
        return
    a, b, c, d, e, f = params.patch_from_screen
    height, width = frame.shape[:2]
    # Across the opening, a screen px is this many patch px.
    zoom = float(np.hypot(-a * opening[3] + b * opening[2], -d * opening[3] + e * opening[2]))
    if not 0 < zoom < np.inf:
        return
    rest_gap = float(params.rest_aperture[5])
    closed = float(np.clip(1 - opening[5] * zoom / rest_gap, 0, 1)) if rest_gap > 1e-3 else 0.0
    # The lid skin begins where the lid was at rest, about as far up as the gap has shrunk.
    travel = max(closed, 0.25) * max(rest_gap, 0.0) + 0.3 * params.iris_radius_px
    margin = 2 + params.softness_px + travel / zoom
    x0, y0, x1, y1 = bounds(opening, margin, width, height)
    if x0 >= x1 or y0 >= y1:
        return
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float64)
    u, v = a * x + b * y + c, d * x + e * y + f
    now, rest = Opening.seen_from(opening, x, y), Opening.seen_from(params.rest_aperture, u, v)

    region = frame[y0:y1, x0:x1].astype(np.float64)
    skin, skin_weight = _lid_skin(params, now, rest, zoom, lid)
    colour = region[..., :3]
    colour = colour + (skin - colour) * skin_weight[..., None]
    cover = now.coverage(params.softness_px)
    colour = (
        colour
        + (_eyeball(params, now, rest, zoom, (u, v), sclera, iris) - colour) * cover[..., None]
    )
    lash = _lash_line(params, now, zoom) * params.lash_strength * smoothstep(0.1, 0.9, closed)
    colour = colour + (np.array(params.lash_rgb) - colour) * lash[..., None]
    frame[y0:y1, x0:x1, :3] = to_bytes(colour)
    if frame.shape[2] == 4:
        alpha = region[..., 3]
        frame[y0:y1, x0:x1, 3] = to_bytes(alpha + (255 - alpha) * cover)


def _eyeball(
    params: EyeParams,
    now: Opening,
    rest: Opening,
    zoom: float,
    at: tuple[F64, F64],
    sclera: U8,
    iris: U8,
) -> F64:
    """Sclera with the iris over it in the light of the lid's present place, [h, w, 3]."""

    def light(below_px: F64) -> F64:
        reach = params.shadow_reach * params.iris_radius_px
        return 1 - params.shadow_strength * (1 - smoothstep(0, reach, below_px))

    u, v = at
    light_now = light((now.across - now.upper) * zoom)
    white = sample_bicubic(sclera, u.ravel(), v.ravel()).reshape(*u.shape, 3)
    white = white * (light_now / light(rest.across - rest.upper))[..., None]
    iris_u, iris_v = iris_source(params, u, v)
    source = Opening.seen_from(params.rest_aperture, iris_u, iris_v)
    disc = sample_bicubic(iris, iris_u.ravel(), iris_v.ravel()).reshape(*u.shape, 4)
    tone = disc[..., :3] * (light_now / light(source.across - source.upper))[..., None]
    alpha = np.clip(disc[..., 3:] / 255, 0, 1)
    return np.clip(white, 0, 255) * (1 - alpha) + np.clip(tone, 0, 255) * alpha


def iris_source(params: EyeParams, u: F64, v: F64) -> tuple[F64, F64]:
    """Where the iris patch shows what is at patch px (u, v) under the present gaze."""
    right, up = params.gaze_rad
    direction = np.array([np.sin(right) * np.cos(up), -np.sin(up)])
    sine = float(np.hypot(*direction))
    towards = direction / sine if sine > 1e-6 else np.array([1.0, 0.0])
    # Beyond 80 degrees the disc would be a line.
    cosine = max(float(np.cos(right) * np.cos(up)), 0.17)
    x = u - params.iris_centre_px[0] - params.eyeball_radius_px * direction[0]
    y = v - params.iris_centre_px[1] - params.eyeball_radius_px * direction[1]
    extra = (x * towards[0] + y * towards[1]) * (1 / cosine - 1)
    return (
        params.iris_centre_px[0] + x + extra * towards[0],
        params.iris_centre_px[1] + y + extra * towards[1],
    )


def _lid_skin(
    params: EyeParams, now: Opening, rest: Opening, zoom: float, lid: U8
) -> tuple[F64, F64]:
    """Colour [h, w, 3] and weight [h, w] of the closing lid's skin.

    The skin hangs on the lash line, so it slides down with it; it begins softly at the lid's place
    at rest, and nowhere while the lid is still there. Next to the lash line it leaves the photo's
    own lashes, which the mesh carries down.
    """
    above = (now.upper - now.across) * zoom
    passed = rest.across - rest.upper
    scale = max(rest.gap, 1e-3)
    radius = params.iris_radius_px
    weight = params.lid_strength * smoothstep(0, 0.35 * scale, passed + above)
    weight = weight * smoothstep(-0.3 * radius, 0.5 * radius, passed)
    weight = weight * smoothstep(0, 0.3 * radius, above)
    share = now.along / now.length
    weight = weight * smoothstep(0, 0.1, share) * smoothstep(0, 0.1, 1 - share)
    column = np.clip(share, 0, 1) * (lid.shape[1] - 1)
    row = np.clip(1 - above / scale, 0, 1) * (lid.shape[0] - 1)
    skin = sample_bilinear(lid, column.ravel(), row.ravel()).reshape(*row.shape, 3)
    return skin, weight


def _lash_line(params: EyeParams, now: Opening, zoom: float) -> F64:
    """A soft line along the upper lid that thins out at the corners, [h, w] in 0..1."""
    away = np.abs(now.across - now.upper) * now.upper_cos
    half_px = max(params.lash_width * params.iris_radius_px / zoom, 1.0)
    share = now.along / now.length
    taper = smoothstep(0, 0.15, share) * smoothstep(0, 0.15, 1 - share)
    return np.asarray((1 - smoothstep(0, half_px, away)) * taper)


def compose_mouth(
    frame: U8, opening: F32, params: MouthParams, interior: U8, origin_px: tuple[int, int]
) -> None:
    """Draw the mouth's inside into frame [H, W, 3|4], in place.

    interior: uint8 [h, w, 4], teeth and tongue as straight alpha, its corner at origin_px in the
    frame; outside it only the cavity shows. It darkens towards both lips, the corners and in a
    narrow gap, and the lips darken a little next to it.
    """
    if not opening[4] > 0:
        return
    height, width = frame.shape[:2]
    margin = 2 + params.softness_px + 2 * params.rim_px
    x0, y0, x1, y1 = bounds(opening, margin, width, height)
    shown = float(smoothstep(*params.fade_px, float(opening[5])))
    if shown == 0 or x0 >= x1 or y0 >= y1:
        return
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float64)
    now = Opening.seen_from(opening, x, y)
    region = frame[y0:y1, x0:x1].astype(np.float64)
    cover = now.coverage(params.softness_px) * shown
    rim = _rim(params, now) * shown * (1 - cover)
    inside = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    inside[:] = to_bytes(np.array(params.cavity_rgb))
    compose_over(inside, interior, (origin_px[0] - x0, origin_px[1] - y0), out=inside)
    inner = inside * mouth_occlusion(params, now)[..., None] ** OCCLUSION_GAMMA
    colour = region[..., :3] * (1 - rim)[..., None]
    frame[y0:y1, x0:x1, :3] = to_bytes(colour + (inner - colour) * cover[..., None])
    if frame.shape[2] == 4:
        alpha = region[..., 3]
        frame[y0:y1, x0:x1, 3] = to_bytes(alpha + (255 - alpha) * cover)


def mouth_occlusion(params: MouthParams, now: Opening) -> F64:
    """Light that reaches the mouth's inside, 0..1."""
    below_upper = (now.across - now.upper) / params.px_per_cm
    above_lower = (now.lower - now.across) / params.px_per_cm
    half = now.length / 2
    light = 0.68 + 0.32 * smoothstep(-0.05, 0.35, below_upper)
    light = light * (0.80 + 0.20 * smoothstep(-0.05, 0.25, above_lower))
    light = light * (1 - 0.55 * smoothstep(0.5, 1.05, np.abs(now.along - half) / half))
    light = light * (0.78 + 0.22 * smoothstep(0.05, 0.4, now.gap / params.px_per_cm))
    return np.asarray(1 - params.occlusion * (1 - light))


def _rim(params: MouthParams, now: Opening) -> F64:
    """Darkening of the lips around the opening, 0..1."""
    outside = np.maximum(
        (now.upper - now.across) * now.upper_cos, (now.across - now.lower) * now.lower_cos
    )
    near = 1 - smoothstep(0, 2 * params.rim_px, outside)
    return np.asarray(0.5 * params.rim_strength * near * near * now.ends(2 * params.rim_px))
