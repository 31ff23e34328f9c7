"""`compose_over`, `aperture`, `compose_eye` and `compose_mouth`: references, areas, and limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_compose as reference

ORIGIN = (80, 70)
"""Where the eye's patches lie in the test frame."""
POINTS = 33


@pytest.fixture(autouse=True)
def restore_threads() -> Iterator[None]:
    threads = ops.get_num_threads()
    yield
    ops.set_num_threads(threads)


def pictures(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def lens(rise: float, fall: float, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An opening from (100, 100) to (140, 100): vertices, upper and lower chain."""
    s = np.linspace(0, 1, POINTS)
    upper = np.column_stack([100 + 40 * s, 100 - rise * np.sin(np.pi * s)])
    lower = np.column_stack([100 + 40 * s, 100 + fall * np.sin(np.pi * s)])
    cosine, sine = np.cos(turn), np.sin(turn)
    middle = np.array([120, 100])
    points = (np.concatenate([upper, lower]) - middle) @ np.array([[cosine, sine], [-sine, cosine]])
    vertices = np.column_stack([points + middle, np.zeros(2 * POINTS)]).astype(np.float32)
    chain = np.arange(POINTS, dtype=np.int32)
    return vertices, chain, chain + np.int32(POINTS)


def opening(rise: float, fall: float, turn: float = 0.0) -> np.ndarray:
    return ops.aperture(*lens(rise, fall, turn))


def polygon_area(opening_px: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    vertices, upper, lower = opening_px
    x, y = vertices[np.concatenate([upper, lower[::-1]]), :2].astype(np.float64).T
    return float(abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))) / 2)


def eye_parts(seed: int = 0) -> tuple[np.ndarray, ops.EyeParams, tuple[np.ndarray, ...]]:
    """A frame, the parameters of an eye at rest in it, and its sclera, iris and lid."""
    frame, lid = pictures(seed, (200, 230, 3), (32, 64, 3))
    patch = np.ascontiguousarray(frame[70:130, 80:160])
    y, x = np.mgrid[0:60, 0:80]
    alpha = np.clip(10 - np.hypot(x - 40, y - 30), 0, 1) * 255
    iris = np.dstack([patch, alpha.astype(np.uint8)])
    rest = opening(10, 12)
    rest[:2] -= ORIGIN
    params = ops.EyeParams(
        patch_from_screen=(1, 0, -ORIGIN[0], 0, 1, -ORIGIN[1]),
        rest_aperture=rest,
        iris_centre_px=(40, 30),
        iris_radius_px=9.0,
        eyeball_radius_px=18.0,
    )
    return frame, params, (patch, iris, lid)


MOUTH = ops.MouthParams(cavity_rgb=(60, 20, 18), px_per_cm=20.0)


def with_alpha(frame: np.ndarray, channels: int) -> np.ndarray:
    if channels == 3:
        return frame.copy()
    return np.dstack([frame, np.full(frame.shape[:2], 200, np.uint8)])


def assert_close(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    difference = np.abs(found.astype(int) - wanted)
    allowed = tolerance(name)
    assert difference.max(initial=0) <= allowed.absolute
    # Three more than the share, so that a small frame can have some that round otherwise.
    assert (difference > 0).sum() <= allowed.share * difference.size + 3


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    layer=st.tuples(st.integers(0, 70), st.integers(0, 70)),
    origin=st.tuples(st.integers(-80, 80), st.integers(-80, 80)),
    channels=st.sampled_from([(3, 3), (3, 4), (4, 4)]),
    seed=st.integers(0, 99),
)
def test_over_matches_reference(
    height: int,
    width: int,
    layer: tuple[int, int],
    origin: tuple[int, int],
    channels: tuple[int, int],
    seed: int,
) -> None:
    background, upper = pictures(seed, (height, width, channels[0]), (*layer, 4))
    # Runs of every kind: opaque, empty and mixed.
    upper[: layer[0] // 2, : layer[1] // 2, 3] = 255
    upper[layer[0] // 2 :, layer[1] // 3 :, 3] = 0
    out = np.zeros((height, width, channels[1]), np.uint8)
    wanted = reference.compose_over(background, upper, origin, out=out.copy())
    assert_close(ops.compose_over(background, upper, origin, out=out), wanted, "compose.over")
    if channels[0] == channels[1]:
        assert_close(ops.compose_over(background, upper, origin), wanted, "compose.over")
        ops.compose_over(background, upper, origin, out=background)
        assert_close(background, wanted, "compose.over")


def test_over_at_every_level(simd: str) -> None:
    for channels in (3, 4):
        background, upper = pictures(1, (90, 133, channels), (90, 133, 4))
        upper[10:50, 5:100, 3] = 255
        upper[60:, :, 3] = 0
        wanted = reference.compose_over(background, upper, (0, 0), out=np.empty_like(background))
        assert_close(ops.compose_over(background, upper), wanted, "compose.over")


def test_over_keeps_opaque_and_empty_exactly() -> None:
    background, upper = pictures(2, (40, 50, 3), (40, 50, 4))
    upper[:20, :, 3], upper[20:, :, 3] = 255, 0
    found = ops.compose_over(background, upper)
    np.testing.assert_array_equal(found[:20], upper[:20, :, :3])
    np.testing.assert_array_equal(found[20:], background[20:])


def test_aperture_of_a_known_lens() -> None:
    found = opening(10, 12)
    np.testing.assert_allclose(found[:5], [100, 100, 1, 0, 40], atol=1e-4)
    assert found[5] == pytest.approx(22, rel=0.01)
    s = np.linspace(0, 1, 64)
    np.testing.assert_allclose(found[6:70], -10 * np.sin(np.pi * s), atol=0.05)
    np.testing.assert_allclose(found[70:], 12 * np.sin(np.pi * s), atol=0.05)


@settings(max_examples=40, deadline=None)
@given(
    rise=st.floats(-5, 20),
    fall=st.floats(-5, 20),
    turn=st.floats(-3.1, 3.1),
    seed=st.integers(0, 9),
)
def test_aperture_matches_reference(rise: float, fall: float, turn: float, seed: int) -> None:
    vertices, upper, lower = lens(rise, fall, turn)
    vertices += np.random.default_rng(seed).normal(0, 0.4, vertices.shape).astype(np.float32)
    found = ops.aperture(vertices, upper, lower)
    wanted = reference.aperture(vertices, upper, lower, out=np.empty_like(found))
    # Where a chain runs backwards the offset jumps, so knots next to it may fall to either side.
    far = np.abs(found - wanted) > tolerance("compose.aperture").absolute
    assert far.sum() <= 4
    assert (found[6:70] <= found[70:] + 1e-5).all()


def test_aperture_where_curves_cross_is_closed() -> None:
    found = opening(-6, -4)
    np.testing.assert_array_equal(found[6:70], found[70:])
    assert found[5] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_aperture_that_is_not_finite_is_not_drawn(bad: float) -> None:
    vertices, upper, lower = lens(10, 12)
    vertices[7, 1] = bad
    found = ops.aperture(vertices, upper, lower)
    assert not found.any()
    frame, params, layers = eye_parts()
    before = frame.copy()
    ops.compose_eye(frame, found, params, *layers)
    ops.compose_mouth(frame, found, MOUTH, np.zeros((4, 4, 4), np.uint8), (0, 0))
    np.testing.assert_array_equal(frame, before)


def test_aperture_of_one_point_has_no_length() -> None:
    vertices, upper, lower = lens(0, 0)
    vertices[:] = 50
    assert not ops.aperture(vertices, upper, lower).any()


@pytest.mark.parametrize("turn", [0.0, 0.3, -1.2])
@pytest.mark.parametrize(("rise", "fall"), [(10, 12), (3, 2), (0.6, 0.5), (18, -9)])
def test_coverage_integrates_to_the_area(rise: float, fall: float, turn: float) -> None:
    vertices, upper, lower = lens(rise, fall, turn)
    frame = np.zeros((200, 230, 3), np.uint8)
    white = np.full((200, 230, 4), 255, np.uint8)
    params = replace(MOUTH, occlusion=0.0, rim_strength=0.0, fade_px=(-2.0, -1.0))
    ops.compose_mouth(frame, ops.aperture(vertices, upper, lower), params, white, (0, 0))
    covered = frame[..., 0].sum() / 255.0
    area = polygon_area((vertices, upper, lower))
    # Half a pixel of the rim is lost where the two curves meet at a sharp angle.
    assert covered == pytest.approx(area, rel=0.02, abs=1.5)


def test_closed_opening_shows_nothing() -> None:
    frame, params, layers = eye_parts()
    before = frame.copy()
    ops.compose_mouth(frame, opening(-3, 3), MOUTH, np.zeros((4, 4, 4), np.uint8), (0, 0))
    np.testing.assert_array_equal(frame, before)
    shut = replace(params, lid_strength=0.0, lash_strength=0.0)
    ops.compose_eye(frame, opening(-12, 12), shut, *layers)
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize("channels", [3, 4])
def test_eye_at_rest_is_the_frame(simd: str, channels: int) -> None:
    frame, params, layers = eye_parts()
    frame = with_alpha(frame, channels)
    before = frame.copy()
    ops.compose_eye(frame, opening(10, 12), params, *layers)
    np.testing.assert_array_equal(frame[..., :3], before[..., :3])


EYES = {
    "gaze": ((10, 12, 0.0), {"gaze_rad": (0.5, -0.3)}),
    "half shut": ((2, 11, 0.05), {"gaze_rad": (0.2, 0.1)}),
    "shut": ((-11, 11.5, 0.0), {}),
    "turned": ((8, 9, -0.3), {"patch_from_screen": (1.05, 0.2, -110, -0.15, 0.95, -42)}),
    "larger patch": ((10, 12, 0.0), {"patch_from_screen": (2, 0, -200, 0, 2, -170)}),
    "wide": ((16, 13, 0.0), {"gaze_rad": (-1.5, 1.2)}),
}


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", EYES)
def test_eye_matches_reference(simd: str, name: str, channels: int) -> None:
    frame, params, layers = eye_parts(3)
    shape, changes = EYES[name]
    params = replace(params, **changes)
    found, wanted = with_alpha(frame, channels), with_alpha(frame, channels)
    ops.compose_eye(found, opening(*shape), params, *layers)
    reference.compose_eye(wanted, opening(*shape), params, *layers)
    assert (wanted[..., :3] != frame).any()
    assert_close(found, wanted, "compose.eye")


def test_gaze_moves_and_narrows_the_iris() -> None:
    frame, params, (sclera, iris, lid) = eye_parts()
    sclera[:], iris[..., :3] = 220, 20
    params = replace(params, shadow_strength=0.0)
    places = []
    for gaze in ((0.0, 0.0), (0.3, 0.0), (-0.3, 0.0), (0.0, 0.25), (0.6, 0.0)):
        drawn = frame.copy()
        ops.compose_eye(drawn, opening(25, 25), replace(params, gaze_rad=gaze), sclera, iris, lid)
        dark = (drawn[80:120, 105:140, 0] < 120) & (np.abs(drawn[80:120, 105:140].std(-1)) < 1)
        y, x = np.nonzero(dark)
        places.append((x.mean(), y.mean(), np.ptp(x) + 1, np.ptp(y) + 1))
    middle, right, left, up, far = places
    assert right[0] - middle[0] == pytest.approx(18 * np.sin(0.3), abs=0.6)
    assert left[0] - middle[0] == pytest.approx(-18 * np.sin(0.3), abs=0.6)
    assert up[1] - middle[1] == pytest.approx(-18 * np.sin(0.25), abs=0.6)
    assert far[2] / middle[2] == pytest.approx(np.cos(0.6), abs=0.08)
    assert far[3] == middle[3]


def test_shut_eye_shows_lid_and_lashes_not_the_eyeball() -> None:
    frame, params, (sclera, iris, lid) = eye_parts()
    frame[:] = 180
    sclera[:], iris[..., :3], lid[:] = 0, 0, 150
    ops.compose_eye(frame, opening(-11.5, 12), params, sclera, iris, lid)
    column = frame[:, 120, 0].astype(int)
    lash = 111 + column[111:116].argmin()
    assert column[lash] < 130 and column[lash + 5] == 180
    assert (np.abs(column[97:105] - 150) <= 1).all()
    assert (column[:84] == 180).all()


def test_shadow_stays_with_the_lid() -> None:
    frame, params, (sclera, iris, lid) = eye_parts()
    sclera[:], iris[..., 3] = 200, 0
    params = replace(params, lid_strength=0.0, lash_strength=0.0)
    lowered = frame.copy()
    ops.compose_eye(lowered, opening(2, 12), params, sclera, iris, lid)
    # Where the lid came down, what was lit is in shadow now; further down nothing changed.
    assert lowered[99, 120, 0] < 160 and lowered[109, 120, 0] == 200


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("shape", [(10, 25, 0.0), (0.7, 0.8, 0.0), (12, 15, 0.4)])
def test_mouth_matches_reference(
    simd: str, shape: tuple[float, float, float], channels: int
) -> None:
    frame, interior = pictures(5, (200, 230, 3), (40, 50, 4))
    found, wanted = with_alpha(frame, channels), with_alpha(frame, channels)
    ops.compose_mouth(found, opening(*shape), MOUTH, interior, (95, 85))
    reference.compose_mouth(wanted, opening(*shape), MOUTH, interior, (95, 85))
    assert (wanted[..., :3] != frame).any()
    assert_close(found, wanted, "compose.mouth")


def test_mouth_is_darker_at_the_lips_and_corners() -> None:
    frame = np.full((200, 230, 3), 180, np.uint8)
    light = np.full((60, 60, 4), 255, np.uint8)
    ops.compose_mouth(frame, opening(10, 25), MOUTH, light, (90, 80))
    inside = frame[..., 1].astype(int)
    assert inside[108, 120] > inside[92, 120] + 20
    assert inside[108, 120] > inside[102, 103] + 20
    assert inside[108, 120] > 240
    assert frame[92, 120, 0] > frame[92, 120, 2]  # shadow is red
    assert inside[89, 120] < 180 and inside[80, 120] == 180


@settings(max_examples=30, deadline=None)
@given(
    shift=st.tuples(st.integers(-300, 300), st.integers(-300, 300)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    turn=st.floats(-3, 3),
)
def test_openings_partly_outside_the_frame(
    shift: tuple[int, int], size: tuple[int, int], turn: float
) -> None:
    _, params, layers = eye_parts()
    (frame,) = pictures(1, (*size, 3))
    vertices, upper, lower = lens(8, 14, turn)
    vertices[:, :2] += shift
    seen = ops.aperture(vertices, upper, lower)
    found, wanted = frame.copy(), frame.copy()
    params = replace(params, gaze_rad=(0.3, 0.1))
    for module, target in ((ops, found), (reference, wanted)):
        module.compose_eye(target, seen, params, *layers)
        module.compose_mouth(target, seen, MOUTH, layers[1], (100, 90))
    # Two roundings in a row: where the first falls to the other side, the second may too.
    assert np.abs(found.astype(int) - wanted).max() <= 2


def test_wild_numbers_do_no_harm() -> None:
    frame, params, layers = eye_parts()
    for wild in (1e30, -1e30, 1e12):
        odd = replace(params, patch_from_screen=(wild, 0, 0, 0, 1, 0))
        ops.compose_eye(frame, opening(10, 12), odd, *layers)
        ops.compose_eye(frame, opening(10, 12) * np.float32(wild), params, *layers)
    broken = opening(10, 12)
    broken[10:] = np.nan
    ops.compose_eye(frame, broken, params, *layers)
    ops.compose_mouth(frame, broken, MOUTH, layers[1], (0, 0))


def test_threads_give_the_same_bytes() -> None:
    frame, params, layers = eye_parts()
    (upper,) = pictures(4, (200, 230, 4))
    frames = []
    for threads in (1, 2):
        ops.set_num_threads(threads)
        drawn = ops.compose_over(frame, upper)
        ops.compose_eye(drawn, opening(5, 12), params, *layers)
        ops.compose_mouth(drawn, opening(10, 25, 0.5), MOUTH, layers[1], (100, 90))
        frames.append(drawn)
    np.testing.assert_array_equal(*frames)


def test_refuses_what_does_not_fit() -> None:
    frame, params, (sclera, iris, lid) = eye_parts()
    shape = opening(10, 12)
    vertices, upper, lower = lens(10, 12)
    with pytest.raises(ValueError, match=r"chain's index is out of range"):
        ops.aperture(vertices, upper + np.int32(60), lower)
    with pytest.raises(ValueError, match=r"chains must have 2 vertices or more"):
        ops.aperture(vertices, upper[:1], lower)
    with pytest.raises(ValueError, match=r"compose_over: out must be \[200, 230, 3 or 4\]"):
        ops.compose_over(frame, iris, out=np.zeros((200, 229, 3), np.uint8))
    with pytest.raises(ValueError, match=r"compose_over: out must be \[60, 80, 4\]"):
        ops.compose_over(iris, iris, out=np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(ValueError, match=r"compose_over: origin_px must be within"):
        ops.compose_over(frame, iris, (2**31, 0))
    with pytest.raises(ValueError, match=r"compose_eye: frame must be C-contiguous"):
        ops.compose_eye(frame[:, ::2], shape, params, sclera, iris, lid)
    with pytest.raises(ValueError, match=r"compose_eye: aperture must be \[134\]"):
        ops.compose_eye(frame, shape[:6], params, sclera, iris, lid)
    with pytest.raises(ValueError, match=r"must not be empty"):
        ops.compose_eye(frame, shape, params, sclera[:0], iris, lid)
    with pytest.raises(TypeError, match=r"compose_mouth: interior must be uint8"):
        ops.compose_mouth(frame, shape, MOUTH, iris.astype(np.float32), (0, 0))
    frame.flags.writeable = False
    with pytest.raises(ValueError, match=r"frame is read-only"):
        ops.compose_mouth(frame, shape, MOUTH, iris, (0, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"iris_radius_px": 0.0},
        {"gaze_rad": (np.nan, 0.0)},
        {"gaze_rad": (0.0,)},
        {"softness_px": -1.0},
        {"shadow_strength": 1.0},
        {"rest_aperture": np.zeros(10, np.float32)},
    ],
)
def test_eye_params_check_themselves(changes: dict[str, object]) -> None:
    _, params, _ = eye_parts()
    with pytest.raises(ValueError, match="EyeParams: "):
        replace(params, **changes)


@pytest.mark.parametrize(
    "changes", [{"px_per_cm": 0.0}, {"fade_px": (2.0, 1.0)}, {"cavity_rgb": (1.0, 2.0)}]
)
def test_mouth_params_check_themselves(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="MouthParams: "):
        replace(MOUTH, **changes)


@pytest.mark.cuda
def test_cuda_matches_reference() -> None:
    cupy = pytest.importorskip("cupy")
    frame, params, layers = eye_parts(3)
    shape, params = opening(5, 12), replace(params, gaze_rad=(0.4, 0.1))
    wanted = frame.copy()
    reference.compose_eye(wanted, shape, params, *layers)
    reference.compose_mouth(wanted, shape, MOUTH, layers[1], (100, 90))
    found, seen = cupy.asarray(frame), ops.aperture(*map(cupy.asarray, lens(5, 12)))
    ops.compose_eye(found, seen, params, *map(cupy.asarray, layers))
    ops.compose_mouth(found, seen, MOUTH, cupy.asarray(layers[1]), (100, 90))
    assert np.abs(found.get().astype(int) - wanted).max() <= 2
    over = ops.compose_over(found, cupy.asarray(layers[1]), (7, 9)).get()
    wanted = reference.compose_over(found.get(), layers[1], (7, 9), out=np.empty_like(wanted))
    assert_close(over, wanted, "compose.over")
