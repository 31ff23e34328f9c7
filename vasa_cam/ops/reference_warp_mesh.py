"""NumPy reference of `warp_mesh`: slow, float64, and the definition of correct.

Visibility is the classic z-buffer over barycentric coordinates (Pineda, "A parallel algorithm for
polygon rasterization", 1988); the lookup is the Catmull-Rom bicubic (Keys, "Cubic convolution
interpolation for digital image processing", 1981, a = -0.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vasa_cam.ops.warp_mesh import WarpMesh, WarpOptions

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

INSIDE: Final = -1e-4
"""Least barycentric coordinate of a covered pixel: below 0, so that shared edges leave no gap."""
MIN_AREA_PX2: Final = 1e-6
"""Triangles with a smaller doubled area are skipped; their barycentrics would be noise."""
MAX_COORDINATE_PX: Final = 1e6
"""Triangles with a vertex beyond this, or not finite, are skipped."""
UNCOVERED: Final = -1e6
"""Texture coordinate of pixels that no triangle covers: far from every real one."""
CANDIDATES: Final = 4_000_000
"""Pixel-in-bounding-box tests held in memory at a time."""


def warp_mesh(
    mesh: WarpMesh, vertices: F32, attributes: F32, options: WarpOptions, *, out: U8
) -> U8:
    """Draw the mesh into out, uint8 [H, W, 4]; see `vasa_cam.ops.warp_mesh.warp_mesh`."""
    corners = vertices.astype(np.float64)
    corners[:, :2] -= options.origin_px
    values = np.concatenate([mesh.uv, attributes], axis=1).astype(np.float64)
    planes = rasterise(corners, mesh.drawn, values, out.shape[0], out.shape[1])
    colours = shade(mesh, planes, options.detail_gain)
    edges = edge_pixels(planes[..., :2], options.edge_jump_px)
    out[...] = np.where(edges[..., None], smooth_premultiplied(colours), colours)
    return out


def rasterise(
    vertices: F64, triangles: npt.NDArray[np.int32], values: F64, height: int, width: int
) -> F64:
    """Values of the nearest triangle at every pixel, float64 [height, width, C].

    vertices: [N, 3] x, y, z; triangles: [T, 3]; values: [N, C]. The smallest interpolated z wins,
    ties go to the lowest triangle. Pixels without a triangle hold UNCOVERED in every channel.
    """
    nearest = np.full(height * width, np.inf)
    planes = np.full((height * width, values.shape[1]), UNCOVERED)
    first, last, usable = _pixel_boxes(vertices, triangles, height, width)
    extent = np.where(usable[:, None], last - first + 1, 0).clip(0)
    area = extent.prod(1)
    ends = np.cumsum(area)
    start = 0
    while start < len(triangles):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + CANDIDATES, "right")))
        chosen = np.repeat(np.arange(start, stop), area[start:stop])
        offset = np.arange(len(chosen)) - (ends[chosen] - area[chosen] - done)
        x = first[chosen, 0] + offset % extent[chosen, 0]
        y = first[chosen, 1] + offset // extent[chosen, 0]
        weights = barycentric(vertices[triangles[chosen]], x, y)
        inside = (weights >= INSIDE).all(1)
        chosen, x, y, weights = chosen[inside], x[inside], y[inside], weights[inside]
        z = (weights * vertices[triangles[chosen], 2]).sum(1)
        pixel = y * width + x
        # Nearest first, then lowest triangle; np.unique keeps the first of every pixel.
        order = np.lexsort((chosen, z, pixel))
        pixel, first_of = np.unique(pixel[order], return_index=True)
        winner = order[first_of]
        closer = z[winner] < nearest[pixel]
        pixel, winner = pixel[closer], winner[closer]
        nearest[pixel] = z[winner]
        planes[pixel] = np.einsum("ij,ijk->ik", weights[winner], values[triangles[chosen[winner]]])
        start = stop
    return planes.reshape(height, width, -1)


def _pixel_boxes(
    vertices: F64, triangles: npt.NDArray[np.int32], height: int, width: int
) -> tuple[I64, I64, Bools]:
    """First and last pixel (x, y) of every triangle's box, [T, 2] each, and which are drawable."""
    corners = vertices[triangles]
    usable = np.all(np.abs(corners) <= MAX_COORDINATE_PX, axis=(1, 2))
    corners = np.where(usable[:, None, None], corners, 0.0)
    a, b, c = (corners[:, k, :2] for k in range(3))
    doubled = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    usable &= np.abs(doubled) >= MIN_AREA_PX2
    slack = 1e-3  # the box must hold every pixel that INSIDE lets in
    first = np.ceil(corners[..., :2].min(1) - slack).astype(np.int64).clip(0)
    last = np.floor(corners[..., :2].max(1) + slack).astype(np.int64)
    return first, np.minimum(last, [width - 1, height - 1]), usable


