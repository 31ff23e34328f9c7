"""`pixel` against its reference, the published values of the standards, and another library."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_pixel

PACKED = ("rgb", "bgr", "rgba", "bgra")
PLANAR = ("i420", "nv12")

# Y, Cb, Cr of full-strength colours in 8-bit limited range, as colour-bar charts list them.
COLOUR_BARS = {
    "bt601": {
        (255, 255, 255): (235, 128, 128),
        (0, 0, 0): (16, 128, 128),
        (255, 0, 0): (81, 90, 240),
        (0, 255, 0): (145, 54, 34),
        (0, 0, 255): (41, 240, 110),
        (255, 255, 0): (210, 16, 146),
        (0, 255, 255): (170, 166, 16),
        (255, 0, 255): (106, 202, 222),
    },
    "bt709": {
        (255, 255, 255): (235, 128, 128),
        (0, 0, 0): (16, 128, 128),
        (255, 0, 0): (63, 102, 240),
        (0, 255, 0): (173, 42, 26),
        (0, 0, 255): (32, 240, 118),
        (255, 255, 0): (219, 16, 138),
        (0, 255, 255): (188, 154, 16),
        (255, 0, 255): (78, 214, 230),
    },
}


def random_frame(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def assert_matches_reference(frame: np.ndarray, pixel_format: str, matrix: str) -> None:
    found = ops.pixel(frame, pixel_format, matrix)
    expected = reference_pixel.pixel(frame, pixel_format, matrix)
    assert found.shape == expected.shape and found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected)
    allowed = tolerance("pixel.packed" if pixel_format in PACKED else "pixel.yuv")
    assert difference.max(initial=0) <= allowed.absolute
    # One sample more than the share, so that a frame of a few pixels can have one that rounds.
    assert (difference > 0).sum() <= allowed.share * difference.size + 1


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("pixel_format", PACKED + PLANAR)
@pytest.mark.parametrize("channels", [3, 4])
def test_matches_the_reference(simd: str, channels: int, pixel_format: str, matrix: str) -> None:
    assert_matches_reference(random_frame(1, 94, 158, channels), pixel_format, matrix)


@settings(max_examples=60, deadline=None)
@given(
    half_height=st.integers(0, 9),
    half_width=st.integers(0, 40),
    channels=st.sampled_from([3, 4]),
    pixel_format=st.sampled_from(PACKED + PLANAR),
    seed=st.integers(0, 2**32 - 1),
)
def test_matches_the_reference_at_odd_sizes(
    half_height: int, half_width: int, channels: int, pixel_format: str, seed: int
) -> None:
    # Packed formats take odd sizes too.
    odd = pixel_format in PACKED and half_height and half_width
    height, width = 2 * half_height - bool(odd), 2 * half_width - bool(odd)
    assert_matches_reference(random_frame(seed, height, width, channels), pixel_format, "bt601")


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colour_bars_have_the_published_values(simd: str, matrix: str) -> None:
    for colour, (y, u, v) in COLOUR_BARS[matrix].items():
        frame = np.full((2, 64, 3), colour, np.uint8)
        found = ops.pixel(frame, "i420", matrix)
        assert (found[:2] == y).all(), (colour, found[0, 0])
        chroma = found[2].reshape(2, 32)
        assert (chroma[0] == u).all() and (chroma[1] == v).all(), (colour, chroma[:, 0])


def test_greys_have_no_colour(simd: str) -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8), 12).reshape(2, -1, 3)
    for matrix in ("bt601", "bt709"):
        assert (ops.pixel(greys, "nv12", matrix)[2:] == 128).all()


@pytest.mark.parametrize(("pixel_format", "av_name"), [("i420", "yuv420p"), ("nv12", "nv12")])
def test_another_library_reads_the_planes_where_we_put_them(
    simd: str, pixel_format: str, av_name: str
) -> None:
    # Flat 16x16 tiles: chroma is not interpolated across their insides.
    tiles = np.random.default_rng(3).integers(30, 226, (6, 9, 3), dtype=np.uint8)
    frame = np.ascontiguousarray(tiles.repeat(16, 0).repeat(16, 1))
    planes = ops.pixel(frame, pixel_format, "bt601")
    video = av.VideoFrame.from_ndarray(planes, format=av_name)
    decoded = video.to_ndarray(format="rgb24")
    inside = np.zeros((16, 16), bool)
    inside[4:12, 4:12] = True
    difference = np.abs(decoded.astype(int) - frame)[np.tile(inside, (6, 9))]
    # Two roundings to 8 bits in YUV make up to 3 levels in RGB.
    assert difference.max() <= 3


def test_chroma_is_the_mean_of_four_pixels(simd: str) -> None:
    frame = np.zeros((2, 32, 3), np.uint8)
    frame[0, ::2] = (255, 0, 0)
    found = ops.pixel(frame, "i420", "bt601")
    # A quarter of red: 128 - 38 / 4 and 128 + 112 / 4.
    assert (found[2].reshape(2, 16)[0] == round(128 - 37.797 / 4)).all()
    assert (found[2].reshape(2, 16)[1] == 156).all()


def test_matrix_follows_the_number_of_lines() -> None:
    red = np.full((718, 2, 3), (255, 0, 0), np.uint8)
    assert ops.pixel(red, "i420")[0, 0] == 81
    red = np.full((720, 2, 3), (255, 0, 0), np.uint8)
    assert ops.pixel(red, "i420")[0, 0] == 63
    assert ops.default_matrix(719) == "bt601" and ops.default_matrix(720) == "bt709"


def test_every_instruction_set_and_thread_count_gives_the_same_bytes(simd: str) -> None:
    frame = random_frame(5, 360, 642, 3)
    for pixel_format in PACKED + PLANAR:
        frames = set()
        for threads in (1, 2, 3):
            ops.set_num_threads(threads)
            frames.add(ops.pixel(frame, pixel_format, "bt709").tobytes())
        assert len(frames) == 1
    luma = ops.pixel(frame, "i420", "bt709")[:360].astype(np.int64)
    # Integers, so exactly this sum on every processor.
    red, green, blue = (frame[:, :, channel].astype(np.int64) for channel in range(3))
    assert (luma == 16 + ((5983 * red + 20127 * green + 2032 * blue + 16384) >> 15)).all()


@pytest.mark.parametrize("pixel_format", PACKED + PLANAR)
@pytest.mark.parametrize("channels", [3, 4])
def test_nothing_beside_out_is_written(simd: str, channels: int, pixel_format: str) -> None:
    frame = random_frame(7, 6, 38, channels)
    shape = reference_pixel.output_shape(6, 38, pixel_format)
    size = int(np.prod(shape))
    memory = np.full(size + 128, 0xA5, np.uint8)
    out = memory[64 : 64 + size].reshape(shape)
    assert ops.pixel(frame, pixel_format, "bt601", out) is out
    assert (memory[:64] == 0xA5).all() and (memory[-64:] == 0xA5).all()
    np.testing.assert_array_equal(out, ops.pixel(frame, pixel_format, "bt601"))


def test_a_read_only_frame_is_fine() -> None:
    frame = random_frame(9, 4, 4, 3)
    frame.flags.writeable = False
    assert (ops.pixel(frame, "bgr") == frame[:, :, ::-1]).all()


@pytest.mark.parametrize(
    ("frame", "pixel_format", "error", "message"),
    [
        (np.zeros((4, 4, 3)), "rgb", TypeError, "frame must be uint8, got float64"),
        (np.zeros((4, 4), "u1"), "rgb", ValueError, r"must be \[\*, \*, 3 or 4\], got \[4, 4\]"),
        (np.zeros((4, 4, 2), "u1"), "rgb", ValueError, r"got \[4, 4, 2\]"),
        (np.zeros((4, 8, 3), "u1")[:, ::2], "rgb", ValueError, "ascontiguousarray"),
        (np.zeros((4, 4, 3), "u1"), "yuyv", ValueError, "format must be one of rgb, bgr"),
        (np.zeros((3, 4, 3), "u1"), "i420", ValueError, "even height and width, got 3 x 4"),
        (np.zeros((4, 3, 3), "u1"), "nv12", ValueError, "even height and width, got 4 x 3"),
        ("picture.png", "rgb", TypeError, "must be a NumPy array"),
    ],
)
def test_refuses_what_it_cannot_convert(
    frame: object, pixel_format: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ops.pixel(frame, pixel_format)


def test_refuses_a_wrong_matrix_and_a_wrong_out() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="matrix must be bt601 or bt709"):
        ops.pixel(frame, "i420", "bt2020")
    with pytest.raises(ValueError, match=r"out must be \[6, 4\], got \[4, 4\]"):
        ops.pixel(frame, "i420", out=np.zeros((4, 4), np.uint8))
    locked = np.zeros((6, 4), np.uint8)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        ops.pixel(frame, "i420", out=locked)


@pytest.mark.cuda
@pytest.mark.parametrize("pixel_format", PACKED + PLANAR)
@pytest.mark.parametrize("channels", [3, 4])
def test_cuda_gives_the_bytes_of_the_cpu(channels: int, pixel_format: str) -> None:
    import cupy

    frame = random_frame(11, 94, 158, channels)
    found = ops.pixel(cupy.asarray(frame), pixel_format, "bt601")
    np.testing.assert_array_equal(cupy.asnumpy(found), ops.pixel(frame, pixel_format, "bt601"))
