"""What is drawn, swapped and fallen back to."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from live_support import ASSETS, MS, SECOND, astronaut, wait_until

from vasa_cam.avatar.file import Avatar, load_avatar
from vasa_cam.errors import InputError
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.scene import LayeredScene, PhotoScene, SceneConfig, fade
from vasa_cam.live.scene_keeper import FADE_NS, SceneKeeper
from vasa_cam.motion.space import INDEX, neutral
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

SIZE = (96, 64)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return astronaut()


def open_mouth() -> np.ndarray:
    motion = neutral()[0]
    motion[INDEX["jawOpen"]] = 0.6
    return motion


def blank(alpha: bool = False, size: tuple[int, int] = SIZE):
    shape = (size[1], size[0])
    return np.zeros((*shape, 3), np.uint8), np.zeros((*shape, 4), np.uint8) if alpha else None


def drawn(scene, motion: np.ndarray, alpha: bool = False, size: tuple[int, int] = SIZE):
    rgb, rgba = blank(alpha, size)
    scene.draw(motion, rgb, rgba)
    return rgb, rgba


def test_rgb_and_rgba_show_the_same_person(avatar: Avatar) -> None:
    config = SceneConfig(*SIZE, "#204080", alpha=True)
    rgb, rgba = drawn(LayeredScene(avatar, config), open_mouth(), True)
    plain = LayeredRenderer(RenderConfig(*SIZE, "#204080"))
    direct = plain.render(plain.prepare(avatar), open_mouth())
    assert np.abs(rgb.astype(int) - direct).mean() < 0.5
    assert rgba is not None and rgba[0, 0, 3] == 0 and rgba[-1, SIZE[0] // 2, 3] == 255
    inside = rgba[..., 3] == 255
    assert np.abs(rgb[inside].astype(int) - rgba[inside][:, :3]).max() <= 1


def test_without_rgba_the_same_picture_is_drawn(avatar: Avatar) -> None:
    scene = LayeredScene(avatar, SceneConfig(*SIZE, "#204080", alpha=True))
    both, _ = drawn(scene, open_mouth(), True)
    alone, _ = drawn(scene, open_mouth())
    assert (
        np.abs(both.astype(int) - alone).max() <= 6
        and np.abs(both.astype(int) - alone).mean() < 0.5
    )


def test_transparent_without_alpha_shows_the_photos_wall(avatar: Avatar) -> None:
    clear, _ = drawn(LayeredScene(avatar, SceneConfig(*SIZE, "transparent")), neutral()[0])
    photo, _ = drawn(LayeredScene(avatar, SceneConfig(*SIZE, "photo")), neutral()[0])
    np.testing.assert_array_equal(clear, photo)


@pytest.mark.parametrize("size", [(512, 512), (1280, 720), (200, 300)])
@pytest.mark.parametrize("background", ["photo", "#204080"])
def test_the_photo_lies_where_the_drawing_lies(avatar: Avatar, size, background: str) -> None:
    config = SceneConfig(*size, background, alpha=True)
    photo, alpha = drawn(PhotoScene(avatar, config), open_mouth(), True, size)
    scene, scene_alpha = drawn(LayeredScene(avatar, config), neutral()[0], True, size)
    difference = np.abs(photo.astype(int) - scene).mean()
    assert difference < 2.0  # the mouth: the photo smiles with teeth, the neutral frame does not
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        assert np.abs(np.roll(photo, step, axis).astype(int) - scene).mean() > 1.3 * difference
    assert np.abs(alpha[..., 3].astype(int) - scene_alpha[..., 3]).mean() < 1.0


def test_a_fade_goes_from_one_to_the_other(rng: np.random.Generator) -> None:
    for channels in (3, 4):
        over, under = rng.integers(0, 256, (2, 20, 20, channels), np.uint8)
        results = []
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            results.append(under.copy())
            fade(over, results[-1], part)
        opaque = np.ones((20, 20), bool) if channels == 3 else under[..., 3] > 2
        assert np.abs(results[0][opaque].astype(int) - under[opaque]).max() <= 2
        opaque = np.ones((20, 20), bool) if channels == 3 else over[..., 3] > 2
        assert np.abs(results[-1][opaque].astype(int) - over[opaque]).max() <= 2
        for result, part in zip(results, (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
            wanted = under[..., -1] + part * (over[..., -1].astype(float) - under[..., -1])
            assert np.abs(result[..., -1] - wanted).max() <= 2


def test_a_fade_of_alpha_does_not_darken() -> None:
    """A red person fades to nothing: red to the end."""
    red = np.zeros((4, 4, 4), np.uint8)
    red[..., 0] = red[..., 3] = 255
    nothing = np.zeros((4, 4, 4), np.uint8)
    fade(nothing, red, 0.6)
    assert (red[..., 0] >= 254).all() and (red[..., 3] == 102).all()


class Way:
    """A way of drawing that a test can break; draws with the real renderer."""

    def __init__(self, make=LayeredScene) -> None:
        self.error: Exception | None = None
        self.make_error: Exception | None = None
        self._make = make

    def __call__(self, avatar: Avatar, config: SceneConfig):
        if self.make_error is not None:
            raise self.make_error
        scene = self._make(avatar, config)
        way = self

        class Breakable:
            def draw(self, motion, rgb, rgba) -> None:
                if way.error is not None:
                    raise way.error
                scene.draw(motion, rgb, rgba)

        return Breakable()


class Bench:
    def __init__(self, avatar: Avatar, ways) -> None:
        self.metrics = Metrics()
        self.keeper = SceneKeeper(avatar, SceneConfig(*SIZE), self.metrics, ways)
        self.keeper.start()
        self.now_ns = 1000 * SECOND

    def draw(self, motion: np.ndarray | None = None) -> np.ndarray | None:
        self.now_ns += 25 * MS
        rgb, _ = blank()
        done = self.keeper.draw(neutral()[0] if motion is None else motion, rgb, None, self.now_ns)
        return rgb if done else None


@pytest.fixture
def bench(avatar: Avatar):
    benches: list[Bench] = []

    def make(*ways) -> Bench:
        benches.append(Bench(avatar, ways or (LayeredScene, PhotoScene)))
        return benches[-1]

    yield make
    for one in benches:
        one.keeper.stop()


def mirrored(avatar: Avatar) -> Avatar:
    """Another avatar that is easy to tell apart: the same one, darker."""
    from dataclasses import replace

    texture = avatar.texture_rgba.copy()
    texture[..., :3] //= 3
    meta = replace(avatar.meta, name="dark")
    return replace(avatar, texture_rgba=texture, plate_rgb=avatar.plate_rgb // 3, meta=meta)


def test_an_avatar_is_swapped_by_a_fade_without_a_gap(bench, avatar: Avatar) -> None:
    one = bench()
    before = one.draw()
    gate = threading.Event()

    def slow() -> Avatar:
        gate.wait(20.0)
        return mirrored(avatar)

    one.keeper.show(open_avatar=slow)
    for _ in range(20):
        np.testing.assert_array_equal(one.draw(), before)
    gate.set()
    wait_until(lambda: one.keeper._ready.depth == 1)
    brightness = []
    for _ in range(FADE_NS // (25 * MS) + 3):
        picture = one.draw()
        assert picture is not None
        brightness.append(float(picture.mean()))
    assert brightness[0] == pytest.approx(float(before.mean()), rel=0.02)
    assert (np.diff(brightness) <= 0.1).all() and np.abs(np.diff(brightness)).max() < 12
    assert brightness[-1] == pytest.approx(float(before.mean()) / 3, rel=0.05)
    assert one.keeper.avatar_name == "dark"
    alone = SceneKeeper(mirrored(avatar), SceneConfig(*SIZE), Metrics())
    rgb, _ = blank()
    alone.draw(neutral()[0], rgb, None, 0)
    np.testing.assert_array_equal(one.draw(), rgb)


def test_background_and_avatar_do_not_undo_one_another(bench, avatar: Avatar) -> None:
    one = bench()
    one.draw()
    one.keeper.show(background="#ff0000")
    one.keeper.show(open_avatar=lambda: mirrored(avatar))
    wait_until(lambda: not one.keeper.busy)
    for _ in range(40):
        one.draw()
    assert one.keeper.avatar_name == "dark" and one.keeper.background == "#ff0000"
    corner = one.draw()[0, 0]
    assert corner[0] > 240 and corner[1] < 15


def test_what_cannot_be_shown_leaves_the_picture_as_it_is(bench, tmp_path, caplog) -> None:
    one = bench()
    before = one.draw()
    (tmp_path / "broken.vasa").write_bytes(b"no avatar")
    one.keeper.show(open_avatar=lambda: load_avatar(tmp_path / "broken.vasa"))
    wait_until(lambda: not one.keeper.busy)
    assert "broken.vasa" in one.keeper.problem
    np.testing.assert_array_equal(one.draw(), before)
    one.keeper.show(background="#00ff00")  # and the next wish does not ask for the broken one again
    wait_until(lambda: not one.keeper.busy)
    for _ in range(40):
        one.draw()
    assert one.draw()[0, 0, 1] > 240


def test_one_failure_leaves_out_one_picture(bench, caplog) -> None:
    way = Way()
    one = bench(way, PhotoScene)
    before = one.draw()
    way.error = RuntimeError("once")
    assert one.draw() is None
    way.error = None
    np.testing.assert_array_equal(one.draw(), before)
    assert one.metrics.counter("render_failures") == 1 and one.keeper.level == 0


def test_a_renderer_that_keeps_failing_is_replaced_by_the_photo(bench, avatar: Avatar, caplog):
    way = Way()
    one = bench(way, PhotoScene)
    one.draw()
    way.error = RuntimeError("driver lost")
    wait_until(lambda: one.draw() is not None)
    assert one.keeper.level == 1
    assert "driver lost" in one.keeper.problem
    photo, _ = drawn(PhotoScene(avatar, SceneConfig(*SIZE)), neutral()[0])
    np.testing.assert_array_equal(one.draw(open_mouth()), photo)
    assert one.metrics.counter("render_failures") >= 3


def test_a_gpu_that_fails_gives_way_to_the_cpu(bench, caplog) -> None:
    """The chain as it is with a GPU: its way first, then the CPU's, then the photo."""
    gpu = Way()
    one = bench(gpu, LayeredScene, PhotoScene)
    before = one.draw(open_mouth())
    gpu.error = RuntimeError("CUDA error 700: an illegal memory access was encountered")
    wait_until(lambda: one.draw() is not None)
    assert one.keeper.level == 1
    np.testing.assert_array_equal(one.draw(open_mouth()), before)


