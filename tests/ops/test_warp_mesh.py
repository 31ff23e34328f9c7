"""`warp_mesh` against its reference, against plain geometry, and with meshes that are not sane."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_warp_mesh as reference

OPTIONS = ops.WarpOptions()
NO_EDGES = ops.WarpOptions(edge_jump_px=1e9)


@pytest.fixture(autouse=True)
def restore_threads() -> Iterator[None]:
    threads = ops.get_num_threads()
    yield
    ops.set_num_threads(threads)


def smooth_texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Structure of a few pixels in every channel; opaque in the middle, transparent at the rim."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [127.5 + 120 * np.sin(x / 3.1 + p) * np.cos(y / (2.3 + p)) for p in phase]
    away = np.hypot(x / (width - 1) - 0.5, y / (height - 1) - 0.5)
    alpha = np.clip((0.45 - away) * width / 2, 0, 1) * 255
    return np.stack([*waves, alpha], -1).round().astype(np.uint8)


def grid(columns: int, rows: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices float32 [columns * rows, 2] over a picture and triangles int32 [T, 3]."""
    x, y = np.meshgrid(np.linspace(0, width - 1, columns), np.linspace(0, height - 1, rows))
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    triangles = np.concatenate(
        [
            np.stack([first, first + 1, first + columns], 1),
            np.stack([first + columns, first + 1, first + columns + 1], 1),
        ]
    )
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32), triangles.astype(np.int32)


