"""`pixel` against FFmpeg's swscale (by PyAV), which encoders and cameras use for the same."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from contender import benchmark_against

from vasa_cam import ops

SIZES = {"512x512": (512, 512), "720p": (720, 1280), "1080p": (1080, 1920)}
AV_NAMES = {"i420": "yuv420p", "nv12": "nv12", "bgra": "bgra"}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pixel_format", AV_NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_pixel(benchmark: Any, size: str, pixel_format: str, threads: int) -> None:
    height, width = SIZES[size]
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ops.set_num_threads(threads)
    out = ops.pixel(frame, pixel_format, "bt601")
    video = av.VideoFrame.from_ndarray(frame, format="rgb24")
    reformatter = av.video.reformatter.VideoReformatter()
    wanted = AV_NAMES[pixel_format]
    theirs = reformatter.reformat(video, format=wanted).to_ndarray()
    # swscale's chroma sits elsewhere and it keeps fewer bits, so only the luma (or packed bytes)
    # must agree, to 2 levels; otherwise the two would not be doing the same work.
    rows = height if pixel_format != "bgra" else len(out)
    assert np.abs(out[:rows].astype(int) - theirs[:rows]).max() <= 2
    benchmark_against(
        benchmark,
        lambda: ops.pixel(frame, pixel_format, "bt601", out),
        lambda: reformatter.reformat(video, format=wanted),
        "FFmpeg swscale, one thread",
    )


@pytest.mark.cuda
@pytest.mark.parametrize("size", SIZES)
def test_pixel_cuda(benchmark: Any, size: str) -> None:
    import cupy

    height, width = SIZES[size]
    frame = cupy.random.randint(0, 256, (height, width, 3), dtype=cupy.uint8)
    out = ops.pixel(frame, "i420", "bt601")

    def ours() -> None:
        ops.pixel(frame, "i420", "bt601", out)
        cupy.cuda.get_current_stream().synchronize()

    on_cpu = cupy.asnumpy(frame)
    cpu_out = ops.pixel(on_cpu, "i420", "bt601")
    np.testing.assert_array_equal(cupy.asnumpy(out), cpu_out)
    benchmark_against(
        benchmark, ours, lambda: ops.pixel(on_cpu, "i420", "bt601", cpu_out), "the CPU twin"
    )