def test_every_second_picture_failing_is_too_much(bench, caplog) -> None:
    way = Way()
    one = bench(way, PhotoScene)

    def both() -> bool:
        way.error = RuntimeError("flaky") if way.error is None else None
        one.draw()
        return one.keeper.level == 1

    wait_until(both)


def test_a_way_that_cannot_even_begin_is_passed_over(bench, avatar: Avatar, caplog) -> None:
    way = Way()
    way.make_error = MemoryError("no GPU memory")
    one = bench(way, PhotoScene)
    assert one.keeper.level == 1 and one.draw() is not None


def test_a_bad_background_is_an_error_at_the_start(avatar: Avatar) -> None:
    with pytest.raises(InputError, match="background"):
        SceneKeeper(avatar, SceneConfig(*SIZE, "no-such-thing"), Metrics())


def test_a_new_scene_that_fails_is_left_out(bench, avatar: Avatar, caplog) -> None:
    way = Way()
    one = bench(way, PhotoScene)
    before = one.draw()
    one.keeper.show(open_avatar=lambda: mirrored(avatar))
    wait_until(lambda: one.keeper._ready.depth == 1)
    first = one.draw()
    assert first is not None
    way.error = RuntimeError("once")
    assert one.draw() is None
    way.error = None
    np.testing.assert_array_equal(one.draw(), before)


def test_assets_are_where_the_tests_think() -> None:
    assert (ASSETS / "astronaut.vasa").is_file()
