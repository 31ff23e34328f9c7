"""Panic: each mode shows what it says, at once, whatever else is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from live_support import MemorySink, astronaut, wait_until

from vasa_cam.live.metrics import Metrics
from vasa_cam.live.panic import PanicScreen
from vasa_cam.live.real_camera import RealCamera
from vasa_cam.live.scene import LayeredScene, PhotoScene, SceneConfig
from vasa_cam.live.scene_keeper import SceneKeeper
from vasa_cam.motion.space import neutral

WIDTH, HEIGHT = 96, 64


def keeper(makers=(LayeredScene, PhotoScene)) -> SceneKeeper:
    return SceneKeeper(astronaut(), SceneConfig(WIDTH, HEIGHT), Metrics(), makers)


def screen(device: str | None = None, input_format: str | None = None) -> PanicScreen:
    return PanicScreen(RealCamera(WIDTH, HEIGHT, device, input_format))


def draw(panic: PanicScreen, scenes: SceneKeeper, alpha: bool = False):
    rgb = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    rgba = np.full((HEIGHT, WIDTH, 4), 77, np.uint8) if alpha else None
    return panic.draw(scenes, rgb, rgba, 0), rgb, rgba


def test_freeze_leaves_the_last_frame() -> None:
    panic = screen()
    panic.enter("freeze")
    done, rgb, _ = draw(panic, keeper())
    assert not done and (rgb == 77).all()


def test_photo_is_the_neutral_drawing() -> None:
    panic, scenes = screen(), keeper()
    panic.enter("photo")
    done, rgb, _ = draw(panic, scenes)
    wanted = np.zeros_like(rgb)
    scenes.draw(neutral()[0], wanted, None, 0)
    assert done
    np.testing.assert_array_equal(rgb, wanted)


def test_black_is_black_and_opaque() -> None:
    panic = screen()
    panic.enter("black")
    done, rgb, rgba = draw(panic, keeper(), alpha=True)
    assert done and not rgb.any() and rgba is not None
    assert not rgba[..., :3].any() and (rgba[..., 3] == 255).all()


def test_photo_with_a_broken_renderer_is_black_rather_than_live() -> None:
    class Broken:
        def __init__(self, avatar, config) -> None: ...

        def draw(self, motion, rgb, rgba) -> None:
            raise RuntimeError

    panic = screen()
    panic.enter("photo")
    done, rgb, _ = draw(panic, keeper((Broken,)))
    assert done and not rgb.any()


def test_the_real_camera_fills_the_frame() -> None:
    """FFmpeg's test picture stands in for a camera: the same reader, another input format."""
    panic, scenes = screen("testsrc=size=320x240:rate=30", "lavfi"), keeper()
    panic.enter("real-camera")
    wait_until(lambda: bool(draw(panic, scenes)[1].any()))
    _, rgb, rgba = draw(panic, scenes, alpha=True)
    assert len(np.unique(rgb.reshape(-1, 3), axis=0)) > 50
    assert rgb[:, 0].any() and rgb[:, -1].any() and rgb[0].any() and rgb[-1].any()
    assert rgba is not None and (rgba[..., :3] == rgb).all() and (rgba[..., 3] == 255).all()
    assert panic.problem == ""
    panic.leave()
    assert panic.mode is None
    panic.enter("real-camera")  # at once again, while the reader may still be at work
    wait_until(lambda: bool(draw(panic, scenes)[1].any()))
    panic.leave()


def test_without_a_camera_it_is_black_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    panic, scenes = screen(str(tmp_path / "video9")), keeper()
    panic.enter("real-camera")
    done, rgb, _ = draw(panic, scenes)
    assert done and not rgb.any()
    wait_until(lambda: panic.problem != "")
    assert "video9" in panic.problem and "black" in panic.problem
    assert not draw(panic, scenes)[1].any()
    panic.enter("black")
    assert panic.problem == ""


def test_toggle_enters_and_leaves() -> None:
    panic = screen()
    panic.toggle("black")
    assert panic.mode == "black"
    panic.toggle("photo")
    assert panic.mode is None
    assert MemorySink().opened == 0
