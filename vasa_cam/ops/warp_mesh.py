"""Op `warp_mesh`: a textured triangle mesh drawn into a straight-alpha RGBA frame.

The mesh's fixed half (texture coordinates, triangles, texture, wrinkle map) is prepared once as a
`WarpMesh`; per frame only vertices and attributes move.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vasa_cam.ops import reference_warp_mesh as reference

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
I8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class WarpOptions:
    """Settings of one `warp_mesh` call.

    detail_gain: contrast of the wrinkle map; colour *= 1 + detail_gain * fold * detail / 127.
    edge_jump_px: a step of the texture coordinate between neighbouring pixels above this many
        texture pixels is an edge and is antialiased. Normal steps are texture px per output px.
    origin_px: integer screen position (x, y) of out[0, 0], so that a region can be drawn alone.
    """

    detail_gain: float = 0.35
    edge_jump_px: float = 2.4
    origin_px: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class WarpMesh:
    """The part of a textured mesh that doesn't change between frames.

    uv: float32 [N, 2], texture px of every vertex (x, y), finite, |uv| <= 1e6.
    triangles: int32 [T, 3], rows of vertex indices in 0..N-1; T may be 0.
    texture: uint8 [Ht, Wt, 4], straight-alpha RGBA, not empty.
    detail: int8 [Ht, Wt] wrinkle map (-127 darkest .. +127 brightest), or None.
    drawn: int32 [D, 3], set here: the triangles in the same order, less those whose part of the
        texture (and 4 px around it) is fully transparent; they cost time and show nothing.
    Raises ValueError or TypeError, naming what was expected and what came.
    """

    uv: F32
    triangles: I32
    texture: U8
    detail: I8 | None = None
    drawn: I32 = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "drawn", self.triangles[_visible(self)])


def _visible(mesh: WarpMesh) -> npt.NDArray[np.bool_]:
    """Which triangles touch texture that isn't fully transparent, bool [T]."""
    margin = 4
    height, width = mesh.texture.shape[:2]
    count = np.zeros((height + 1, width + 1), np.int64)
    count[1:, 1:] = (mesh.texture[..., 3] > 0).cumsum(0).cumsum(1)
    corners = mesh.uv[mesh.triangles]
    low = np.floor(corners.min(1)).astype(np.int64) - margin
    high = np.ceil(corners.max(1)).astype(np.int64) + margin + 1
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


def warp_mesh(
    mesh: WarpMesh,
    vertices: F32,
    attributes: F32,
    options: WarpOptions = WarpOptions(),
    *,
    out: U8,
) -> U8:
    """Draw the mesh into out, uint8 [H, W, 4], straight alpha; returns out.

    vertices: float32 [N, 3], screen px (x, y) at pixel centres and depth z, smaller is nearer.
    attributes: float32 [N, 2], shade factor and wrinkle (fold) weight.
    """
    return reference.warp_mesh(mesh, vertices, attributes, options, out=out)
