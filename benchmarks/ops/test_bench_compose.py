"""The compose ops against NumPy: `compose_over` as one would write it, eyes and mouth against the
reference (there is no library that draws them)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contender import benchmark_against

from vasa_cam import ops
from vasa_cam.ops import reference_compose

SIZE = 512


def portrait_layer(size: int) -> np.ndarray:
    """An ellipse of noise with a soft rim, uint8 [size, size, 4]."""
    layer = np.random.default_rng(0).integers(0, 256, (size, size, 4), dtype=np.uint8)
    y, x = np.mgrid[0:size, 0:size] / size
    away = np.hypot((x - 0.5) / 0.43, (y - 0.53) / 0.51)
    layer[..., 3] = np.clip((1 - away) * 60, 0, 1) * 255
    return layer


def lens(length: float, rise: float, fall: float) -> np.ndarray:
    """The aperture of an opening from (60, 60) to the right."""
    s = np.linspace(0, 1, 33)
    upper = np.stack([60 + length * s, 60 - rise * np.sin(np.pi * s)], 1)
    lower = np.stack([60 + length * s, 60 + fall * np.sin(np.pi * s)], 1)
    points = np.concatenate([upper, lower])
    vertices = np.concatenate([points, np.zeros((66, 1))], 1).astype(np.float32)
    chain = np.arange(33, dtype=np.int32)
    return ops.aperture(vertices, chain, chain + np.int32(33))


def over_numpy(background: np.ndarray, layer: np.ndarray, out: np.ndarray) -> None:
    alpha = layer[..., 3:].astype(np.uint16)
    mixed = layer[..., :3] * alpha + background * (255 - alpha) + 127
    np.floor_divide(mixed, 255, out=out, casting="unsafe")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [SIZE, 1080])
def test_compose_over(benchmark: Any, size: int, threads: int) -> None:
    layer = portrait_layer(size)
    background = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    out, theirs = np.empty_like(background), np.empty_like(background)
    ops.set_num_threads(threads)
    ops.compose_over(background, layer, out=out)
    over_numpy(background, layer, theirs)
    assert np.abs(out.astype(int) - theirs).max() <= 1
    benchmark_against(
        benchmark,
        lambda: ops.compose_over(background, layer, out=out),
        lambda: over_numpy(background, layer, theirs),
        "NumPy in 16-bit integers",
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_eyes_and_mouth(benchmark: Any, threads: int) -> None:
    """Two eyes of 45 px, looking aside, half shut, and a mouth of 90 x 45 px: a face at 512."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    sclera = rng.integers(0, 256, (60, 85, 3), dtype=np.uint8)
    iris, interior = (rng.integers(0, 256, (*s, 4), dtype=np.uint8) for s in ((60, 85), (50, 95)))
    lid = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
    rest = lens(45, 9, 10)
    rest[:2] -= (40, 30)
    eye = ops.EyeParams((1, 0, -40, 0, 1, -30), rest, (42, 30), 10.0, 20.0, gaze_rad=(0.3, 0.1))
    mouth = ops.MouthParams(cavity_rgb=(60, 20, 20), px_per_cm=17.0)
    half_shut, wide = lens(45, 3, 9), lens(90, 12, 33)
    ops.set_num_threads(threads)

    def draw(module: Any) -> None:
        for gaze in (0.3, 0.25):
            params = replace(eye, gaze_rad=(gaze, 0.1))
            module.compose_eye(frame, half_shut, params, sclera, iris, lid)
        module.compose_mouth(frame, wide, mouth, interior, (58, 45))

    benchmark_against(benchmark, lambda: draw(ops), lambda: draw(reference_compose), "NumPy")
