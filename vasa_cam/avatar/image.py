"""Photos from any camera or program, as upright sRGB pixels.

JPEG, PNG and WebP; EXIF rotation, ICC profiles, greyscale, CMYK, 16 bits, palettes and transparency
are resolved here, so that nothing behind this module has to know about them.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from vasa_cam.errors import InputError

U8 = npt.NDArray[np.uint8]

MAX_PIXELS: Final = 50 * 1024 * 1024
"""50 megapixels as cameras count them; larger headers are refused before anything is decoded."""

_TOO_LARGE: Final = "more than the 50 megapixels that are read; make it smaller."
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_DECODE_ERRORS: Final = (
    OSError,
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Photo:
    """An upright picture in sRGB.

    rgb: uint8 [H, W, 3]. alpha: uint8 [H, W] or None when every pixel is opaque.
    """

    rgb: U8
    alpha: U8 | None


def load_image(path: Path) -> Photo:
    """Read a JPEG, PNG or WebP of up to 50 megapixels, upright and in sRGB.

    Raises InputError, one sentence, when the file is missing, empty, unreadable, not a picture of
    these formats, too large or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"Expected a photo, got the folder {path}; name one picture in it.")
    if not path.exists():
        raise InputError(f"There is no file {path}; give the path of a JPEG, PNG or WebP photo.")
    try:
        empty = path.stat().st_size == 0
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"Cannot read {path}: {reason}; check its permissions.") from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); copy or save the photo again.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own size limit and odd EXIF: both handled here
        return _decode(path)


def _decode(path: Path) -> Photo:
    Image.init()  # Pillow registers WebP only then
    try:
        image = Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not a JPEG, PNG or WebP picture; convert it to one of these."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is {_TOO_LARGE}") from error
    except _DECODE_ERRORS as error:
        raise InputError(_damaged(path)) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise InputError(f"{path} is {image.width} x {image.height} pixels, {_TOO_LARGE}")
        try:
            image.load()
            return _to_photo(image)
        except MemoryError as error:
            raise InputError(f"{path} does not fit into memory; make it smaller.") from error
        except _DECODE_ERRORS as error:
            raise InputError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return f"{path} is damaged or cut short; copy or save the photo again."


def _to_photo(image: Image.Image) -> Photo:
    profile = image.info.get("icc_profile")
    image = _upright(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    alpha: U8 | None = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        alpha = np.array(image.getchannel("A"))
        if alpha.min() == 255 or alpha.max() == 0:
            alpha = None
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    return Photo(np.array(_to_srgb(image, profile)), alpha)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DECODE_ERRORS:  # broken EXIF: the pixels are good, only the rotation is unknown
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greyscale to 8 bits, rounded (65535 becomes 255)."""
    levels = np.asarray(image).astype(np.uint32).clip(0, 65535)
    return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB; a missing or unusable profile means sRGB (Pillow's formula for CMYK)."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
                return image
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, *_DECODE_ERRORS):
            pass
    return image.convert("RGB")
