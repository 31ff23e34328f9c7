"""Eye patches: what lies between and behind the lids of a portrait, completed once at enrolment.

A photo shows a cut of each eyeball. Gaze and blinks need the rest: the white under the iris, the
iris under the lids, and lid skin that a closed eye would show. Coordinates are canvas pixels, colours
sRGB 0..255. Where the photo shows the eye, the patches hold the photo's own pixels, so that an eye
drawn at rest is the photo again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.avatar.paint import (
    LUMA,
    Bools,
    Bytes,
    Floats,
    sample,
    smoothstep,
    to_bytes,
    vector,
)
from vasa_cam.landmarks import LEFT_BROW, RIGHT_BROW

IRIS_RADIUS_CM: Final = 0.585
"""Adult iris radius; its spread between people is about 4 %."""
EYEBALL_RADIUS_CM: Final = 1.2
IRIS_SOLID: Final = 1.12
"""The iris layer is opaque up to this multiple of the iris radius: limbus blur included."""
IRIS_END: Final = 1.25
LID_ROWS: Final = 32
LID_COLUMNS: Final = 64
_NOSE_BRIDGE: Final = 168
_POLAR_RINGS: Final = 28
_POLAR_ANGLES: Final = 96


@dataclass(frozen=True)
class EyePatch:
    """One eye, ready for the avatar file.

    sclera: uint8 [h, w, 3], the eyeball without its iris. iris: uint8 [h, w, 4], straight alpha, same
    grid. params: float32 [8]: patch origin x, y; iris centre x, y; iris radius; eyeball radius; depth z
    of the eye plane; 0 (canvas px). lid: uint8 [32, 64, 3], closed-lid skin, crease to lash line.
    """

    sclera: Bytes
    iris: Bytes
    params: Floats
    lid: Bytes


@dataclass(frozen=True)
class _Window:
    """The patch's float picture and per-pixel geometry."""

    photo: Floats  # [h, w, 3]
    origin: tuple[int, int]
    x: Floats  # [h, w] canvas px
    y: Floats
    inside: Floats  # [h, w] signed distance to the lid outline, px, > 0 inside
    radius: Floats  # [h, w] distance to the iris centre in iris radii
    corner: Floats  # [h, w] 0 at the image-left corner, 1 at the image-right one


def build_eye(
    canvas_rgb: Bytes,
    upper_lid_px: Floats,
    lower_lid_px: Floats,
    iris_px: Floats,
    points_px: Floats,
    px_per_cm: float,
    depth_px: float = 0.0,
    seed: int = 0,
) -> EyePatch:
    """Build the patches of one eye.

    canvas_rgb: uint8 [H, W, 3]. upper_lid_px, lower_lid_px: float [n, 2], dense chains from the image-left
    to the image-right corner. iris_px: float [5, 2], centre and four rim points. points_px: float
    [>=468, 2 or 3], all landmarks. px_per_cm: scale of the head. depth_px: z of the eye plane.
    seed: of the veins and the grain. Raises ValueError when an array has another shape.
    """
    upper, lower = _points(upper_lid_px, "upper_lid_px"), _points(lower_lid_px, "lower_lid_px")
    iris, points = _points(iris_px, "iris_px"), _points(points_px, "points_px")
    if canvas_rgb.ndim != 3 or canvas_rgb.shape[2] != 3 or canvas_rgb.dtype != np.uint8:
        raise ValueError(f"build_eye: canvas_rgb must be uint8 [H, W, 3], got {canvas_rgb.shape}")
    outline = np.concatenate([upper, lower[::-1]])
    centre, radius = find_iris(canvas_rgb, outline, iris)
    window = _window(canvas_rgb, outline, centre, radius)
    rng = np.random.default_rng([seed, round(float(centre[0])), round(float(centre[1]))])
    nose_right = float(outline[:, 0].mean()) < float(points[_NOSE_BRIDGE, 0])
    brow = points[list((RIGHT_BROW if nose_right else LEFT_BROW)[5:])]
    white = _white(window, canvas_rgb, upper, brow)
    sclera = _sclera(window, white, radius, rng, nose_right)
    disc = _iris(window, sclera, centre, radius, rng)
    params = np.array(
        [*window.origin, *centre, radius, EYEBALL_RADIUS_CM * px_per_cm, depth_px, 0.0], np.float32
    )
    lid = _lid_skin(canvas_rgb, upper, brow, radius, rng)
    return EyePatch(to_bytes(sclera), disc, params, lid)


