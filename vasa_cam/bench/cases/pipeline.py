"""Whole pictures: motion to I420 at several sizes, and a fresh process up to its first frame.

The reference is the same order of calls with every op's NumPy twin in the op's place.
"""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, reduce
from importlib import resources
from itertools import cycle
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Goal, Setting, Trial, Way, Work
from vasa_cam.bench.cases.layered import compose_over_work, expression_work, warp_mesh_work
from vasa_cam.bench.cases.pixel import pixel_work
from vasa_cam.bench.cases.portrait import built_in_avatar, prepared, talk, talking
from vasa_cam.motion.space import neutral
from vasa_cam.ops import (
    reference_compose,
    reference_expression,
    reference_pixel,
    reference_warp_mesh,
)
from vasa_cam.render import layered, openings
from vasa_cam.render.layered import LayeredRenderer, LayeredState, RenderConfig
from vasa_cam.render.layered_device import DeviceFrames

Pixels = np.ndarray[Any, Any]

SIDES: Final = (256, 512, 1024)
THREADS: Final = (1, 2)
_FRAMES: Final = 32
_CHECK: Final = Check("absolute", 3, share=5e-3)
"""Levels: the ops' own tolerances one after the other; edges may go to either side."""

_FIRST_FRAME: Final = """
import sys
from pathlib import Path
from vasa_cam.avatar.file import load_avatar
from vasa_cam.motion.space import neutral
from vasa_cam.render.layered import LayeredRenderer
renderer = LayeredRenderer()
frame = renderer.render(renderer.prepare(load_avatar(Path(sys.argv[1]))), neutral()[0])
sys.stdout.buffer.write(frame.tobytes())
"""

_FIRST_FRAME_CUDA: Final = """
import sys
from pathlib import Path
from vasa_cam.avatar.file import load_avatar
from vasa_cam.bench.devices import open_device
from vasa_cam.motion.space import neutral
from vasa_cam.render.layered import LayeredRenderer
from vasa_cam.render.layered_device import DeviceFrames
state = LayeredRenderer().prepare(load_avatar(Path(sys.argv[1])))
device = open_device("cuda")
frames = DeviceFrames(state, device.place, device.array)
frame = device.host_copy(frames.i420)(frames.draw(neutral()[0]))
sys.stdout.buffer.write(frame.tobytes())
"""


def cases() -> Iterator[Case]:
    """Frames by size and threads, then the start."""
    for side in SIDES:
        for threads in THREADS:
            yield frame_case(side, threads)
    yield device_frame_case(512)
    yield first_frame_case("cpu")
    yield first_frame_case("cuda")


def frame_case(side: int, threads: int) -> Case:
    """Motion to RGB to I420, as a webcam takes it."""

    def build(setting: Setting) -> Trial:
        renderer = LayeredRenderer(RenderConfig(side, side))
        state = renderer.prepare(built_in_avatar())
        frames = cycle([talking(), *talk(_FRAMES - 1, setting.rng())])
        rgb = np.empty((side, side, 3), np.uint8)
        i420 = ops.pixel(rgb, "i420")

        def ours() -> Call:
            return lambda: ops.pixel(renderer.render(state, next(frames), rgb), "i420", out=i420)

        def figures(median_s: float) -> dict[str, float]:
            return {
                "frames_per_second": 1 / median_s,
                "nanoseconds_per_pixel": 1e9 * median_s / side**2,
                "allocated_kib_per_frame": allocated_bytes(ours()) / 1024,
                "prepared_mib": prepared_bytes(state) / 2**20,
            }

        return Trial(
            (Way("vasa_cam", ours),),
            lambda: reference_frame(side, True),
            _CHECK,
            frame_work(side),
            figures,
        )

    many = f"{threads} thread" + "s" * (threads > 1)
    return Case(
        f"frame/{side}x{side}-{threads}t",
        "pipeline",
        ("expression", "warp_mesh", "compose_over", "compose_eye", "compose_mouth", "pixel"),
        f"motion to I420 [{side}, {side}], {many}",
        "uint8",
        build,
        devices=("cpu",),
        threads=threads,
        clock="wall",
    )


def device_frame_case(side: int) -> Case:
    """The layered renderer's frame on the device, copied to memory that a sink can read."""

    def build(setting: Setting) -> Trial:
        device = setting.device

        def ours() -> Call:
            state = LayeredRenderer(RenderConfig(side, side)).prepare(built_in_avatar())
            frames = DeviceFrames(state, device.place, device.array)
            motion = cycle([talking(), *talk(_FRAMES - 1, setting.rng())])
            copy = device.host_copy(frames.i420)
            return lambda: copy(frames.draw(next(motion)))

        def twin() -> Call:
            renderer = LayeredRenderer(RenderConfig(side, side))
            state = renderer.prepare(built_in_avatar())
            motion = cycle([talking(), *talk(_FRAMES - 1, setting.rng())])
            rgb = np.empty((side, side, 3), np.uint8)
            i420 = ops.pixel(rgb, "i420")
            return lambda: ops.pixel(renderer.render(state, next(motion), rgb), "i420", out=i420)

        return Trial(
            (Way("vasa_cam", ours), Way("CPU twin", twin, clock="wall")),
            lambda: reference_frame(side, True),
            _CHECK,
            frame_work(side),
            lambda median_s: {"frames_per_second": 1 / median_s},
        )

    return Case(
        f"frame/device-{side}x{side}",
        "pipeline",
        ("expression", "warp_mesh", "compose_over", "compose_eye", "compose_mouth", "pixel"),
        f"motion to I420 [{side}, {side}] in host memory",
        "uint8",
        build,
        clock="wall",
        goal=Goal("layered renderer, motion to I420 in pinned memory", "<= 0.3 ms", 0.3),
    )


