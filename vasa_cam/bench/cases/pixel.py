"""`pixel`: RGB to what cameras and windows take, against NumPy and FFmpeg's swscale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Arrays, Call, Case, Check, Setting, Trial, Way, Work
from vasa_cam.ops import reference_pixel
from vasa_cam.ops.pixel import PixelFormat, output_shape

_SIZES: Final = {"512x512": (512, 512), "720p": (720, 1280), "1080p": (1080, 1920)}
_AV_NAMES: Final[dict[PixelFormat, str]] = {"i420": "yuv420p", "nv12": "nv12", "bgra": "bgra"}
_MATRIX: Final = "bt601"  # swscale's default; the cost is the same for both


def pixel_work(height: int, width: int, pixel_format: PixelFormat) -> Work:
    """Three bytes a pixel in; four, or one and a half, out. Luma takes three products and three
    sums a pixel; a chroma pair nine sums, six products and six sums for every four pixels."""
    pixels = height * width
    bytes_moved = 3 * pixels + int(np.prod(output_shape(height, width, pixel_format)))
    if pixel_format == "bgra":
        return Work(bytes_moved, 0, "bytes: 3 HW + 4 HW; bytes are only moved")
    formula = "bytes: 3 HW + 1.5 HW; flops: 6 HW luma + 21 HW / 4 chroma"
    return Work(bytes_moved, 6 * pixels + 21 * pixels // 4, formula)


def pixel_case(name: str, height: int, width: int, pixel_format: PixelFormat) -> Case:
    """A case of this size; the name is the part after "pixel/"."""

    def build(setting: Setting) -> Trial:
        frame = setting.rng().integers(0, 256, (height, width, 3), dtype=np.uint8)
        on_device = setting.device.array(frame)
        out = ops.pixel(on_device, pixel_format, _MATRIX)

        def ours() -> Call:
            return lambda: ops.pixel(on_device, pixel_format, _MATRIX, out)

        def twin() -> Call:
            host = ops.pixel(frame, pixel_format, _MATRIX)
            return lambda: ops.pixel(frame, pixel_format, _MATRIX, host)

        if setting.device.kind == "cuda":
            ways = [Way("vasa_cam", ours), Way("CPU twin", twin, clock="wall")]
        else:
            ways = [
                Way("vasa_cam", ours),
                Way("NumPy float32", lambda: _numpy(frame, pixel_format)),
                _swscale(frame, pixel_format),
            ]
        return Trial(
            tuple(ways),
            lambda: reference_pixel.pixel(frame, pixel_format, _MATRIX),
            # Weights are rounded to 2^-15: a few samples round to the other side.
            Check("absolute", 0, share=0.02) if pixel_format != "bgra" else Check("absolute", 0),
            pixel_work(height, width, pixel_format),
        )

    return Case(
        f"pixel/{name}", "ops", ("pixel",), f"[{height}, {width}, 3]", "uint8", build
    )  # fmt: skip


def cases() -> Iterator[Case]:
    """Every format that a sink uses, at the sizes of calls."""
    for pixel_format in _AV_NAMES:
        for name, (height, width) in _SIZES.items():
            yield pixel_case(f"{pixel_format}-{name}", height, width, pixel_format)


def _numpy(frame: np.ndarray[Any, Any], pixel_format: PixelFormat) -> Call:
    height, width = frame.shape[:2]
    out = np.empty(output_shape(height, width, pixel_format), np.uint8)
    if pixel_format == "bgra":
        out[..., 3] = 255

        def reorder() -> np.ndarray[Any, Any]:
            out[..., :3] = frame[..., ::-1]
            return out

        return reorder
    kr, kb = 0.299, 0.114
    luma_weights = np.array([kr, 1 - kr - kb, kb], np.float32) * np.float32(219 / 255)
    blue = np.array([-kr, kr + kb - 1, 1 - kb], np.float32) * np.float32(112 / 255 / (1 - kb))
    red = np.array([1 - kr, kr + kb - 1, -kb], np.float32) * np.float32(112 / 255 / (1 - kr))
    chroma_weights = np.stack([blue, red], 1)

    def convert() -> np.ndarray[Any, Any]:
        values = frame.astype(np.float32)
        out[:height] = values @ luma_weights + np.float32(16.5)
        means = values.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
        chroma = (means @ chroma_weights + np.float32(128.5)).astype(np.uint8)
        rows = chroma if pixel_format == "nv12" else np.moveaxis(chroma, 2, 0)
        out[height:] = np.ascontiguousarray(rows).reshape(height // 2, width)
        return out

    return convert


def _swscale(frame: np.ndarray[Any, Any], pixel_format: PixelFormat) -> Way:
    rows = len(frame)

    def make() -> Call:
        import av
        from av.video.reformatter import VideoReformatter

        video = av.VideoFrame.from_ndarray(frame, format="rgb24")
        reformatter = VideoReformatter()
        wanted = _AV_NAMES[pixel_format]
        return lambda: _Converted(reformatter.reformat(video, format=wanted))

    return Way(
        "FFmpeg swscale",
        make,
        needs=("av",),
        check=Check("absolute", 2),
        select=_luma(rows) if pixel_format != "bgra" else None,
        note="one thread; only the luma is compared, to 2 levels: its chroma sits elsewhere",
    )


class _Converted:
    """A PyAV frame, read into an array only when the result is looked at."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(self.frame.to_ndarray(), dtype)


def _luma(rows: int) -> Callable[[Arrays], Arrays]:
    return lambda arrays: [arrays[0][:rows]]
