"""`warp_volume` and `dense_motion` at the volume renderer's sizes, against torch and CuPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Goal, Setting, Trial, Way, Work
from vasa_cam.bench.contenders import volume as plain
from vasa_cam.bench.contenders.by_torch import torch_ways
from vasa_cam.ops import reference_dense_motion, reference_warp_volume

Numbers = np.ndarray[Any, Any]

BYTES: Final = {"float32": 4, "float16": 2}
CHECKS: Final = {
    # Sums of eight neighbours in float32; what comes out is rounded to half precision.
    "float32": Check("relative_l2", 2e-5),
    "float16": Check("relative_l2", 2e-3),
}
HALF_GRID: Final = Check("relative_l2", 0.1)
"""torch wants the grid in the volume's type: half a grid's numbers are off by up to 0.02 voxels."""
NOTE: Final = "coordinates in half precision, as torch wants them"
DTYPES: Final = {"fp32": ("float32", ("cpu", "cuda")), "fp16": ("float16", ("cuda",))}


class VolumeSize(NamedTuple):
    """Batch, depth, height, width, channels and keypoints."""

    batch: int = 1
    depth: int = 16
    height: int = 64
    width: int = 64
    channels: int = 32
    keypoints: int = 21

    @property
    def voxels(self) -> int:
        return self.batch * self.depth * self.height * self.width

    @property
    def space(self) -> tuple[int, int, int, int]:
        return self.batch, self.depth, self.height, self.width


def for_goal(dtype: str) -> tuple[str, ...]:
    """The device whose goals are for this type."""
    return ("cpu",) if dtype == "float32" else ("cuda",)


def cases() -> Iterator[Case]:
    """The published model's sizes, in single and half precision."""
    for short, (dtype, devices) in DTYPES.items():
        for batch in (1, 16):
            yield warp_volume_case(f"b{batch}-{short}", VolumeSize(batch), dtype, devices)
        yield dense_motion_input_case(f"b1-{short}", VolumeSize(), dtype, devices)
        yield dense_motion_warp_case(f"b1-{short}", VolumeSize(), dtype, devices)


def warp_volume_work(size: VolumeSize, dtype: str) -> Work:
    """Volume and places in, as many voxels out; eight neighbours a channel, 30 for the weights."""
    moved = BYTES[dtype] * size.channels * 2 + 12
    return Work(
        moved * size.voxels,
        (16 * size.channels + 30) * size.voxels,
        "bytes: 2 s C + 12 a voxel; flops: 16 C + 30 a voxel",
    )


def dense_motion_input_work(size: VolumeSize, dtype: str) -> Work:
    """Separable: seven interpolations of four channels a candidate, and two Gaussians."""
    candidates = size.keypoints + 1
    return Work(
        BYTES[dtype] * (4 + 5 * candidates) * size.voxels + 24 * size.batch * size.keypoints,
        (7 * 3 * 4 * candidates + 8 * size.keypoints) * size.voxels,
        "bytes: s (4 + 5 (K + 1)) a voxel + 24 K; flops: 84 (K + 1) + 8 K a voxel",
    )


def dense_motion_warp_work(size: VolumeSize, dtype: str) -> Work:
    """Softmax of the masks, the sum of the candidates' shifts, one lookup."""
    candidates = size.keypoints + 1
    moved = BYTES[dtype] * (candidates + 2 * size.channels)
    return Work(
        moved * size.voxels + 24 * size.batch * size.keypoints,
        (4 * candidates + 6 * size.keypoints + 16 * size.channels + 30) * size.voxels,
        "bytes: s (K + 1 + 2 C) a voxel + 24 K; flops: 4 (K + 1) + 6 K + 16 C + 30 a voxel",
    )


def moved_grid(rng: np.random.Generator, size: VolumeSize) -> Numbers:
    """The identity grid, every place moved by up to about a tenth of the volume."""
    grid = reference_dense_motion.identity_grid(size.depth, size.height, size.width)
    shift = rng.normal(0, 0.05, (*size.space, 3))
    return (grid + shift).astype(np.float32)


def keypoints(rng: np.random.Generator, size: VolumeSize) -> plain.Keypoints:
    """A face's keypoints and where they are driven to."""
    source = rng.uniform(-0.5, 0.5, (size.batch, size.keypoints, 3))
    driving = source + rng.normal(0, 0.05, source.shape)
    return plain.Keypoints(source.astype(np.float32), driving.astype(np.float32))


