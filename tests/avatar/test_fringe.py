"""Hair over the forehead: found by colour, and not bent by the brows."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from vasa_cam.avatar.file import load_avatar
from vasa_cam.avatar.fringe import find_fringe
from vasa_cam.face_model import load_face_model
from vasa_cam.render.layered import LayeredRenderer
from vasa_cam.render.poses import motion_of

SKIN, HAIR = (205, 160, 130), (70, 48, 35)
PX_PER_CM = 16.0
MIDDLE = (200.0, 190.0)


def painted(fringe_to_cm: float, hair_colour: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """A flat face [400, 400] with hair around it and over the forehead down to `fringe_to_cm`."""
    points = load_face_model().vertices * PX_PER_CM
    points = points[:, :2] + np.float32(MIDDLE)
    y, x = np.mgrid[0:400, 0:400]
    rng = np.random.default_rng(5)
    low, high = points.min(0), points.max(0)
    centre, radius = (low + high) / 2, (high - low) / 2
    face = ((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 < 1
    above = y < MIDDLE[1] + fringe_to_cm * PX_PER_CM
    hair = ~face & (y < MIDDLE[1])
    picture = np.where((hair | above)[..., None], hair_colour, SKIN) + rng.normal(
        0, 4, (400, 400, 3)
    )
    return picture.clip(0, 255).astype(np.uint8), points, hair.astype(np.float32), above & face


def test_fringe_is_found_where_it_hangs() -> None:
    picture, points, hair, fringe = painted(-6.3, HAIR)
    found = find_fringe(picture, points, hair)
    edge = round(MIDDLE[1] - 6.3 * PX_PER_CM)
    core = np.zeros_like(fringe)
    core[round(points[:, 1].min()) + 4 : edge - 10, 150:250] = True
    assert core.sum() > 1000 and fringe[core].mean() > 0.5
    assert found[core].min() > 0.9
    assert found[edge + 12 :, 130:270].max() < 0.1


@pytest.mark.parametrize("colour", [SKIN, tuple(value - 8 for value in SKIN)])
def test_hair_like_skin_is_left_alone(colour: tuple[int, int, int]) -> None:
    picture, points, hair, _ = painted(-6.3, colour)
    assert find_fringe(picture, points, hair).max() == 0


def test_no_hair_no_fringe() -> None:
    picture, points, hair, _ = painted(-6.3, HAIR)
    assert find_fringe(picture, points, np.zeros_like(hair)).max() == 0


def test_brows_leave_the_astronauts_fringe_in_place() -> None:
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        avatar = load_avatar(path)
    renderer = LayeredRenderer()
    state = renderer.prepare(avatar)
    rest = renderer.render(state, motion_of({})).astype(int)
    raised = {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}
    change = np.abs(renderer.render(state, motion_of(raised)) - rest).mean(axis=2)
    x, y, width, height = avatar.meta.face_px
    left, top = round(x - avatar.meta.view_px[0]), round(y - avatar.meta.view_px[1])
    across = slice(left + round(0.3 * width), left + round(0.7 * width))
    fringe = change[top - round(0.1 * height) : top + round(0.05 * height), across]
    brows = change[top + round(0.17 * height) : top + round(0.32 * height), across]
    assert fringe.mean() < 0.1 * brows.mean()