def find_iris(canvas_rgb: Bytes, outline_px: Floats, iris_px: Floats) -> tuple[Floats, float]:
    """Iris centre (float32 [2]) and radius, refined from the landmarks by an edge search.

    The rim is where brightness rises most along rays to the sides (lids hide top and bottom).
    The search moves the centre by at most 0.12 radii and scales the radius by 0.9 to 1.25.
    """
    import cv2

    centre = iris_px[0]
    radius = float(np.linalg.norm(iris_px[1:] - centre, axis=1).mean())
    grey = cv2.GaussianBlur(canvas_rgb @ LUMA, (0, 0), max(0.6, radius * 0.08))
    angles = np.radians([*range(-44, 45, 8), *range(136, 225, 8)]).astype(np.float32)
    rays = np.stack([np.cos(angles), np.sin(angles)], 1)
    best = (0.0, centre, radius * 1.04)
    for dx in np.linspace(-0.12, 0.12, 5):
        for dy in np.linspace(-0.12, 0.12, 5):
            middle = centre + vector(dx, dy) * radius
            for scale in np.linspace(0.9, 1.25, 15):
                reach = radius * scale
                outer = middle + rays * (reach * 1.12)
                seen = _inside(outline_px, outer) > radius * 0.05
                if seen.sum() < 5:
                    continue
                rise = sample(grey, outer[seen]) - sample(grey, middle + rays[seen] * reach * 0.88)
                sides = rays[seen, 0] > 0
                if not sides.any() or sides.all():
                    score = float(rise.mean()) * 0.8
                else:
                    score = 0.5 * float(rise[sides].mean() + rise[~sides].mean())
                score *= 1.0 - 1.2 * (dx * dx + dy * dy)
                if score > best[0]:
                    best = (score, middle, reach * 1.02)
    return np.asarray(best[1], np.float32), float(best[2])


def _points(points: Floats, name: str) -> Floats:
    if points.ndim != 2 or points.shape[1] < 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError(f"build_eye: {name} must be finite [n, 2], got {points.shape}")
    return np.ascontiguousarray(points[:, :2], np.float32)


def _inside(outline: Floats, at: Floats) -> Floats:
    """Signed distance of points [..., 2] to a closed outline [n, 2]: positive inside."""
    start, end = outline, np.roll(outline, -1, axis=0)
    edge = end - start
    rel = at[..., None, :] - start
    length = np.maximum((edge * edge).sum(-1), 1e-9)
    t = np.clip((rel * edge).sum(-1) / length, 0.0, 1.0)
    near = np.sqrt(((rel - t[..., None] * edge) ** 2).sum(-1).min(-1))
    crosses = (start[:, 1] > at[..., 1:2]) != (end[:, 1] > at[..., 1:2])
    slope = np.where(np.abs(edge[:, 1]) < 1e-9, 1e-9, edge[:, 1])
    cut = start[:, 0] + (at[..., 1:2] - start[:, 1]) * edge[:, 0] / slope
    odd = (crosses & (at[..., 0:1] < cut)).sum(-1) % 2 == 1
    return np.asarray(np.where(odd, near, -near), np.float32)


