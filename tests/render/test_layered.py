"""The layered renderer: what must hold in every frame, whatever the portrait."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import ARKIT_NAMES, INDEX, neutral
from vasa_cam.render.framing import check_background
from vasa_cam.render.layered import LayeredRenderer, RenderConfig
from vasa_cam.render.poses import POSES, contact_sheet, motion_of

NEUTRAL = neutral()[0]


def draw(avatar: Avatar, motion: np.ndarray, **config: object) -> np.ndarray:
    renderer = LayeredRenderer(RenderConfig(**config))
    return renderer.render(renderer.prepare(avatar), motion)


def view_of(picture: np.ndarray, avatar: Avatar) -> np.ndarray:
    x, y, w, h = (round(value) for value in avatar.meta.view_px)
    return picture[y : y + h, x : x + w]


def openings_mask(avatar: Avatar, margin: int = 4) -> np.ndarray:
    """True in boxes around the eyes and the mouth of the view."""
    model = load_face_model()
    x, y, w, h = (round(value) for value in avatar.meta.view_px)
    mask = np.zeros((h, w), bool)
    for chain in (model.lip_upper, model.right_lid_upper, model.left_lid_upper):
        points = avatar.rest_px[chain, :2] - [x, y]
        reach = margin + 0.4 * np.ptp(points[:, 0])
        low = np.floor(points.min(0) - np.array([margin, reach])).astype(int)
        high = np.ceil(points.max(0) + np.array([margin, reach])).astype(int)
        mask[low[1] : high[1], low[0] : high[0]] = True
    return mask


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).mean(axis=2)


def test_neutral_motion_reproduces_the_photo(closed_avatars: list[Avatar]) -> None:
    for avatar in closed_avatars:
        *_, w, h = avatar.meta.view_px
        frame = draw(avatar, NEUTRAL, width=round(w), height=round(h))
        alpha = avatar.texture_rgba[..., 3:] / 255.0
        photo = avatar.texture_rgba[..., :3] * alpha + avatar.plate_rgb * (1.0 - alpha)
        error = difference(frame, view_of(np.rint(photo).astype(np.uint8), avatar))
        assert error[~openings_mask(avatar)].mean() < 1.0
        assert error.mean() < 1.0
        assert np.percentile(error, 99.9) < 12.0, "a halo or a misplaced edge"


def test_every_coefficient_shows(astronaut: Avatar) -> None:
    renderer = LayeredRenderer(RenderConfig(256, 256))
    state = renderer.prepare(astronaut)
    base = motion_of({"jawOpen": 0.3})
    rest = renderer.render(state, base)
    unseen = []
    for name in ARKIT_NAMES:
        motion = base.copy()
        motion[INDEX[name]] = 1.0
        changed = difference(renderer.render(state, motion), rest)
        if (changed > 12).sum() < 25:
            unseen.append(name)
    assert not unseen


@pytest.mark.parametrize(
    ("name", "upper", "lower"),
    [("eyeBlinkLeft", 0.0, 0.5), ("browInnerUp", 0.0, 0.5), ("mouthPucker", 0.45, 1.15)],
)
def test_coefficients_act_where_they_should(
    astronaut: Avatar, name: str, upper: float, lower: float
) -> None:
    """At least 90 % of the change lies in the named part of the face's height."""
    changed = difference(draw(astronaut, motion_of({name: 1.0})), draw(astronaut, NEUTRAL))
    scale = 512 / astronaut.meta.view_px[3]
    top = (astronaut.meta.face_px[1] - astronaut.meta.view_px[1]) * scale
    height = astronaut.meta.face_px[3] * scale
    rows = slice(int(top + upper * height), int(top + lower * height))
    assert changed[rows].sum() > 0.9 * changed.sum()


def test_left_is_the_subjects_left(astronaut: Avatar) -> None:
    changed = difference(
        draw(astronaut, motion_of({"eyeBlinkLeft": 1.0})), draw(astronaut, NEUTRAL)
    )
    x, _, width, _ = astronaut.meta.face_px
    middle = (x + width / 2 - astronaut.meta.view_px[0]) * 512 / astronaut.meta.view_px[2]
    assert changed[:, int(middle) :].sum() > 20 * changed[:, : int(middle)].sum()


def test_a_sealed_mouth_hides_the_open_jaw(closed_avatars: list[Avatar]) -> None:
    """ARKit: jawOpen = mouthClose keeps the lips together over a dropped jaw."""
    avatar = closed_avatars[0]
    renderer = LayeredRenderer()
    state = renderer.prepare(avatar)
    model = load_face_model()
    for opened in (0.2, 0.5):
        renderer.render(state, motion_of({"jawOpen": opened, "mouthClose": opened}))
        gap = ops.aperture(state.buffers.vertices, model.lip_upper, model.lip_lower)[5]
        renderer.render(state, motion_of({"jawOpen": opened}))
        wide = ops.aperture(state.buffers.vertices, model.lip_upper, model.lip_lower)[5]
        assert gap < 0.12 * wide


def test_the_background_stands_still(closed_avatars: list[Avatar]) -> None:
    avatar = closed_avatars[0]
    frames = [draw(avatar, motion_of(pose)) for pose in ({}, {"ry": 10.0}, {"rz": -8.0})]
    outside = view_of(avatar.texture_rgba, avatar)[..., 3] == 0
    far = ndimage.distance_transform_edt(outside) > 60.0
    assert far.sum() > 500
    for frame in frames[1:]:
        assert np.array_equal(frame[far], frames[0][far])