def at_rest(uv: np.ndarray, depth: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices where the texture has them, and attributes that change nothing."""
    vertices = np.column_stack([uv, np.full(len(uv), depth)]).astype(np.float32)
    return vertices, np.tile(np.array([1, 0], np.float32), (len(uv), 1))


def bent(uv: np.ndarray, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that slide over one another, with folds in depth, shade and wrinkles."""
    x, y = uv.astype(np.float64).T
    z = 30 * np.sin(x / 17) + 20 * np.cos(y / 13)
    moved = [x + strength * (4 * np.sin(y / 9) + 0.25 * z), y + strength * 3 * np.cos(x / 11)]
    attributes = [1 + 0.15 * np.sin(x / 8), np.maximum(0, 1.4 * np.sin(y / 10))]
    return (
        np.column_stack([*moved, z]).astype(np.float32),
        np.column_stack(attributes).astype(np.float32),
    )


def draw(
    mesh: ops.WarpMesh,
    vertices: np.ndarray,
    attributes: np.ndarray,
    shape: tuple[int, int],
    options: ops.WarpOptions = OPTIONS,
) -> np.ndarray:
    out = np.full((*shape, 4), 99, np.uint8)
    returned = ops.warp_mesh(mesh, vertices, attributes, options, out=out)
    assert returned is out
    return out


def expected(
    mesh: ops.WarpMesh,
    vertices: np.ndarray,
    attributes: np.ndarray,
    shape: tuple[int, int],
    options: ops.WarpOptions = OPTIONS,
) -> np.ndarray:
    out = np.full((*shape, 4), 99, np.uint8)
    return reference.warp_mesh(mesh, vertices, attributes, options, out=out)


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Small differences everywhere, any at the few pixels where another triangle may win."""
    difference = np.abs(found.astype(int) - wanted).max(-1, initial=0)
    inner = tolerance("warp_mesh.colour")
    flipped = (difference > inner.absolute).sum()
    allowed = tolerance("warp_mesh.edges").share * difference.size
    assert flipped <= max(3, allowed), f"{flipped} of {difference.size} pixels differ"
    # Flips go either way: on the whole nothing is gained or lost.
    assert abs((found.astype(int) - wanted).mean()) <= 0.05


def test_matches_reference(simd: str) -> None:
    size = 160
    uv, triangles = grid(40, 40, size, size)
    detail = np.random.default_rng(1).integers(-127, 128, (size, size)).astype(np.int8)
    mesh = ops.WarpMesh(uv, triangles, smooth_texture(size, size), detail)
    for strength in (0.0, 0.3, 1.0):
        vertices, attributes = bent(uv, strength)
        found = draw(mesh, vertices, attributes, (size, size))
        assert_close(found, expected(mesh, vertices, attributes, (size, size)))


def test_identity_shows_the_texture_exactly(simd: str) -> None:
    texture = np.random.default_rng(2).integers(0, 256, (61, 83, 4), dtype=np.uint8)
    texture[..., 3] = np.maximum(texture[..., 3], 1)
    uv, triangles = grid(9, 7, 83, 61)
    mesh = ops.WarpMesh(uv, triangles, texture)
    np.testing.assert_array_equal(draw(mesh, *at_rest(uv), (61, 83)), texture)


def test_whole_pixel_shift_moves_the_texture_exactly(simd: str) -> None:
    texture = np.random.default_rng(3).integers(1, 256, (50, 70, 4), dtype=np.uint8)
    uv, triangles = grid(8, 6, 70, 50)
    mesh = ops.WarpMesh(uv, triangles, texture)
    vertices, attributes = at_rest(uv)
    vertices[:, :2] += (5, 3)
    found = draw(mesh, vertices, attributes, (64, 90), NO_EDGES)
    np.testing.assert_array_equal(found[3:53, 5:75], texture)
    assert not found[:3].any() and not found[53:].any()
    assert not found[:, :5].any() and not found[:, 75:].any()


def test_half_pixel_shift_is_catmull_rom() -> None:
    texture = np.full((8, 12, 4), 255, np.uint8)
    texture[..., 0] = np.arange(12) ** 2
    uv, triangles = grid(3, 3, 12, 8)
    mesh = ops.WarpMesh(uv, triangles, texture)
    vertices, attributes = at_rest(uv)
    vertices[:, 0] -= 0.5
    found = draw(mesh, vertices, attributes, (8, 12), NO_EDGES)
    # Catmull-Rom reproduces quadratics: between x and x + 1 lies (x + 0.5)^2.
    centres = (np.arange(1, 9) + 0.5) ** 2
    assert np.abs(found[4, 1:9, 0] - centres).max() <= 0.5


@pytest.mark.parametrize("winding", [(0, 1, 2), (0, 2, 1)])
def test_one_triangle_covers_what_lies_inside_it(simd: str, winding: tuple[int, ...]) -> None:
    corners = np.array([[3.2, 2.4], [40.7, 11.3], [14.1, 36.9]])
    texture = np.full((50, 50, 4), 200, np.uint8)
    mesh = ops.WarpMesh(corners.astype(np.float32), np.array([winding], np.int32), texture)
    found = draw(mesh, *at_rest(corners), (45, 45), NO_EDGES)[..., 3] > 0
    y, x = np.mgrid[0:45, 0:45]
    sides = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        sides.append((x - start[0]) * edge[1] - (y - start[1]) * edge[0])
    inside = np.all(np.array(sides) < 0, axis=0)
    np.testing.assert_array_equal(found, inside)
    area = abs(np.linalg.det(np.column_stack([corners, np.ones(3)]))) / 2
    assert found.sum() == pytest.approx(area, rel=0.02)


def test_shared_edges_leave_no_hole(simd: str) -> None:
    uv, triangles = grid(37, 31, 101, 97)
    rng = np.random.default_rng(4)
    vertices, attributes = at_rest(uv)
    vertices[:, :2] += rng.uniform(-0.9, 0.9, (len(uv), 2))
    mesh = ops.WarpMesh(uv, triangles, np.full((97, 101, 4), 255, np.uint8))
    assert (draw(mesh, vertices, attributes, (97, 101))[2:-2, 2:-2, 3] == 255).all()


def test_nearest_triangle_wins_and_ties_go_to_the_first(simd: str) -> None:
    texture = np.zeros((4, 12, 4), np.uint8)
    texture[:, :4], texture[:, 4:8], texture[:, 8:] = ([[[c, 0, 0, 255]]] for c in (10, 20, 30))
    square = np.array([[-5, -5], [30, -5], [-5, 30]])
    uv = np.repeat(np.array([[1.5, 1.5], [5.5, 1.5], [9.5, 1.5]], np.float32), 3, axis=0)
    mesh = ops.WarpMesh(uv, np.arange(9, dtype=np.int32).reshape(3, 3), texture)
    attributes = np.tile(np.array([1, 0], np.float32), (9, 1))
    for depths, winner in (((3, 1, 2), 20), ((1, 1, 0.5), 30), ((1, 1, 1), 10), ((2, 1, 1), 20)):
        vertices = np.column_stack([np.tile(square, (3, 1)), np.repeat(depths, 3)])
        found = draw(mesh, vertices.astype(np.float32), attributes, (8, 8), NO_EDGES)
        assert (found[..., 0] == winner).all()


def test_detail_darkens_where_the_mesh_folds() -> None:
    texture = np.full((20, 20, 4), 200, np.uint8)
    detail = np.zeros((20, 20), np.int8)
    detail[10:] = -127
    uv, triangles = grid(3, 3, 20, 20)
    mesh = ops.WarpMesh(uv, triangles, texture, detail)
    vertices, attributes = at_rest(uv)
    attributes[:] = (0.5, 1.0)
    found = draw(mesh, vertices, attributes, (20, 20), ops.WarpOptions(detail_gain=0.25))
    assert (found[:9, :, :3] == 100).all() and (found[11:, :, :3] == 75).all()
    assert (found[..., 3] == 200).all()


def test_silhouettes_are_antialiased() -> None:
    uv, triangles = grid(2, 2, 20, 20)
    mesh = ops.WarpMesh(uv, triangles, np.full((20, 20, 4), 255, np.uint8))
    vertices, attributes = at_rest(uv)
    vertices[:, 0] += 10
    alpha = draw(mesh, vertices, attributes, (20, 40))[..., 3]
    # One pixel each side of the edge: a quarter and three quarters.
    assert alpha[10, 8:12].tolist() == [0, 64, 191, 255]
    assert (draw(mesh, vertices, attributes, (20, 40), NO_EDGES)[10, 8:12, 3] % 255 == 0).all()


@pytest.mark.parametrize("origin", [(0, 0), (13, 7), (-9, 40)])
def test_region_equals_the_same_part_of_the_frame(origin: tuple[int, int]) -> None:
    uv, triangles = grid(30, 30, 100, 100)
    mesh = ops.WarpMesh(uv, triangles, smooth_texture(100, 100))
    vertices, attributes = bent(uv)
    whole = draw(mesh, vertices, attributes, (140, 140), ops.WarpOptions(origin_px=(-20, -20)))
    part = draw(mesh, vertices, attributes, (50, 60), ops.WarpOptions(origin_px=origin))
    x, y = origin[0] + 20, origin[1] + 20
    inner = np.abs(part[2:-2, 2:-2].astype(int) - whole[y + 2 : y + 48, x + 2 : x + 58])
    # Coordinates are rounded after the origin is taken off, so a lookup may fall into the next of
    # its 256 steps.
    assert (inner > 1).mean() < 1e-3


def test_threads_and_repeats_give_the_same_bytes(simd: str) -> None:
    uv, triangles = grid(60, 60, 200, 300)
    mesh = ops.WarpMesh(uv, triangles, smooth_texture(300, 200))
    vertices, attributes = bent(uv)
    frames = []
    for threads in (1, 2, 3, 1):
        ops.set_num_threads(threads)
        frames.append(draw(mesh, vertices, attributes, (300, 200)))
    for one, other in itertools.pairwise(frames):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    origin=st.tuples(st.integers(-30, 60), st.integers(-30, 60)),
    seed=st.integers(0, 99),
)
def test_any_size_and_region(height: int, width: int, origin: tuple[int, int], seed: int) -> None:
    uv, triangles = grid(12, 9, 47, 53)
    rng = np.random.default_rng(seed)
    vertices, attributes = bent(uv)
    vertices += rng.normal(0, 2, vertices.shape).astype(np.float32)
    mesh = ops.WarpMesh(uv, triangles, smooth_texture(53, 47, seed))
    options = ops.WarpOptions(origin_px=origin, edge_jump_px=float(rng.uniform(0.5, 5)))
    found = draw(mesh, vertices, attributes, (height, width), options)
    wanted = expected(mesh, vertices, attributes, (height, width), options)
    difference = np.abs(found.astype(int) - wanted).max(-1)
    # Random slopes put many pixels next to a limit (an edge, a jump); most must still agree.
    assert (difference > tolerance("warp_mesh.colour").absolute).mean() <= 0.02


def test_empty_meshes_and_frames_show_nothing(simd: str) -> None:
    texture = smooth_texture(10, 10)
    uv, triangles = grid(3, 3, 10, 10)
    vertices, attributes = at_rest(uv)
    nothing = ops.WarpMesh(uv, triangles[:0], texture)
    assert not draw(nothing, vertices, attributes, (9, 7)).any()
    no_vertices = ops.WarpMesh(uv[:0], triangles[:0], texture)
    assert not draw(no_vertices, vertices[:0], attributes[:0], (9, 7)).any()
    mesh = ops.WarpMesh(uv, triangles, texture)
    for shape in ((0, 5), (5, 0)):
        assert draw(mesh, vertices, attributes, shape).size == 0
    assert not draw(mesh, vertices + np.float32(1000), attributes, (9, 7)).any()


def test_transparent_triangles_are_left_out() -> None:
    texture = np.zeros((60, 60, 4), np.uint8)
    texture[:, :20] = 255
    uv, triangles = grid(13, 13, 60, 60)
    mesh = ops.WarpMesh(uv, triangles, texture)
    assert 0 < len(mesh.drawn) < len(triangles)
    np.testing.assert_array_equal(draw(mesh, *at_rest(uv), (60, 60)), texture)
    assert len(ops.WarpMesh(uv, triangles, np.zeros_like(texture)).drawn) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 2e6, -1e20])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_wild_vertices_drop_their_triangles_only(simd: str, bad: float, axis: int) -> None:
    uv, triangles = grid(10, 10, 80, 80)
    mesh = ops.WarpMesh(uv, triangles, np.full((80, 80, 4), 255, np.uint8))
    vertices, attributes = at_rest(uv)
    vertices[55, axis] = bad
    found = draw(mesh, vertices, attributes, (80, 80))
    np.testing.assert_array_equal(found, expected(mesh, vertices, attributes, (80, 80)))
    assert 0.9 < (found[..., 3] > 0).mean() < 1.0


def test_wild_attributes_and_flat_triangles_do_no_harm(simd: str) -> None:
    uv, triangles = grid(10, 10, 80, 80)
    texture = np.full((80, 80, 4), 255, np.uint8)
    mesh = ops.WarpMesh(uv, triangles, texture, np.full((80, 80), 50, np.int8))
    vertices, attributes = at_rest(uv)
    attributes[::7] = np.nan
    attributes[1::7] = np.inf
    attributes[2::7] = -1e30
    assert (draw(mesh, vertices, attributes, (80, 80))[..., 3] == 255).all()
    vertices[:, 1] = 40
    assert not draw(mesh, vertices, at_rest(uv)[1], (80, 80)).any()
    vertices[:] = 40
    assert not draw(mesh, vertices, at_rest(uv)[1], (80, 80)).any()


def test_refuses_what_does_not_fit() -> None:
    texture = smooth_texture(10, 10)
    uv, triangles = grid(3, 3, 10, 10)
    too_high = triangles.copy()
    too_high[0, 0] = len(uv)
    for indices in (too_high, triangles - 1):
        with pytest.raises(ValueError, match=r"WarpMesh: triangles must hold indices 0 to 8"):
            ops.WarpMesh(uv, indices, texture)
    with pytest.raises(TypeError, match=r"WarpMesh: triangles must be int32, got int64"):
        ops.WarpMesh(uv, triangles.astype(np.int64), texture)
    with pytest.raises(ValueError, match=r"WarpMesh: uv must be finite"):
        ops.WarpMesh(np.where(uv == 0, np.nan, uv).astype(np.float32), triangles, texture)
    with pytest.raises(ValueError, match=r"WarpMesh: detail must be \[10, 10\]"):
        ops.WarpMesh(uv, triangles, texture, np.zeros((9, 10), np.int8))
    with pytest.raises(ValueError, match=r"WarpMesh: texture must be 1 to 32768 px a side"):
        ops.WarpMesh(uv, triangles, texture[:0])
    with pytest.raises(ValueError, match=r"C-contiguous.*ascontiguousarray"):
        ops.WarpMesh(uv, triangles, texture[:, ::2])
    mesh = ops.WarpMesh(uv, triangles, texture)
    vertices, attributes = at_rest(uv)
    out = np.zeros((10, 10, 4), np.uint8)
    with pytest.raises(ValueError, match=r"warp_mesh: vertices must be \[9, 3\]"):
        ops.warp_mesh(mesh, vertices[:4], attributes, out=out)
    with pytest.raises(ValueError, match=r"warp_mesh: attributes must be \[9, 2\]"):
        ops.warp_mesh(mesh, vertices, vertices, out=out)
    with pytest.raises(ValueError, match=r"warp_mesh: out must be C-contiguous"):
        ops.warp_mesh(mesh, vertices, attributes, out=out[:, ::2])
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"out is read-only"):
        ops.warp_mesh(mesh, vertices, attributes, out=out)
    for wrong in ({"edge_jump_px": 0.0}, {"detail_gain": np.nan}, {"origin_px": (10**7, 0)}):
        with pytest.raises(ValueError, match="WarpOptions"):
            ops.WarpOptions(**wrong)


@pytest.mark.cuda
def test_cuda_matches_reference() -> None:
    cupy = pytest.importorskip("cupy")
    uv, triangles = grid(40, 40, 160, 160)
    texture = smooth_texture(160, 160)
    detail = np.random.default_rng(1).integers(-127, 128, (160, 160)).astype(np.int8)
    mesh = ops.WarpMesh(uv, triangles, texture, detail, device=("cuda", 0))
    vertices, attributes = bent(uv)
    out = cupy.zeros((160, 160, 4), cupy.uint8)
    ops.warp_mesh(mesh, cupy.asarray(vertices), cupy.asarray(attributes), out=out)
    assert_close(out.get(), expected(mesh, vertices, attributes, (160, 160)))
