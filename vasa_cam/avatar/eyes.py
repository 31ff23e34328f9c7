"""Eye patches: what lies between and behind the lids of a portrait, completed once at enrolment.

A photo shows a cut of each eyeball. Gaze and blinks need the rest: the white under the iris, the
iris under the lids, and the skin that a closed lid shows. Coordinates are canvas pixels, colours
sRGB 0..255. Where the photo shows the eye, the patches hold the photo's own pixels, so that an eye
drawn at rest is the photo again. What is invented carries the shadow of the resting upper lid, as
photographed pixels do: the compositor divides by that shadow when the lid or the gaze moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.avatar.iris import find_iris, iris_disc
from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.paint import (
    LUMA,
    Bools,
    Bytes,
    Floats,
    Reals,
    blur,
    bump,
    colourfulness,
    fade_to_grey,
    inside_distance,
    sample,
    to_bytes,
    vector,
)
from vasa_cam.numeric import smoothstep

IRIS_RADIUS_CM: Final = 0.585
"""Adult iris radius; people differ by about 4 %."""
EYEBALL_RADIUS_CM: Final = 1.2
IRIS_SOLID: Final = 1.12
"""The iris layer is opaque up to this multiple of the iris radius: the blurred limbus included."""
IRIS_END: Final = 1.25
LID_SHADOW: Final = 0.35
"""Share of light that the upper lid takes from the eyeball at the lid's edge."""
LID_SHADOW_REACH: Final = 0.6
"""Where that shadow ends below the edge, in iris radii."""
_USUAL_SKIN: Final = vector(1.0, 0.78, 0.65)
"""Hue of skin under neutral light: what departs from it is the photo's cast."""
LID_ROWS: Final = 32
LID_COLUMNS: Final = 64


@dataclass(frozen=True)
class EyePatch:
    """One eye, ready for the avatar file.

    sclera: uint8 [h, w, 3], the eyeball without its iris. iris: uint8 [h, w, 4], straight alpha,
    same grid. params: float32 [8]: patch origin x, y; iris centre x, y; iris radius; eyeball
    radius; depth z of the eye plane; 0 (canvas px). lid: uint8 [32, 64, 3], the closed lid's skin
    from crease (row 0) to lash line, image-left to image-right.
    """

    sclera: Bytes
    iris: Bytes
    params: Floats
    lid: Bytes


@dataclass(frozen=True)
class _Window:
    """The patch's photo and what is known of every pixel in it, float32 [h, w, .]."""

    photo: Floats
    origin: tuple[int, int]
    inside: Floats  # signed distance to the lid outline, px, > 0 inside
    radius: Floats  # distance to the iris centre, iris radii
    corner: Floats  # 0 at the image-left corner of the eye, 1 at the image-right one
    height: Floats  # -1 at the upper lid, 1 at the lower one, beyond outside
    shadow: Floats  # light left by the resting upper lid, 1 - LID_SHADOW .. 1


def build_eye(
    canvas_rgb: Bytes,
    upper_lid_px: Floats,
    lower_lid_px: Floats,
    iris_px: Floats,
    brow_px: Floats,
    px_per_cm: float,
    depth_px: float = 0.0,
    seed: int = 0,
) -> EyePatch:
    """Build the patches of one eye.

    canvas_rgb: uint8 [H, W, 3]. upper_lid_px, lower_lid_px: float [n, 2], dense chains from the
    image-left to the image-right corner. iris_px: float [5, 2], centre and four rim points.
    brow_px: float [10, 2], the brow's upper edge from outside to inside, then its lower edge.
    px_per_cm: scale of the head. depth_px: z of the eye plane. seed: of veins and grain.
    Raises ValueError when an array has another shape or is not finite.
    """
    upper, lower = _points(upper_lid_px, "upper_lid_px"), _points(lower_lid_px, "lower_lid_px")
    iris, brow = _points(iris_px, "iris_px"), _points(brow_px, "brow_px")
    if canvas_rgb.ndim != 3 or canvas_rgb.shape[2] != 3 or canvas_rgb.dtype != np.uint8:
        raise ValueError(f"build_eye: canvas_rgb must be uint8 [H, W, 3], got {canvas_rgb.shape}")
    centre, radius = find_iris(canvas_rgb, np.concatenate([upper, lower[::-1]]), iris)
    window = _window(canvas_rgb, upper, lower, centre, radius)
    side = int(brow[4, 0] > brow[0, 0])
    rng = np.random.default_rng([seed, side])
    skin = _skin(canvas_rgb, upper, brow)
    white = _white(window, skin)
    sclera = _sclera(window, white, radius, rng, nose_right=bool(side))
    sclera = fade_to_grey(sclera, max(map(colourfulness, (skin, window.photo.mean((0, 1))))))
    picture = (window.photo / window.shadow[..., None], sclera / window.shadow[..., None])
    disc = iris_disc(*picture, window.inside, centre - vector(*window.origin), radius)
    keep = smoothstep(-0.02 * radius, 0.09 * radius, window.inside)[..., None]
    disc = disc * window.shadow[..., None]
    disc = disc + (window.photo - disc) * keep
    alpha = 255.0 * (1.0 - smoothstep(IRIS_SOLID, IRIS_END, window.radius))
    eyeball = EYEBALL_RADIUS_CM * px_per_cm
    return EyePatch(
        sclera=to_bytes(sclera),
        iris=to_bytes(np.concatenate([disc, alpha[..., None]], -1)),
        params=vector(*window.origin, *centre, radius, eyeball, depth_px, 0.0),
        lid=_lid_skin(canvas_rgb, upper, lower, brow, rng),
    )


