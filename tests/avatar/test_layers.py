"""Fill, extension, colour split and glasses on pictures whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vasa_cam.avatar.detect import detect_faces
from vasa_cam.avatar.extend import extend_alpha, extend_background, extend_person
from vasa_cam.avatar.glasses import find_frame, split_glasses
from vasa_cam.avatar.image import load_image
from vasa_cam.avatar.patch_fill import fill_hole
from vasa_cam.avatar.plate import fill_plate, split_colours
from vasa_cam.avatar.spread import spread_colours


def bricks(height: int = 256, width: int = 320) -> np.ndarray:
    """A wall with a period of 32 x 24 px and a little grain."""
    rows, columns = np.mgrid[:height, :width]
    shifted = columns + 16 * ((rows // 24) % 2)
    mortar = (rows % 24 < 4) | (shifted % 32 < 4)
    grain = np.random.default_rng(3).normal(0, 4, (height, width))
    wall = np.where(mortar, 190.0, 110.0) + grain
    return np.clip(np.dstack([wall, wall * 0.7, wall * 0.6]), 0, 255).astype(np.uint8)


def disc(shape: tuple[int, ...], x: float, y: float, radius: float, soft: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.clip((radius - np.hypot(columns - x, rows - y)) / soft + 0.5, 0, 1).astype(np.float32)


def test_texture_goes_on_behind_a_hole() -> None:
    """In a band of 20 px the fill is nearer to the true wall than a smooth fill by far."""
    wall = bricks()
    hole = disc(wall.shape, 160, 128, 70, 1) > 0.5
    covered = np.where(hole[..., None], np.uint8(0), wall)
    filled = fill_hole(covered, hole, np.ones_like(hole), hole)
    np.testing.assert_array_equal(filled[~hole], wall[~hole])
    band = hole & (disc(wall.shape, 160, 128, 50, 1) < 0.5)
    smooth = spread_colours(wall.astype(np.float32), (~hole).astype(np.float32))
    error = np.abs(filled.astype(float) - wall)[band].mean()
    smooth_error = np.abs(smooth - wall)[band].mean()
    assert error < 0.4 * smooth_error, (error, smooth_error)
    assert filled[band].std() > 0.9 * wall[band].std()
    again = fill_hole(covered, hole, np.ones_like(hole), hole)
    np.testing.assert_array_equal(again, filled)


def test_fill_takes_nothing_from_unusable_pixels() -> None:
    wall = bricks()
    wall[:, :40] = (0, 255, 0)
    usable = np.ones(wall.shape[:2], bool)
    usable[:, :40] = False
    hole = disc(wall.shape, 90, 128, 45, 1) > 0.5
    filled = fill_hole(wall, hole, usable, hole)
    inner = filled[disc(wall.shape, 110, 128, 20, 1) > 0.5].astype(int)
    assert (inner[:, 1] - inner[:, 0]).max() < 60


@pytest.mark.parametrize("known", [0, 3])
def test_fill_without_any_texture_to_take(known: int) -> None:
    hole = np.ones((40, 50), bool)
    hole[:known, :known] = False
    picture = np.full((40, 50, 3), 77, np.uint8)
    filled = fill_hole(picture, hole, ~hole, hole)
    assert filled.shape == picture.shape
    if known:
        assert np.abs(filled.astype(int) - 77).max() <= 1


def test_spread_keeps_what_is_known_and_stays_in_range() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(20, 200, (61, 47, 3)).astype(np.float32)
    weight = (rng.uniform(size=(61, 47)) > 0.9).astype(np.float32)
    spread = spread_colours(image, weight)
    np.testing.assert_allclose(spread[weight == 1], image[weight == 1], atol=1e-3)
    assert spread.min() >= image[weight == 1].min() - 1e-2
    assert spread.max() <= image[weight == 1].max() + 1e-2
    assert not spread_colours(image, np.zeros_like(weight)).any()


def test_split_colours_recovers_person_and_reproduces_the_photo() -> None:
    """A dark disc with a soft edge before a bright wall: known colours, known alpha."""
    wall = bricks()
    alpha = disc(wall.shape, 160, 128, 70, 8)
    truth = np.full(wall.shape, (40, 30, 25), np.uint8)
    a = alpha[..., None]
    photo = np.round(truth * a + wall * (1 - a)).astype(np.uint8)
    inside = np.ones(alpha.shape, bool)
    plate = fill_plate(photo, alpha, inside, 140.0)
    person, opaque, behind = split_colours(photo, alpha, plate)
    b = opaque[..., None]
    rest = np.round(person * b + behind * (1 - b))
    assert np.abs(rest - photo).mean() < 0.5
    assert np.abs(person.astype(float) - truth)[alpha > 0.3].mean() < 12
    shifted = np.roll(b, 12, 1)
    moved = np.roll(person, 12, 1) * shifted + behind * (1 - shifted)
    true_shift = np.roll(a, 12, 1)
    expected = np.roll(truth, 12, 1) * true_shift + wall * (1 - true_shift)
    revealed = (alpha > 0.5) & (np.roll(alpha, 12, 1) < 0.5)
    assert (moved - expected)[revealed].mean() > -3, "something of the dark disc stayed behind"
    assert np.abs(moved - expected)[~revealed].mean() < 3


def test_a_head_cut_at_the_top_closes_to_a_dome() -> None:
    whole = disc((300, 240, 1), 120, 100, 80, 2)
    cut, top = 40, 60
    extended = extend_alpha(whole[cut:], (top, 10, 0, 0))
    assert extended.shape == (260 + 70, 240)
    np.testing.assert_array_equal(extended[top:-10], whole[cut:])
    expected = whole[cut - 20 : cut]  # the true circle goes on for 20 rows
    assert np.abs(extended[top - 20 : top] - expected).mean() < 0.07
    widths = (extended[: top + 1] > 0.5).sum(1)
    assert (np.diff(widths) >= 0).all()
    assert widths[0] == 0


def test_the_bottom_goes_on_straight() -> None:
    alpha = np.zeros((50, 60), np.float32)
    alpha[30:, 20:40] = 1
    extended = extend_alpha(alpha, (0, 8, 5, 9))
    np.testing.assert_array_equal(extended[-8:, 5:65], np.repeat(alpha[-1:], 8, 0))
    assert not extended[:, :5].any()
    assert not extended[:, -9:].any()


@pytest.mark.parametrize("flip", [False, True])
def test_shoulders_cut_at_a_side_fall_outwards(flip: bool) -> None:
    rows, columns = np.mgrid[:200, :120]
    alpha = np.clip(rows - (80 + 0.5 * columns), 0, 1).astype(np.float32)
    alpha[:, :10] = 0
    given = alpha[:, ::-1] if flip else alpha
    extended = extend_alpha(given, (0, 0, 40, 0) if flip else (0, 0, 0, 40))
    extended = extended[:, ::-1] if flip else extended
    np.testing.assert_array_equal(extended[:, :120], alpha)
    tops = [int(np.argmax(extended[:, column] > 0.5)) for column in range(100, 150)]
    assert (np.diff(tops) >= 0).all()
    assert abs(tops[25] - (80 + 0.5 * 125)) < 8  # goes on with the slope it had


def test_extension_without_borders_changes_nothing() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (20, 30, 3)).astype(np.float32)
    for extended in (extend_background(image, (0,) * 4), extend_person(image, (0,) * 4)):
        np.testing.assert_array_equal(extended, image)


def test_background_goes_on_without_streaks() -> None:
    """Beyond the edge rows differ from one another, and detail fades outwards."""
    wall = bricks().astype(np.float32)
    extended = extend_background(wall, (60, 0, 0, 0))
    np.testing.assert_array_equal(extended[60:], wall)
    assert np.abs(extended[40:60] - extended[59:60]).mean() > 10
    assert extended[:15].std() < 0.8 * extended[45:60].std()
    assert abs(extended[:60].mean() - wall.mean()) < 10


def with_frame(rgb: np.ndarray, points: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """A dark frame drawn around the eyes; the picture and the frame's coverage."""
    right, left = (points[list(pair), :2].mean(0) for pair in ((33, 133), (362, 263)))
    span = float(np.hypot(*(left - right)))
    mask = Image.new("L", (4 * rgb.shape[1], 4 * rgb.shape[0]))
    draw = ImageDraw.Draw(mask)
    line = round(4 * width * span)
    for x, y in (right, left):
        box = [x - 0.4 * span, y - 0.26 * span, x + 0.4 * span, y + 0.36 * span]
        draw.ellipse([4 * value for value in box], outline=255, width=line)
    middle = (right + left) / 2
    bridge = [middle[0] - 0.13 * span, middle[1], middle[0] + 0.13 * span, middle[1]]
    draw.line([4 * value for value in bridge], 255, line)
    cover = np.asarray(mask.resize(rgb.shape[1::-1], Image.Resampling.BOX)) / 255.0
    frame = np.array([28, 22, 20])
    drawn = rgb * (1 - cover[..., None]) + frame * cover[..., None]
    return np.round(drawn).astype(np.uint8), cover