def first_frame_case(device: str) -> Case:
    """From starting Python to the first frame of an enrolled avatar, from a warm disk."""
    program = _FIRST_FRAME if device == "cpu" else _FIRST_FRAME_CUDA

    def build(setting: Setting) -> Trial:
        avatar = str(resources.files("vasa_cam") / "assets" / "astronaut.vasa")

        def start() -> Pixels:
            command = [sys.executable, "-c", program, avatar]
            done = subprocess.run(command, capture_output=True, check=True)
            if device == "cuda":
                return np.frombuffer(done.stdout, np.uint8).reshape(768, 512)
            return np.frombuffer(done.stdout, np.uint8).reshape(512, 512, 3)

        return Trial(
            (Way("vasa_cam", lambda: start),),
            lambda: _neutral_i420() if device == "cuda" else reference_frame(512, False),
            _CHECK,
            Work(0, 0, "not counted: most of it is Python's start"),
        )

    return Case(
        f"start/first-frame-{device}",
        "pipeline",
        ("expression", "warp_mesh"),
        "a new process to a picture [512, 512]",
        "uint8",
        build,
        devices=(device,),
        clock="wall",
        cold=False,
        goal=Goal("first import to first frame, warm disk", "<= 3 s", 3000.0),
    )


def frame_work(side: int) -> Work:
    """The sum of the ops of a frame, less the openings, which are small."""
    state = prepared(side)
    covered = int((state.buffers.layer[..., 3] > 0).sum()) or side * side
    parts = (
        expression_work(state.skin.tensors),
        expression_work(state.rigid.mesh.tensors),
        warp_mesh_work(state.skin_texture, side, covered),
        compose_over_work(side),
        pixel_work(side, side, "i420"),
    )
    return reduce(
        lambda a, b: Work(a.bytes_moved + b.bytes_moved, a.flops + b.flops, a.formula),
        parts,
        Work(0, 0, "the sum of expression (twice), warp_mesh, compose_over and pixel"),
    )


@cache
def reference_frame(side: int, moving: bool) -> Pixels:
    """The frame of `talking` as I420, or the neutral one as RGB, by the ops' NumPy twins."""
    renderer = LayeredRenderer(RenderConfig(side, side))
    state = renderer.prepare(built_in_avatar())
    with _reference_ops():
        frame = renderer.render(state, talking() if moving else neutral()[0])
    return reference_pixel.pixel(frame, "i420") if moving else frame


def _neutral_i420() -> Pixels:
    return reference_pixel.pixel(reference_frame(512, False), "i420")


@contextmanager
def _reference_ops() -> Iterator[None]:
    """The renderer's modules see the NumPy twins for a while."""
    plain = SimpleNamespace(
        APERTURE_SIZE=ops.APERTURE_SIZE,
        Pose=ops.Pose,
        WarpOptions=ops.WarpOptions,
        expression=reference_expression.expression,
        warp_mesh=reference_warp_mesh.warp_mesh,
        compose_over=lambda below, above, out: reference_compose.compose_over(
            below, above, (0, 0), out=out
        ),
        aperture=reference_compose.aperture,
        compose_eye=reference_compose.compose_eye,
        compose_mouth=reference_compose.compose_mouth,
    )
    modules: tuple[Any, ...] = (layered, openings)
    for module in modules:
        module.ops = plain
    try:
        yield
    finally:
        for module in modules:
            module.ops = ops


def allocated_bytes(call: Callable[[], Any]) -> int:
    """The most memory that one call holds beyond what is there before it."""
    call()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def prepared_bytes(state: LayeredState) -> int:
    """Arrays of a prepared avatar that Python sees: pictures, meshes and buffers."""
    seen: dict[int, int] = {}

    def walk(value: Any, depth: int) -> None:
        if isinstance(value, np.ndarray):
            seen[id(value)] = value.nbytes
        elif depth and isinstance(value, tuple | list):
            for part in value:
                walk(part, depth - 1)
        elif depth and hasattr(value, "__dict__"):
            walk(list(vars(value).values()), depth)

    for name, value in vars(state).items():
        if name != "avatar":
            walk(value, 3)
    return sum(seen.values())