@pytest.mark.parametrize("distance", [0.8, 0.95, 1.03, 1.1, 1.2])
def test_the_whole_person_goes_away(closed_avatars: list[Avatar], distance: float) -> None:
    """The eyes come together as a pinhole camera says; shoulders shrink with the head."""
    avatar = closed_avatars[0]
    renderer = LayeredRenderer()
    state = renderer.prepare(avatar)
    vertices = state.buffers.vertices
    body = np.flatnonzero(avatar.rigid_weight < 0.01)
    left, right = body[np.argmin(avatar.rest_px[body, 0])], body[np.argmax(avatar.rest_px[body, 0])]
    widths = []
    for away in (0.0, distance - 1.0):
        motion = neutral()[0]
        motion[57] = away * avatar.meta.focal_px / avatar.meta.iod_px
        renderer.render(state, motion)
        eyes = np.linalg.norm(vertices[263, :2] - vertices[33, :2])
        widths.append((eyes, vertices[right, 0] - vertices[left, 0]))
    (eyes, shoulders), (far_eyes, far_shoulders) = widths
    assert far_eyes / eyes == pytest.approx(1.0 / distance, rel=0.015)
    assert far_shoulders / shoulders == pytest.approx(1.0 / distance, rel=0.06)


def test_motion_is_smooth(astronaut: Avatar) -> None:
    """Small steps of motion make small, even changes: nothing pops, nothing flickers."""
    renderer = LayeredRenderer()
    state = renderer.prepare(astronaut)
    sweep = [
        motion_of({"ry": 12 * t, "jawOpen": 0.5 * t, "eyeBlinkLeft": t, "eyeBlinkRight": t})
        for t in np.linspace(0.0, 1.0, 121)
    ]
    frames = [renderer.render(state, motion).astype(np.int16) for motion in sweep]
    steps = np.array([np.abs(b - a).mean() for a, b in pairwise(frames)])
    assert steps.max() < 2.5 * np.median(steps)
    worst = max(np.abs(b - a).mean(axis=2).max() for a, b in pairwise(frames))
    assert worst < 110, "a pixel jumped by more than a moving edge explains"


def test_frames_are_reproducible(astronaut: Avatar) -> None:
    motion = motion_of(POSES["ee"])
    first = draw(astronaut, motion, width=320, height=256)
    again = draw(astronaut, motion, width=320, height=256)
    assert np.array_equal(first, again)
    ops.set_num_threads(1)
    assert np.array_equal(first, draw(astronaut, motion, width=320, height=256))


def test_out_is_written_and_returned(astronaut: Avatar) -> None:
    renderer = LayeredRenderer(RenderConfig(256, 256))
    state = renderer.prepare(astronaut)
    out = np.empty((256, 256, 3), np.uint8)
    assert renderer.render(state, NEUTRAL, out) is out
    assert np.array_equal(out, renderer.render(state, NEUTRAL))


def test_wrong_motion_is_refused(astronaut: Avatar) -> None:
    renderer = LayeredRenderer(RenderConfig(256, 256))
    state = renderer.prepare(astronaut)
    for motion in (np.zeros(57, np.float32), np.full(58, np.nan, np.float32)):
        with pytest.raises(ValueError, match="58 finite numbers"):
            renderer.render(state, motion)


@pytest.mark.parametrize("size", [(96, 96), (640, 360), (360, 640), (1280, 720), (1920, 1080)])
def test_any_size_shows_the_face(astronaut: Avatar, size: tuple[int, int]) -> None:
    frame = draw(astronaut, NEUTRAL, width=size[0], height=size[1])
    assert frame.shape == (size[1], size[0], 3)
    side = min(size)
    left = (size[0] - side) // 2
    square = frame[size[1] - side :, left : left + side]
    reference = draw(astronaut, NEUTRAL, width=side, height=side)
    assert difference(square, reference).mean() < 2.0


def test_transparent_background_gives_alpha(astronaut: Avatar) -> None:
    frame = draw(astronaut, NEUTRAL, background="transparent")
    assert frame.shape == (512, 512, 4)
    x, y, w, h = (round(v) for v in astronaut.meta.face_px)
    left = round(x + w / 2 - astronaut.meta.view_px[0])
    top = round(y + h / 2 - astronaut.meta.view_px[1])
    assert frame[top, left, 3] == 255
    assert frame[2, 2, 3] == 0


def test_backgrounds(astronaut: Avatar, tmp_path: object) -> None:
    colour = draw(astronaut, NEUTRAL, background="#204080")
    assert tuple(colour[2, 2]) == (0x20, 0x40, 0x80)
    photo = draw(astronaut, NEUTRAL, background="photo")
    blur = draw(astronaut, NEUTRAL, background="blur")
    edges = [np.abs(np.diff(f[:200, :60].astype(int), axis=0)).mean() for f in (photo, blur)]
    assert edges[1] < 0.5 * edges[0]
    for refused in (check_background, lambda choice: draw(astronaut, NEUTRAL, background=choice)):
        with pytest.raises(InputError, match="background must be"):
            refused("nowhere.png")


def test_contact_sheet_holds_every_pose(astronaut: Avatar) -> None:
    sheet = contact_sheet(astronaut, size_px=96, columns=5)
    assert sheet.shape == (-(-len(POSES) // 5) * 96, 5 * 96, 3)
    corners = [(x, y) for y in range(0, sheet.shape[0], 96) for x in range(0, 480, 96)]
    tiles = [sheet[y : y + 96, x : x + 96] for x, y in corners[: len(POSES)]]
    rest = tiles[0][:85].astype(int)
    assert all(np.abs(tile[:85] - rest).mean() > 0.1 for tile in tiles[1:])
