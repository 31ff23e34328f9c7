"""The renderer on a GPU, with a tiny model: its graph draws what the CPU draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from volume_models import random_networks

torch = pytest.importorskip("torch")

from vasa_cam.motion.latent import LatentMotion  # noqa: E402
from vasa_cam.render.volume.crop import CropConfig  # noqa: E402
from vasa_cam.render.volume.renderer import VolumeRenderConfig, VolumeRenderer  # noqa: E402

pytestmark = [pytest.mark.neural, pytest.mark.cuda]

LANDMARKS = np.array([[90, 70], [130, 70], [110, 90], [95, 115], [125, 115]], np.float32)


def renderer(**options: Any) -> VolumeRenderer:
    config = VolumeRenderConfig(crop=CropConfig(side_px=128), **options)
    return VolumeRenderer(random_networks(), config)


def photo() -> np.ndarray:
    y, x = np.mgrid[:180, :240]
    return np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)


def moves(count: int) -> LatentMotion:
    rng = np.random.default_rng(3)
    rows = (0.05 * rng.standard_normal((count, 70))).astype(np.float32)
    rows[:, 63] = 1.0
    return LatentMotion.from_rows(rows, 25.0)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_graph_draws_what_the_cpu_draws(plain: bool, batch: int) -> None:
    drawn = []
    for device in ("cpu", "cuda"):
        one = renderer(device=device, plain=plain, batch=batch)
        drawn.append(one.render(one.prepare(photo(), LANDMARKS), moves(5)).astype(int))
    difference = np.abs(drawn[0] - drawn[1])
    # Sums in another order move a value over a whole level here and there.
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_on_the_gpu_stay_near_float32(dtype: str) -> None:
    drawn = []
    for options in ({"device": "cpu"}, {"device": "cuda", "dtype": dtype}):
        one = renderer(**options)
        drawn.append(one.render(one.prepare(photo(), LANDMARKS), moves(2)).astype(float))
    assert np.abs(drawn[0] - drawn[1]).mean() < (3.0 if dtype == "bfloat16" else 0.6)


def test_frames_repeat_and_photos_take_turns() -> None:
    one = renderer(device="cuda", batch=2)
    states = [one.prepare(picture, LANDMARKS) for picture in (photo(), photo()[:, ::-1].copy())]
    first = [one.render(state, moves(3)) for state in states]
    again = [one.render(state, moves(3)) for state in states]
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0].astype(int) - first[1]).max() > 10


def test_a_frame_allocates_nothing_on_the_device() -> None:
    one = renderer(device="cuda", dtype="float16")
    state = one.prepare(photo(), LANDMARKS)
    driving = one.drive(state, moves(4))
    one.engine.frames(state.source, driving[:1])
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    for index in range(1, 4):
        one.engine.frames(state.source, driving[index : index + 1])
    torch.cuda.synchronize()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


def test_pasting_on_the_gpu_is_pasting_on_the_cpu() -> None:
    drawn = []
    for device in ("cpu", "cuda"):
        one = renderer(device=device)
        state = one.prepare(photo(), LANDMARKS)
        drawn.append(np.stack(list(one.frames(state, moves(2), pasted=True))).astype(int))
    assert np.abs(drawn[0] - drawn[1]).max() <= 2