def lid_shadow(below_px: Reals, radius: float) -> Floats:
    """Light on the eyeball `below_px` pixels below the upper lid's edge, as a factor.

    radius: of the iris, px. Above the edge the value is that at the edge.
    """
    return 1.0 - LID_SHADOW * (1.0 - smoothstep(0.0, LID_SHADOW_REACH * radius, below_px))


def _points(points: Reals, name: str) -> Floats:
    if points.ndim != 2 or points.shape[1] < 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError(f"build_eye: {name} must be finite [n, 2], got {points.shape}")
    return np.ascontiguousarray(points[:, :2], np.float32)


def _window(canvas: Bytes, upper: Floats, lower: Floats, centre: Floats, radius: float) -> _Window:
    outline = np.concatenate([upper, lower[::-1]])
    low = np.minimum(outline.min(0) - 0.9 * radius, centre - 1.45 * radius) - 3
    high = np.maximum(outline.max(0) + 0.9 * radius, centre + 1.45 * radius) + 3
    x0, y0 = (int(v) for v in np.floor(low))
    x1, y1 = (int(v) for v in np.ceil(high))
    rows = np.clip(np.arange(y0, y1), 0, canvas.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, canvas.shape[1] - 1)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    at = np.stack([x, y], -1)
    left, axis = upper[0], upper[-1] - upper[0]
    length = max(float(np.linalg.norm(axis)), 1e-3)
    turn = np.stack([axis, vector(-axis[1], axis[0])]) / length
    along, across = np.moveaxis((at - left) @ turn.T, -1, 0)
    over, under = ((chain - left) @ turn.T for chain in (upper, lower))
    top = np.interp(along, over[:, 0], over[:, 1])
    bottom = np.interp(along, under[:, 0], under[:, 1])
    half = np.maximum(0.5 * (bottom - top), 0.12 * radius)
    return _Window(
        photo=canvas[rows[:, None], columns[None, :]].astype(np.float32),
        origin=(x0, y0),
        inside=inside_distance(outline, at),
        radius=(np.linalg.norm(at - centre, axis=-1) / radius).astype(np.float32),
        corner=(along / length).astype(np.float32),
        height=((across - 0.5 * (top + bottom)) / half).astype(np.float32),
        shadow=lid_shadow(across - top, radius),
    )


def _skin(canvas: Bytes, upper: Floats, brow: Floats) -> Floats:
    """Skin colour between lid and brow, float32 [3]."""
    middle = 0.5 * (upper + _brow_over(upper, brow))
    return np.asarray(np.median(sample(canvas.astype(np.float32), middle), 0), np.float32)


def _brow_over(upper: Floats, brow: Floats) -> Floats:
    """For every upper-lid point the brow's lower edge above it, [n, 2]."""
    edge = brow[5:]
    edge = edge[np.argsort(edge[:, 0])]
    height = np.interp(upper[:, 0], edge[:, 0], edge[:, 1])
    return np.stack([upper[:, 0], height], 1).astype(np.float32)