def _window(canvas: Bytes, outline: Floats, centre: Floats, radius: float) -> _Window:
    low = np.minimum(outline.min(0) - 0.9 * radius, centre - 1.45 * radius) - 3
    high = np.maximum(outline.max(0) + 0.9 * radius, centre + 1.45 * radius) + 3
    x0, y0 = (int(v) for v in np.floor(low))
    x1, y1 = (int(v) for v in np.ceil(high))
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    rows = np.clip(np.arange(y0, y1), 0, canvas.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, canvas.shape[1] - 1)
    photo = canvas[rows[:, None], columns[None, :]].astype(np.float32)
    at = np.stack([x, y], -1)
    left, right = outline[outline[:, 0].argmin()], outline[outline[:, 0].argmax()]
    axis = right - left
    corner = ((at - left) @ axis) / max(float(axis @ axis), 1e-6)
    inside = _inside(outline, at)
    distance = np.linalg.norm(at - centre, axis=-1) / radius
    return _Window(photo, (x0, y0), x, y, inside, distance.astype(np.float32), corner)


def _white(window: _Window, canvas: Bytes, upper: Floats, brow: Floats) -> Floats:
    """Colour of the visible white, float32 [3]; a guess from the skin when none is visible."""
    luma = window.photo @ LUMA
    seen = (window.inside > 1.0) & (window.radius > 1.18)
    skin = np.median(
        sample(canvas.astype(np.float32), upper * 0.5 + _brow_over(upper, brow) * 0.5), 0
    )
    guess = skin * 0.4 + float(skin @ LUMA) * 0.68
    if seen.sum() < 12:
        return np.asarray(guess, np.float32)
    bright = seen & (luma >= np.percentile(luma[seen], 60))
    return np.asarray(np.median(window.photo[bright], 0), np.float32)


def _brow_over(upper: Floats, brow: Floats) -> Floats:
    """For every upper-lid point the brow point above it, [n, 2], extended flat beyond the brow."""
    order = brow[np.argsort(brow[:, 0])]
    return np.stack([upper[:, 0], np.interp(upper[:, 0], order[:, 0], order[:, 1])], 1).astype(
        np.float32
    )


def _diffuse(picture: Floats, weight: Floats, steps: tuple[float, ...]) -> Floats:
    """Fill a picture [h, w, c] where weight [h, w] is small: normalised blurs from fine to coarse."""
    import cv2

    filled = np.zeros_like(picture)
    trust = np.zeros_like(weight)
    for sigma in steps:
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        value = cv2.GaussianBlur(picture * weight[..., None], (0, 0), sigma)
        value = value / np.maximum(total, 1e-6)[..., None]
        share = np.clip(total * 6.0, 0.0, 1.0) * (1.0 - trust)
        filled += value * share[..., None]
        trust += share
    rest = 1.0 - trust
    mean = (picture * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    return np.asarray(filled + mean * rest[..., None], np.float32)


def _veins(window: _Window, rng: np.random.Generator, radius: float) -> Floats:
    """A few faint red branches from the corners towards the iris, [h, w] in 0..1."""
    import cv2

    scale = 4
    height, width = window.radius.shape
    canvas = np.zeros((height * scale, width * scale), np.uint8)
    middle = np.array([width * 0.5, height * 0.5])
    for _ in range(9):
        side = rng.choice([-1.0, 1.0])
        at = middle + [side * width * rng.uniform(0.34, 0.48), rng.uniform(-0.25, 0.25) * height]
        heading = np.arctan2(middle[1] - at[1], -side * width * 0.5) + rng.normal(0, 0.3)
        path = [at.copy()]
        for _ in range(10):
            heading += rng.normal(0, 0.45)
            at = at + radius * 0.1 * np.array([np.cos(heading), np.sin(heading)])
            path.append(at.copy())
        points = np.round(np.array(path) * scale * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, int(rng.integers(90, 220)), 2, cv2.LINE_AA, 4)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small.astype(np.float32) / 255.0, (0, 0), 0.7), np.float32)


