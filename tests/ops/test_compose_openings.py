"""`compose_eye` and `compose_mouth`: references, rest, gaze, lids, shadows, and wild input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from compose_scene import MOUTH, assert_close, eye_parts, lens, opening, pictures, with_alpha
from hypothesis import given, settings
from hypothesis import strategies as st

from vasa_cam import ops
from vasa_cam.ops import reference_compose as reference


@pytest.fixture(autouse=True)
def restore_threads() -> Iterator[None]:
    threads = ops.get_num_threads()
    yield
    ops.set_num_threads(threads)


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
