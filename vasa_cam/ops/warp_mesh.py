"""Op `warp_mesh`: a textured triangle mesh drawn into a straight-alpha RGBA frame.

The mesh's fixed half (texture coordinates, triangles, texture, wrinkle map) is prepared once as a
`WarpMesh`; per frame only vertices and attributes move. The maths is in `reference_warp_mesh.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
I8 = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]

MAX_UV_PX: Final = 1e5
MAX_ORIGIN_PX: Final = 1_000_000
VISIBLE_MARGIN_PX: Final = 4
"""More than the two texels a bicubic lookup reads around a triangle, and antialiasing's pixel."""


@dataclass(frozen=True)
class WarpOptions:
    """Settings of one `warp_mesh` call.

    detail_gain: contrast of the wrinkle map; colour *= 1 + detail_gain * fold * detail / 127.
    edge_jump_px: a step of the texture coordinate between neighbouring pixels above this many
        texture pixels is an edge and is antialiased. A normal step is texture px per output px.
    origin_px: integer screen position (x, y) of out[0, 0], so that a region can be drawn alone.
    """

    detail_gain: float = 0.35
    edge_jump_px: float = 2.4
    origin_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not math.isfinite(self.detail_gain):
            raise ValueError(f"WarpOptions: detail_gain must be finite, got {self.detail_gain}")
        if not self.edge_jump_px > 0:
            raise ValueError(f"WarpOptions: edge_jump_px must be above 0, got {self.edge_jump_px}")
        if any(abs(int(part)) > MAX_ORIGIN_PX for part in self.origin_px):
            raise ValueError(
                f"WarpOptions: origin_px must be within +-{MAX_ORIGIN_PX}, got {self.origin_px}"
            )


class WarpMesh:
    """The part of a textured mesh that doesn't change between frames, as a native handle.

    uv: float32 [N, 2], texture px (x, y) of every vertex, finite, |uv| <= 1e5.
    triangles: int32 [T, 3], rows of vertex indices in 0..N-1; T may be 0.
    texture: uint8 [Ht, Wt, 4], straight-alpha RGBA, not empty.
    detail: int8 [Ht, Wt], wrinkle map (-127 darkest .. +127 brightest), or None.
    device: "cpu", or "cuda" with an ordinal. The arrays themselves are NumPy and are copied.
    drawn: int32 [D, 3], the triangles in the same order, less those whose part of the texture (and
        4 px around it) is fully transparent: they would cost time and show nothing.
    Frames of one handle are drawn one at a time. Raises TypeError or ValueError.
    """

    def __init__(
        self,
        uv: F32,
        triangles: I32,
        texture: U8,
        detail: I8 | None = None,
        device: tuple[str, int] = ("cpu", 0),
    ) -> None:
        _check_mesh(uv, triangles, texture, detail)
        self.uv = uv
        self.texture = texture
        self.detail = detail
        self.device = device
        self.drawn = np.ascontiguousarray(triangles[_visible(uv, triangles, texture)])
        wrinkles = np.zeros((0, 0), np.int8) if detail is None else detail
        self.native = _core.WarpMesh(uv, self.drawn, texture, wrinkles, *device)

    @property
    def vertex_count(self) -> int:
        """N, the number of vertices."""
        return int(self.uv.shape[0])


def warp_mesh(
    mesh: WarpMesh,
    vertices: F32,  # [N, 3]
    attributes: F32,  # [N, 2]
    options: WarpOptions = WarpOptions(),
    *,
    out: U8,  # [H, W, 4]
) -> U8:
    """Draw the mesh into out, straight alpha, 0 where it doesn't cover; returns out.

    vertices: screen px (x, y), pixel centres at whole numbers, and depth z, smaller is nearer.
    attributes: factor of the colour, and weight of the wrinkle map. Triangles with a vertex that is
    not finite or beyond 1e6 px are left out. All arrays are on the mesh's device. Raises TypeError
    or ValueError.
    """
    count = mesh.vertex_count
    _check.check_array(vertices, "warp_mesh", "vertices", "float32", (count, 3), mesh.device)
    _check.check_array(attributes, "warp_mesh", "attributes", "float32", (count, 2), mesh.device)
    _check.check_array(out, "warp_mesh", "out", "uint8", (None, None, 4), mesh.device)
    _check.check_writable(out, "warp_mesh", "out")
    gains = (options.detail_gain, options.edge_jump_px)
    origin = (int(options.origin_px[0]), int(options.origin_px[1]))
    stream = _check.current_stream(out)
    _core.warp_mesh(mesh.native, vertices, attributes, gains, origin, out, stream)
    return out


def _check_mesh(uv: F32, triangles: I32, texture: U8, detail: I8 | None) -> None:
    op, cpu = "WarpMesh", ("cpu", 0)
    count, _ = _check.check_array(uv, op, "uv", "float32", (None, 2), cpu)
    _check.check_array(triangles, op, "triangles", "int32", (None, 3), cpu)
    height, width, _ = _check.check_array(texture, op, "texture", "uint8", (None, None, 4), cpu)
    if detail is not None:
        _check.check_array(detail, op, "detail", "int8", (height, width), cpu)
    if not (0 < height <= 32768 and 0 < width <= 32768):
        raise ValueError(f"{op}: texture must be 1 to 32768 px a side, got {height} x {width}")
    if not (np.abs(uv) <= MAX_UV_PX).all():
        raise ValueError(f"{op}: uv must be finite and within +-{MAX_UV_PX:.0f} px")
    if triangles.size and (triangles.min() < 0 or triangles.max() >= count):
        raise ValueError(
            f"{op}: triangles must hold indices 0 to {count - 1}, "
            f"got {triangles.min()} to {triangles.max()}"
        )


def _visible(uv: F32, triangles: I32, texture: U8) -> Bools:
    """Which triangles touch texture that isn't fully transparent, bool [T]."""
    height, width = texture.shape[:2]
    count = np.zeros((height + 1, width + 1), np.int64)
    count[1:, 1:] = (texture[..., 3] > 0).cumsum(0).cumsum(1)
    corners = uv[triangles]
    low = np.floor(corners.min(1)).astype(np.int64) - VISIBLE_MARGIN_PX
    high = np.ceil(corners.max(1)).astype(np.int64) + VISIBLE_MARGIN_PX + 1
    limit = np.array([width, height])
    # Lookups clamp to the edge, so a footprint outside the texture still reads its border texels.
    low = np.clip(low, 0, limit - 1)
    high = np.clip(high, 1, limit)
    touched = (
        count[high[:, 1], high[:, 0]]
        - count[low[:, 1], high[:, 0]]
        - count[high[:, 1], low[:, 0]]
        + count[low[:, 1], low[:, 0]]
    )
    return np.asarray(touched > 0)