def _sclera(
    window: _Window, white: Floats, radius: float, rng: np.random.Generator, nose_right: bool
) -> Floats:
    """The eyeball without iris [h, w, 3]: photo where the white is seen, a shaded fill elsewhere."""
    luma = window.photo @ LUMA
    limit = 0.55 * float(white @ LUMA)
    sure = (window.inside > 0.14 * radius) & (window.radius > 1.2) & (luma > limit)
    weight = sure.astype(np.float32)
    seen = window.photo * weight[..., None] + white * (1.0 - weight[..., None])
    weight = np.maximum(weight, 2e-4)
    fill = _diffuse(seen, weight, (radius * 0.25, radius * 0.6, radius * 1.4))
    target = white / max(float(white @ LUMA), 1.0) * np.maximum(fill @ LUMA, limit)[..., None]
    fill = 0.5 * fill + 0.5 * target
    sphere = np.clip(window.radius * IRIS_RADIUS_CM / EYEBALL_RADIUS_CM, 0.0, 1.0)
    fill = fill * (0.80 + 0.20 * np.sqrt(1.0 - 0.9 * sphere**2))[..., None]
    inner = window.corner if nose_right else 1.0 - window.corner
    pink = 0.35 * smoothstep(0.80, 1.05, inner) + 0.10 * smoothstep(0.2, -0.05, inner)
    fill = fill * (1.0 - pink[..., None] * vector(0.06, 0.34, 0.30))
    vein = 0.16 * _veins(window, rng, radius) * smoothstep(1.0, 1.7, window.radius)
    fill = fill * (1.0 - vein[..., None] * vector(0.15, 0.75, 0.65))
    grain = rng.normal(0.0, _grain(window.photo, sure), fill.shape[:2]).astype(np.float32)
    fill = fill + grain[..., None]
    keep = smoothstep(IRIS_SOLID, IRIS_END - 0.03, window.radius) * smoothstep(
        -0.5, 0.6, window.inside
    )
    return np.asarray(fill + (window.photo - fill) * keep[..., None], np.float32)


def _grain(photo: Floats, where: Bools) -> float:
    """Standard deviation of the finest texture in a region, limited to a plausible range."""
    import cv2

    if where.sum() < 20:
        return 1.0
    luma = photo @ LUMA
    fine = luma - cv2.GaussianBlur(luma, (0, 0), 1.0)
    return float(np.clip(np.median(np.abs(fine[where])) * 1.48, 0.3, 3.0))


def _iris(
    window: _Window, sclera: Floats, centre: Floats, radius: float, rng: np.random.Generator
) -> Bytes:
    """The complete iris disc, uint8 [h, w, 4]: photo where seen, radial completion elsewhere."""
    rho = (np.arange(_POLAR_RINGS, dtype=np.float32) + 0.5) / _POLAR_RINGS * 1.3
    theta = np.arange(_POLAR_ANGLES, dtype=np.float32) * (2 * np.pi / _POLAR_ANGLES)
    spoke = np.stack([np.cos(theta), np.sin(theta)], -1)
    at = centre + rho[:, None, None] * radius * spoke[None]
    local = at - vector(*window.origin)
    polar, behind = sample(window.photo, local), sample(sclera, local)
    seen = sample(window.inside[..., None], local)[..., 0] > 0.16 * radius
    full = _complete_polar(polar, behind, seen, rho, rng)
    # Back to the pixel grid, wrapping in angle.
    angle = np.arctan2(window.y - centre[1], window.x - centre[0]) % (2 * np.pi)
    grid = np.stack(
        [
            angle / (2 * np.pi) * _POLAR_ANGLES,
            np.minimum(window.radius / 1.3 * _POLAR_RINGS - 0.5, _POLAR_RINGS - 1.001),
        ],
        -1,
    )
    disc = sample(np.concatenate([full, full[:, :1]], 1), grid)
    keep = smoothstep(0.02 * radius, 0.16 * radius, window.inside)[..., None]
    disc = disc + (window.photo - disc) * keep
    alpha = 255.0 * (1.0 - smoothstep(IRIS_SOLID, IRIS_END, window.radius))
    return np.concatenate([to_bytes(disc), to_bytes(alpha)[..., None]], -1)


