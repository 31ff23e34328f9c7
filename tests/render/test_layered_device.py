"""The frame that stays on a device is the renderer's own."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.avatar.file import load_avatar
from vasa_cam.motion.space import INDEX, MOTION_SIZE, ROTATION, neutral
from vasa_cam.render.layered import LayeredRenderer, LayeredState, RenderConfig
from vasa_cam.render.layered_device import DeviceFrames

SIDE = 256


@pytest.fixture(scope="module")
def state() -> LayeredState:
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        return LayeredRenderer(RenderConfig(SIDE, SIDE)).prepare(load_avatar(path))


def motions() -> list[np.ndarray]:
    """At rest, mouth wide open, lips apart by a hair, and everything at random."""
    rng = np.random.default_rng(3)
    still, wide, narrow = neutral(3)
    wide[INDEX["jawOpen"]] = 1.0
    narrow[INDEX["jawOpen"]] = 0.02
    wide[ROTATION] = (0.1, -0.2, 0.05)
    random = np.clip(rng.normal(0, 0.4, MOTION_SIZE), -1, 1).astype(np.float32)
    return [still, wide, narrow, random]


def test_the_same_bytes_as_the_renderer(state: LayeredState) -> None:
    """On the CPU, where both run the same ops; the lips alone decide where the mouth is."""
    frames = DeviceFrames(state, ("cpu", 0), np.array)
    renderer = LayeredRenderer(RenderConfig(SIDE, SIDE))
    drawn = []
    for motion in motions():
        found = frames.draw(motion).copy()
        expected = ops.pixel(renderer.render(state, motion), "i420")
        np.testing.assert_array_equal(found, expected)
        drawn.append(found)
    assert not any(np.array_equal(drawn[0], other) for other in drawn[1:])


@pytest.mark.cuda
def test_on_a_gpu(state: LayeredState) -> None:
    import cupy

    frames: Any = DeviceFrames(state, ("cuda", 0), cupy.asarray)
    renderer = LayeredRenderer(RenderConfig(SIDE, SIDE))
    for motion in motions():
        expected = ops.pixel(renderer.render(state, motion), "i420").astype(int)
        away = np.abs(cupy.asnumpy(frames.draw(motion)).astype(int) - expected)
        # The ops' own tolerances: lookups by 2 levels, edges to either side.
        assert (away > 3).mean() < 5e-3
