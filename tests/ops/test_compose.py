"""`compose_over` and `aperture`: references, exactness, areas, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from compose_scene import MOUTH, assert_close, eye_parts, lens, opening, pictures, polygon_area
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_compose as reference


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