def warp_volume_case(
    name: str, size: VolumeSize, dtype: str, devices: tuple[str, ...] = ("cpu", "cuda")
) -> Case:
    """A volume looked up at places near its own voxels."""

    def build(setting: Setting) -> Trial:
        rng, device = setting.rng(), setting.device
        volume = rng.standard_normal((*size.space, size.channels)).astype(dtype)
        grid = moved_grid(rng, size)

        def ours() -> Call:
            given, places = device.array(volume), device.array(grid)
            out = device.array(np.zeros_like(volume))
            return lambda: ops.warp_volume(given, places, out=out)

        half: dict[str, Any] = {"check": HALF_GRID, "note": NOTE} if dtype == "float16" else {}
        ways = [
            Way("vasa_cam", ours),
            *torch_ways(device, lambda: plain.grid_sample(device, volume, grid, dtype), **half),
        ]
        if device.kind == "cuda":
            kernel = Way(
                "CuPy raw kernel",
                lambda: plain.cupy_grid_sample(volume, grid, dtype),
                needs=("cupy",),
                note="one thread a voxel, channels first",
            )
            ways.append(kernel)
        return Trial(
            tuple(ways),
            lambda: reference_warp_volume.warp_volume(volume, grid),
            CHECKS[dtype],
            warp_volume_work(size, dtype),
        )

    goal = Goal("warp_volume, batch 16", ">= 60 % of bandwidth", share=0.6, devices=for_goal(dtype))
    if size.batch == 1:
        text, faster = ">= 3x torch, <= 8 us", (("torch eager", 3.0),)
        goal = Goal("warp_volume, batch 1", text, 0.008, faster, devices=for_goal(dtype))
    return Case(
        f"warp_volume/{name}", "ops", ("warp_volume",),
        f"{list(size.space)} x {size.channels}", dtype, build, devices,
        goal=goal,
    )  # fmt: skip


def dense_motion_input_case(
    name: str, size: VolumeSize, dtype: str, devices: tuple[str, ...] = ("cpu", "cuda")
) -> Case:
    """What lies before the hourglass."""

    def build(setting: Setting) -> Trial:
        rng, device = setting.rng(), setting.device
        compressed = rng.standard_normal((*size.space, 4)).astype(dtype)
        points = keypoints(rng, size)

        def ours() -> Call:
            given = device.array(compressed)
            source, driving = map(device.array, points)
            out = ops.dense_motion_input(given, source, driving)
            return lambda: ops.dense_motion_input(given, source, driving, out=out)

        half: dict[str, Any] = {"check": HALF_GRID, "note": NOTE} if dtype == "float16" else {}
        return Trial(
            (
                Way("vasa_cam", ours),
                *torch_ways(
                    device,
                    lambda: plain.dense_motion_input(device, compressed, points, dtype),
                    **half,
                ),
            ),
            lambda: reference_dense_motion.dense_motion_input(compressed, *points),
            CHECKS[dtype],
            dense_motion_input_work(size, dtype),
        )

    goal = Goal(
        "dense_motion up to the hourglass input",
        ">= 8x the plain sequence",
        times_faster=(("torch eager", 8),),
        devices=for_goal(dtype),
    )
    return Case(
        f"dense_motion_input/{name}", "ops", ("dense_motion_input",),
        f"{list(size.space)} x 4, {size.keypoints} keypoints", dtype, build, devices, goal=goal,
    )  # fmt: skip


def dense_motion_warp_case(
    name: str, size: VolumeSize, dtype: str, devices: tuple[str, ...] = ("cpu", "cuda")
) -> Case:
    """What lies behind it, with the warp of the volume."""

    def build(setting: Setting) -> Trial:
        rng, device = setting.rng(), setting.device
        logits = rng.normal(0, 2, (*size.space, size.keypoints + 1)).astype(dtype)
        volume = rng.standard_normal((*size.space, size.channels)).astype(dtype)
        points = keypoints(rng, size)

        def ours() -> Call:
            masks, given = device.array(logits), device.array(volume)
            source, driving = map(device.array, points)
            out = device.array(np.zeros_like(volume))
            return lambda: ops.dense_motion_warp(masks, source, driving, given, out=out)

        half: dict[str, Any] = {"check": HALF_GRID, "note": NOTE} if dtype == "float16" else {}
        return Trial(
            (
                Way("vasa_cam", ours),
                *torch_ways(
                    device,
                    lambda: plain.dense_motion_warp(device, logits, points, volume, dtype),
                    **half,
                ),
            ),
            lambda: reference_dense_motion.dense_motion_warp(logits, *points, volume)[0],
            CHECKS[dtype],
            dense_motion_warp_work(size, dtype),
        )

    return Case(
        f"dense_motion_warp/{name}", "ops", ("dense_motion_warp",),
        f"{list(size.space)} x {size.channels}, {size.keypoints} keypoints", dtype, build, devices,
    )  # fmt: skip