def _complete_polar(
    polar: Floats, behind: Floats, seen: Bools, rho: Floats, rng: np.random.Generator
) -> Floats:
    """Fill the unseen part of an unwrapped iris [rings, angles, 3]."""
    luma = polar @ LUMA
    ring = np.zeros((len(rho), 3), np.float32)
    last = np.median(polar[seen], 0) * 0.8 if seen.any() else vector(60, 50, 45)
    for index in range(len(rho) - 1, -1, -1):
        row = seen[index]
        if row.sum() >= 4:
            value = luma[index, row]
            usual = np.abs(value - np.median(value)) <= max(14.0, 1.5 * float(np.std(value)))
            last = np.median(polar[index, row][usual], 0)
        ring[index] = last
    flat = np.broadcast_to(ring[:, None], polar.shape)
    highlight = luma > (ring @ LUMA)[:, None] + 45.0
    usable = seen & ~highlight
    # Mirrored top-bottom, then turned by a half and random angles: each fills what is still open.
    angles = polar.shape[1]
    index = np.arange(angles)
    sources = [(-index) % angles, (angles // 2 - index) % angles, (index + angles // 2) % angles]
    sources += [(index + int(rng.integers(angles))) % angles for _ in range(4)]
    texture = np.zeros_like(polar)
    open_ = np.ones(seen.shape, bool)
    for source in sources:
        take = open_ & usable[:, source]
        texture[take] = (polar[:, source] - flat)[take]
        open_ &= ~take
    inner = smoothstep(1.02, 0.9, rho)[:, None, None]
    full = flat + texture * inner * 0.9
    # Beyond the rim the unseen part fades into the completed white.
    rim = smoothstep(0.98, 1.14, rho)[:, None, None]
    full = full + (behind - full) * rim
    limbus = 1.0 - 0.12 * np.exp(-(((rho - 0.95) / 0.08) ** 2))
    return np.asarray(full * limbus[:, None, None], np.float32)


def _lid_skin(
    canvas: Bytes, upper: Floats, brow: Floats, radius: float, rng: np.random.Generator
) -> Bytes:
    """Closed-lid skin, uint8 [32, 64, 3]: columns along the lid, rows from crease to lash line."""
    import cv2

    photo = canvas.astype(np.float32)
    at = np.linspace(0.0, 1.0, LID_COLUMNS)
    along = np.linspace(0.0, 1.0, len(upper))
    lid = np.stack([np.interp(at, along, upper[:, axis]) for axis in (0, 1)], 1).astype(np.float32)
    over = _brow_over(lid, brow)
    steps = np.linspace(0.30, 0.62, 12, dtype=np.float32)[:, None, None]
    skin = sample(photo, lid * (1.0 - steps) + over * steps)
    column = np.median(skin, 0)
    column = cv2.GaussianBlur(column[None], (0, 0), 9.0, borderType=cv2.BORDER_REFLECT)[0]
    # Shadows of brow and socket are not the skin's colour: lean towards the brighter half.
    bright = np.percentile(skin.reshape(-1, 3), 65, axis=0)
    column = 0.6 * column + 0.4 * bright
    v = np.linspace(0.0, 1.0, LID_ROWS, dtype=np.float32)[:, None]
    s = np.linspace(-1.0, 1.0, LID_COLUMNS, dtype=np.float32)[None, :]
    shade = 0.90 + 0.10 * np.sin(np.pi * np.clip(0.15 + 0.8 * v, 0, 1)) - 0.06 * s**2
    shade = shade - 0.16 * np.exp(-((v / 0.09) ** 2)) * (1 - 0.5 * s**2)
    shade = shade - 0.10 * smoothstep(0.80, 1.0, v)
    lid_rgb = column[None] * shade[..., None]
    sigma = float(np.clip(np.median(np.abs(np.diff(skin @ LUMA, axis=1))), 0.4, 4.0))
    grain = cv2.GaussianBlur(rng.normal(0, 1, shade.shape).astype(np.float32), (0, 0), 0.7)
    return to_bytes(lid_rgb + grain[..., None] * sigma)