def barycentric(corners: F64, x: I64, y: I64) -> F64:
    """Barycentric coordinates [K, 3] of points (x, y) in triangles corners [K, 3, >=2]."""
    a, b, c = (corners[:, k, :2] for k in range(3))
    ab, ac = b - a, c - a
    px, py = x - a[:, 0], y - a[:, 1]
    doubled = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    w1 = (px * ac[:, 1] - py * ac[:, 0]) / doubled
    w2 = (ab[:, 0] * py - ab[:, 1] * px) / doubled
    return np.stack([1.0 - w1 - w2, w1, w2], axis=1)


def shade(mesh: WarpMesh, planes: F64, detail_gain: float) -> U8:
    """Texture colours times shade and wrinkles, uint8 [H, W, 4]; planes [H, W, (u, v, s, f)]."""
    covered = planes[..., 0] > UNCOVERED / 2
    u, v, light, fold = planes[covered].T
    colour = sample_bicubic(mesh.texture, u, v)
    if mesh.detail is not None:
        light = light * (1 + detail_gain / 127 * fold * sample_bilinear(mesh.detail, u, v))
    colour[:, :3] *= light[:, None]
    colours = np.zeros((*covered.shape, 4), np.uint8)
    colours[covered] = to_bytes(colour)
    colours[colours[..., 3] == 0] = 0
    return colours


def sample_bicubic(texture: U8, u: F64, v: F64) -> F64:
    """Catmull-Rom lookup, [K, C], clamped to the texture's edge; exact at whole coordinates."""
    height, width = texture.shape[:2]
    x0, y0 = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    across, down = catmull_rom(u - x0), catmull_rom(v - y0)
    total = np.zeros((len(u), texture.shape[2]))
    for j in range(4):
        row = np.clip(y0 + j - 1, 0, height - 1)
        for i in range(4):
            column = np.clip(x0 + i - 1, 0, width - 1)
            total += (down[j] * across[i])[:, None] * texture[row, column]
    return total


def catmull_rom(t: F64) -> F64:
    """Weights [4, K] of the samples at -1, 0, 1, 2 for a position t in 0..1."""
    t2, t3 = t * t, t * t * t
    return 0.5 * np.stack(
        [-t3 + 2 * t2 - t, 3 * t3 - 5 * t2 + 2, -3 * t3 + 4 * t2 + t, t3 - t2],
    )


def sample_bilinear(image: npt.NDArray[np.generic], u: F64, v: F64) -> F64:
    """Bilinear lookup, [K] or [K, C], clamped to the image's edge."""
    height, width = image.shape[:2]
    x, y = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    shape = (-1,) + (1,) * (image.ndim - 2)
    s, t = (x - x0).reshape(shape), (y - y0).reshape(shape)
    values = image.astype(np.float64)
    top = values[y0, x0] * (1 - s) + values[y0, x1] * s
    bottom = values[y1, x0] * (1 - s) + values[y1, x1] * s
    return np.asarray(top * (1 - t) + bottom * t)


def edge_pixels(coordinates: F64, jump_px: float) -> Bools:
    """Pixels to antialias, bool [H, W], from texture coordinates [H, W, 2].

    A pixel is an edge when a coordinate differs by more than jump_px from its left or upper
    neighbour's (UNCOVERED differs from everything); its eight neighbours are smoothed with it.
    """
    height, width = coordinates.shape[:2]
    jump = np.zeros((height, width), np.bool_)
    jump[:, 1:] |= (np.abs(np.diff(coordinates, axis=1)) > jump_px).any(-1)
    jump[1:, :] |= (np.abs(np.diff(coordinates, axis=0)) > jump_px).any(-1)
    padded = np.pad(jump, 1)
    shifted = [padded[j : j + height, i : i + width] for j in range(3) for i in range(3)]
    return np.asarray(np.any(shifted, axis=0))


def smooth_premultiplied(colours: U8) -> U8:
    """[1 2 1] x [1 2 1] / 16 over premultiplied RGBA, uint8 [H, W, 4]; the border repeats."""
    alpha = colours[..., 3:].astype(np.float64)
    stack = np.concatenate([colours[..., :3] * alpha, alpha], axis=-1)
    padded = np.pad(stack, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    total = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    weight = total[..., 3:]
    smoothed = np.zeros(colours.shape, np.uint8)
    smoothed[..., :3] = to_bytes(total[..., :3] / np.where(weight > 0, weight, 1))
    smoothed[..., 3:] = to_bytes(weight / 16)
    smoothed[smoothed[..., 3] == 0] = 0
    return smoothed


def to_bytes(values: F64) -> U8:
    """Nearest byte, halves up, clamped to 0..255; what is not a number becomes 0."""
    return np.nan_to_num(np.floor(values + 0.5), nan=0.0).clip(0, 255).astype(np.uint8)