@pytest.mark.parametrize("name", ["male-white-0", "female-black-0", "male-latino-2"])
def test_a_drawn_frame_is_split_off_and_painted_out(shared: Path, name: str) -> None:
    photo = load_image(shared / "data/portraits/generated" / f"{name}.jpg").rgb
    points = detect_faces(photo, shared / "models")[0].landmarks_px
    drawn, cover = with_frame(photo, points, 0.06)
    glasses, bare = split_glasses(drawn, points)
    assert glasses.shape == (*photo.shape[:2], 4)
    found = glasses[..., 3] > 127
    assert found[cover > 0.9].mean() > 0.9
    assert found[cover == 0].mean() < 0.02
    a = glasses[..., 3:] / 255.0
    together = glasses[..., :3] * a + bare * (1 - a)
    assert np.abs(together - drawn).mean() < 0.2
    before = np.abs(drawn.astype(float) - photo)[cover > 0.5].mean()
    assert np.abs(bare.astype(float) - photo)[cover > 0.5].mean() < 0.35 * before


def test_no_glasses_are_seen_where_there_are_none(shared: Path) -> None:
    """Every fourth generated portrait, and three rimless pairs that stay in the skin by design."""
    folder = shared / "data/portraits/generated"
    rimless = [
        folder / f"{name}.jpg" for name in ("male-asian-2", "male-asian-4", "female-latino-2")
    ]
    for path in [*sorted(folder.glob("*.jpg"))[::4], *rimless]:
        photo = load_image(path).rgb
        points = detect_faces(photo, shared / "models")[0].landmarks_px
        assert find_frame(photo, points) is None, path.name