def _white(window: _Window, skin: Floats) -> Floats:
    """Colour of the white, float32 [3]: the photo's, kept within what this skin makes plausible."""
    skin_luma = max(float(skin @ LUMA), 1.0)
    usual = min(1.12 * skin_luma + 12.0, 215.0)
    cast = np.clip(skin / max(float(skin.max()), 1.0) / _USUAL_SKIN, 0.6, 1.3)
    guess = 0.22 * skin + 0.78 * usual * vector(1.02, 1.0, 0.97) * cast
    clear = window.photo / window.shadow[..., None]
    luma = clear @ LUMA
    seen = (window.inside > 1.0) & (window.radius > 1.18)
    if seen.sum() < 12:
        return np.asarray(guess, np.float32)
    bright = seen & (luma >= np.percentile(luma[seen], 60))
    white = np.asarray(np.median(clear[bright], 0), np.float32)
    level = float(white @ LUMA)
    guess = guess * np.sqrt(np.clip(level / usual, 0.5, 1.2))
    # A white that is redder than half the skin's own red is lid or corner flesh, not sclera.
    excess = float(np.ptp(white) / white.max()) - 0.55 * float(np.ptp(skin) / skin.max()) - 0.05
    doubt = float(smoothstep(0.0, 0.15, vector(excess))[0])
    doubt = max(doubt, float(smoothstep(0.85, 0.6, vector(level / skin_luma))[0]))
    return np.asarray(white + (guess - white) * doubt, np.float32)


def _sclera(
    window: _Window, white: Floats, radius: float, rng: np.random.Generator, nose_right: bool
) -> Floats:
    """The eyeball without iris [h, w, 3]: photo where the white is seen, else a fill."""
    clear = window.photo / window.shadow[..., None]
    luma = clear @ LUMA
    level = float(white @ LUMA)
    sure = (window.inside > 0.12 * radius) & (window.radius > 1.22) & (luma > 0.62 * level)
    # A model of the ball's shading, then the photo's departures from it spread between the lids:
    # brighter in the middle, darker to the corners and lids, pink at the caruncle.
    across = np.clip(np.abs(window.corner - 0.5) * 2.0, 0.0, 1.2)
    form = 1.04 - 0.20 * across**2.4 - 0.13 * np.clip(window.height, -0.2, 1.3) ** 2
    inner = window.corner if nose_right else 1.0 - window.corner
    pink = 0.50 * smoothstep(0.80, 1.02, inner) + 0.18 * smoothstep(0.22, 0.0, inner)
    pink = pink + 0.10 * smoothstep(0.55, 1.05, window.height)
    model = white * form[..., None] * (1.0 - pink[..., None] * vector(0.05, 0.30, 0.26))
    ratio = np.clip(clear / np.maximum(model, 1.0), 0.5, 1.6).astype(np.float32)
    fill = model * _diffuse(ratio, sure, vector(1.0, 1.0, 1.0), radius)
    vein = 0.20 * _veins(window.radius.shape, radius, rng) * smoothstep(0.9, 1.6, window.radius)
    fill = fill * (1.0 - vein[..., None] * vector(0.12, 0.75, 0.62))
    fill = fill + _grain(window.photo, sure, rng)[..., None]
    fill = fill * window.shadow[..., None]
    keep = smoothstep(IRIS_SOLID - 0.06, IRIS_SOLID + 0.05, window.radius)
    keep = keep * smoothstep(-0.5, 0.6, window.inside)
    # Lashes belong to the lid and a blurred rim to the iris; here both would stay behind.
    darkness = (window.photo @ LUMA) / np.maximum(fill @ LUMA, 1.0)
    lash = smoothstep(0.20 * radius, 0.08 * radius, window.inside) * (window.height < 0.0)
    keep = keep * (1.0 - 0.75 * lash * smoothstep(0.80, 0.60, darkness))
    rim = smoothstep(1.35, 1.15, window.radius)
    keep = keep * (1.0 - 0.85 * rim * smoothstep(0.93, 0.78, darkness))
    return np.asarray(fill + (window.photo - fill) * keep[..., None], np.float32)


def _diffuse(picture: Floats, known: Bools, far: Floats, radius: float) -> Floats:
    """Smooth fill of [h, w, 3] from its known pixels; far from all of them it nears `far`."""
    weight = known.astype(np.float32)
    filled = np.broadcast_to(far, picture.shape).astype(np.float32)
    for reach in (1.1, 0.5, 0.22):
        total = blur(weight, reach * radius)[..., None]
        value = blur(picture * weight[..., None], reach * radius) / np.maximum(total, 1e-5)
        filled = filled + (value - filled) * np.clip(total * 5.0, 0.0, 1.0)
    return filled


