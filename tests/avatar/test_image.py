"""Photos of every kind become upright sRGB; everything else is refused with one sentence."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from vasa_cam.avatar.image import MAX_PIXELS, load_image
from vasa_cam.errors import InputError

# Four flat quadrants, so that lossy formats keep them.
QUADRANTS = np.zeros((64, 96, 3), np.uint8)
QUADRANTS[:32, :48] = (200, 30, 40)
QUADRANTS[:32, 48:] = (20, 180, 60)
QUADRANTS[32:, :48] = (40, 60, 210)
QUADRANTS[32:, 48:] = (230, 220, 90)
CENTRES = ((16, 24), (16, 72), (48, 24), (48, 72))


def assert_quadrants(rgb: np.ndarray, tolerance: int) -> None:
    assert rgb.dtype == np.uint8
    assert rgb.shape == QUADRANTS.shape
    for row, column in CENTRES:
        difference = np.abs(rgb[row, column].astype(int) - QUADRANTS[row, column].astype(int))
        assert difference.max() <= tolerance, (row, column, rgb[row, column])


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_image(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        ("png", {}, 0),
        ("webp", {"lossless": True}, 0),
        ("webp", {"quality": 95}, 8),
        ("jpg", {"quality": 95, "subsampling": 0}, 4),
        ("jpg", {"quality": 95, "progressive": True, "subsampling": 0}, 4),
    ],
)
def test_formats(tmp_path: Path, suffix: str, options: dict[str, Any], tolerance: int) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(QUADRANTS).save(path, **options)
    photo = load_image(path)
    assert photo.alpha is None
    assert_quadrants(photo.rgb, tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path: Path, orientation: int) -> None:
    # EXIF 2.32, tag 0x0112: what was done to the upright picture before it was stored.
    stored = {
        1: QUADRANTS,
        2: QUADRANTS[:, ::-1],
        3: QUADRANTS[::-1, ::-1],
        4: QUADRANTS[::-1],
        5: QUADRANTS.transpose(1, 0, 2),
        6: np.rot90(QUADRANTS, 1),
        7: np.rot90(QUADRANTS, 2).transpose(1, 0, 2),
        8: np.rot90(QUADRANTS, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert_quadrants(load_image(path).rgb, 0)


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(QUADRANTS).save(path, quality=95, subsampling=0, exif=b"Exif\0\0II*\0\xff\xff")
    assert_quadrants(load_image(path).rgb, 4)


def test_greyscale_of_eight_and_sixteen_bits(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(8, 0)
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name in ("grey.png", "deep.png"):
        rgb = load_image(tmp_path / name).rgb
        np.testing.assert_array_equal(rgb, np.repeat(ramp[..., None], 3, 2), err_msg=name)


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    """Pillow writes no 16-bit RGB, so that the PNG is put together by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = QUADRANTS.shape[:2]
    deep = (QUADRANTS.astype(">u2") * 257).reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert_quadrants(load_image(tmp_path / "deep.png").rgb, 1)


def test_palette_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(QUADRANTS).quantize(4).save(tmp_path / "palette.png")
    assert_quadrants(load_image(tmp_path / "palette.png").rgb, 2)
    bits = (np.indices((16, 16)).sum(0) % 2).astype(bool)
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(load_image(tmp_path / "bits.png").rgb[..., 1], bits * 255)


def test_cmyk(tmp_path: Path) -> None:
    Image.fromarray(QUADRANTS).convert("CMYK").save(
        tmp_path / "print.jpg", quality=98, subsampling=0
    )
    assert_quadrants(load_image(tmp_path / "print.jpg").rgb, 6)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(QUADRANTS).convert(mode)
    alpha = np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "alpha.png")
    photo = load_image(tmp_path / "alpha.png")
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, alpha)


def test_palette_transparency_and_opaque_alpha(tmp_path: Path) -> None:
    palette = Image.fromarray(QUADRANTS).quantize(4)
    palette.save(tmp_path / "palette.png", transparency=0)
    photo = load_image(tmp_path / "palette.png")
    assert photo.alpha is not None
    transparent = np.asarray(palette) == 0
    np.testing.assert_array_equal(photo.alpha == 0, transparent)
    Image.fromarray(QUADRANTS).convert("RGBA").save(tmp_path / "opaque.png")
    assert load_image(tmp_path / "opaque.png").alpha is None


def _linear_profile() -> bytes:
    """An RGB matrix profile with sRGB's primaries and a linear curve."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for index in range(count):
        entry = 132 + 12 * index
        name = bytes(profile[entry : entry + 4])
        offset, size = struct.unpack(">II", profile[entry + 4 : entry + 12])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            curve = b"para\0\0\0\0\0\0\0\0" + struct.pack(">i", 1 << 16)  # y = x ** 1.0
            profile[offset : offset + size] = curve.ljust(size, b"\0")
        if name == b"desc":
            text = "linear".encode("utf-16-be")
            record = b"mluc\0\0\0\0" + struct.pack(">II", 1, 12) + b"enUS"
            record += struct.pack(">II", len(text), 28) + text
            profile[offset : offset + size] = record.ljust(size, b"\0")[:size]
    return bytes(profile)


def test_icc_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    grey = np.full((8, 8, 3), 55, np.uint8)
    Image.fromarray(grey).save(tmp_path / "linear.png", icc_profile=_linear_profile())
    # IEC 61966-2-1: linear 55/255 is 1.055 * v ** (1 / 2.4) - 0.055
    expected = 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)
    assert abs(load_image(tmp_path / "linear.png").rgb.mean() - expected) < 1.5


def test_unusable_icc_profile_means_srgb(tmp_path: Path) -> None:
    Image.fromarray(QUADRANTS).save(tmp_path / "odd.png", icc_profile=b"no profile at all")
    assert_quadrants(load_image(tmp_path / "odd.png").rgb, 0)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.jpg", "no file")
    assert_refused(tmp_path, "folder")
    (tmp_path / "text.jpg").write_text("This is a letter, not a photo.\n" * 40)
    assert_refused(tmp_path / "text.jpg", "text.jpg", "not a JPEG, PNG or WebP")
    (tmp_path / "empty.png").write_bytes(b"")
    assert_refused(tmp_path / "empty.png", "empty")
    Image.fromarray(QUADRANTS).save(tmp_path / "photo.bmp")
    assert_refused(tmp_path / "photo.bmp", "not a JPEG, PNG or WebP")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(QUADRANTS).save(path)
    path.chmod(0)
    assert_refused(path, "Permission denied")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, {"jpg": "JPEG"}.get(suffix, suffix))
    data = stream.getvalue()
    path = tmp_path / f"short.{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    assert_refused(path)


def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """A tiny PNG whose header claims a gigapixel; decoding it would fail on its missing data."""
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    for width, height in ((30000, 30000), (60000, 60000), (8192, 6401)):
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        path = tmp_path / "bomb.png"
        path.write_bytes(bytes(data))
        assert_refused(path, "50 megapixels")
    assert 50_000_000 <= MAX_PIXELS <= 8192 * 6401


def test_garbage_after_a_valid_header_never_escapes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for suffix in ("PNG", "JPEG", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(QUADRANTS).save(stream, suffix)
        good = stream.getvalue()
        for _ in range(60):
            damaged = bytearray(good)
            for at in rng.integers(4, len(good), 6):
                damaged[at] = rng.integers(0, 256)
            path = tmp_path / "damaged"
            path.write_bytes(bytes(damaged))
            try:
                assert load_image(path).rgb.ndim == 3
            except InputError as error:
                assert "\n" not in str(error)