def _veins(shape: tuple[int, ...], radius: float, rng: np.random.Generator) -> Floats:
    """A few faint branches that run from the corners towards the iris, [h, w] in 0..1."""
    cv2 = load_cv2()
    scale, (height, width) = 4, shape
    canvas = np.zeros((height * scale, width * scale), np.uint8)
    for _ in range(10):
        side = rng.choice([-1.0, 1.0])
        x = width * (0.5 + side * rng.uniform(0.32, 0.48))
        y = height * rng.uniform(0.25, 0.75)
        heading = np.arctan2(height * 0.5 - y, -side * width * 0.5) + rng.normal(0, 0.3)
        path = [(x, y)]
        for _ in range(10):
            heading += rng.normal(0, 0.45)
            x, y = x + 0.1 * radius * np.cos(heading), y + 0.1 * radius * np.sin(heading)
            path.append((x, y))
        points = np.round(np.array(path) * scale * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, int(rng.integers(90, 220)), 2, cv2.LINE_AA, 4)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return blur(small.astype(np.float32) / 255.0, 0.7)


def _grain(photo: Floats, where: Bools, rng: np.random.Generator) -> Floats:
    """Soft noise [h, w] as strong as the photo's own finest texture in a region."""
    luma = photo @ LUMA
    fine = np.abs(luma - blur(luma, 1.0))
    strength = float(np.clip(np.median(fine[where]) * 1.2, 0.2, 1.6)) if where.sum() > 20 else 0.8
    noise = blur(rng.normal(0.0, 1.0, luma.shape).astype(np.float32), 0.8)
    return np.asarray(noise * (strength / max(float(noise.std()), 1e-6)), np.float32)


def _lid_skin(
    canvas: Bytes, upper: Floats, lower: Floats, brow: Floats, rng: np.random.Generator
) -> Bytes:
    """Closed-lid skin, uint8 [32, 64, 3]: columns along the lid, rows from crease to lash line."""
    photo = canvas.astype(np.float32)
    at, along = np.linspace(0.0, 1.0, LID_COLUMNS), np.linspace(0.0, 1.0, len(upper))
    lid = np.stack([np.interp(at, along, upper[:, axis]) for axis in (0, 1)], 1)
    over = _brow_over(lid.astype(np.float32), brow)
    steps = np.linspace(0.14, 0.58, 14)[:, None, None]
    skin = sample(photo, lid * (1.0 - steps) + over * steps)
    # The shadows of brow and socket are not the skin's colour: lean towards the brighter half, and
    # do not stay far under the skin below the eye.
    column = 0.6 * _along(np.median(skin, 0)) + 0.4 * np.percentile(skin.reshape(-1, 3), 65, axis=0)
    below = np.median(sample(photo, lower + 0.7 * (lower - upper).max(0)), 0)
    lack = 0.88 * float(below @ LUMA) / max(float((column @ LUMA).mean()), 1.0)
    lift = float(np.clip(lack, 1.0, 1.6)) ** 0.9
    # Shadow under a brow is warmer than skin: the more it is lifted, the more the open skin's hue.
    open_skin = below[None] * ((column @ LUMA) / max(float(below @ LUMA), 1.0))[:, None]
    column = lift * (column + (open_skin - column) * min(2.0 * (lift - 1.0), 0.6))
    v = np.linspace(0.0, 1.0, LID_ROWS, dtype=np.float32)[:, None]
    s = np.linspace(-1.0, 1.0, LID_COLUMNS, dtype=np.float32)[None, :]
    shade = 0.88 + 0.14 * np.sin(np.pi * np.clip(0.10 + 0.85 * v, 0, 1)) * (1 - 0.4 * s**2)
    shade = shade - 0.05 * s**2 - 0.10 * smoothstep(0.8, 1.0, v)
    colour = column[None] * shade[..., None]
    # The patch begins where the lid rests: as the skin just above it, with the crease between.
    crease = _along(np.median(skin[1:6], 0)) * lift**0.4
    crease = crease[None] * (1.0 - 0.10 * bump(v, 0.12, 0.10))[..., None]
    colour = crease + (colour - crease) * smoothstep(0.05, 0.6, v)[..., None]
    sigma = float(np.clip(np.median(np.abs(np.diff(skin @ LUMA, axis=1))), 0.4, 4.0))
    grain = blur(rng.normal(0, 1, shade.shape).astype(np.float32), 0.7) * sigma
    return to_bytes(colour + grain[..., None])


def _along(colours: Floats) -> Floats:
    """Colours [n, 3] along the lid, blurred without pulling in anything beyond its ends."""
    mirrored = np.concatenate([colours[::-1], colours, colours[::-1]])
    return blur(np.ascontiguousarray(mirrored[None]), 9.0)[0, len(colours) : 2 * len(colours)]
