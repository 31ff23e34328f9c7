"""Which codecs each kind of video file gets, and whether a file can be written at all.

Everything a user can get wrong about the output is refused here, before the first frame is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from vasa_cam.errors import InputError

MAX_SIDE_PX: Final = 4096
MAX_FPS: Final = 240


# Macroblock tree is off: with it, x264's output varies from run to run at widths that are no
# multiple of 256, and the same input shall give the same file (it costs 20 % at equal quality).
_H264: Final = (
    ("crf", "19"),
    ("preset", "veryfast"),
    ("profile", "high"),
    ("x264-params", "mbtree=0"),
)
# Real-time settings: at their defaults the VP9 encoder is slower than everything else together.
_VP9: Final = (("crf", "24"), ("deadline", "realtime"), ("cpu-used", "6"), ("row-mt", "1"))
# "bitexact" leaves out random identifiers and version strings: the same input, the same bytes.
_PLAIN: Final = (("fflags", "+bitexact"),)
_FASTSTART: Final = (*_PLAIN, ("movflags", "+faststart"))


@dataclass(frozen=True)
class Encoding:
    """How one kind of file is encoded.

    container: FFmpeg's name of the format. video_codec, audio_codec: FFmpeg's encoders.
    pixel_format: what the video encoder takes. video_options: for that encoder.
    container_options: for the format. audio_rates_hz: what the audio codec takes, best one first.
    """

    container: str
    video_codec: str
    pixel_format: str
    audio_codec: str
    video_options: tuple[tuple[str, str], ...] = ()
    container_options: tuple[tuple[str, str], ...] = _PLAIN
    audio_rates_hz: tuple[int, ...] = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000)

    @property
    def halves_colour(self) -> bool:
        """Whether colour is stored at half resolution, which needs even sizes."""
        return "420" in self.pixel_format


_OPAQUE: Final = {
    ".mp4": Encoding("mp4", "libx264", "yuv420p", "aac", _H264, _FASTSTART),
    ".mov": Encoding("mov", "libx264", "yuv420p", "aac", _H264, _FASTSTART),
    ".mkv": Encoding("matroska", "libx264", "yuv420p", "aac", _H264),
    ".webm": Encoding(
        "webm", "libvpx-vp9", "yuv420p", "libopus", _VP9, audio_rates_hz=(48_000, 24_000, 16_000)
    ),
}
_TRANSPARENT: Final = {
    # The VP9 encoder codes alpha as a second stream and refuses its own frame reordering with it.
    ".webm": Encoding(
        "webm",
        "libvpx-vp9",
        "yuva420p",
        "libopus",
        (*_VP9, ("auto-alt-ref", "0")),
        audio_rates_hz=(48_000, 24_000, 16_000),
    ),
    ".mov": Encoding(
        "mov", "prores_ks", "yuva444p10le", "pcm_s16le", (("profile", "4444"),), _FASTSTART
    ),
}


def encoding_for(path: Path, transparent: bool) -> Encoding:
    """The encoding that a file's ending asks for.

    Raises InputError for an ending that is not known or cannot carry transparency.
    """
    known = _TRANSPARENT if transparent else _OPAQUE
    encoding = known.get(path.suffix.lower())
    if encoding is not None:
        return encoding
    ending = f"ending {path.suffix}" if path.suffix else "a name without an ending"
    if transparent:
        raise InputError(
            f"{path}: {ending} cannot carry transparency; choose .webm (VP9) or .mov (ProRes 4444)."
        )
    raise InputError(
        f"{path}: {ending} is not a video format known here; choose {', '.join(sorted(known))}."
    )


def check_picture(size_px: tuple[int, int], fps: Fraction, encoding: Encoding) -> None:
    """Raise InputError when (width, height) or the frame rate do not fit the encoding."""
    width, height = size_px
    if not (16 <= width <= MAX_SIDE_PX and 16 <= height <= MAX_SIDE_PX):
        raise InputError(
            f"the size {width}x{height} is out of range; expected 16 to {MAX_SIDE_PX} on each side."
        )
    if encoding.halves_colour and (width % 2 or height % 2):
        raise InputError(
            f"the size {width}x{height} is odd, and this format needs even sizes; "
            f"use {width + width % 2}x{height + height % 2}."
        )
    if not 1 <= fps <= MAX_FPS:
        raise InputError(
            f"{float(fps):g} frames a second is out of range; expected 1 to {MAX_FPS}."
        )


def audio_rate_hz(encoding: Encoding, source_rate_hz: int) -> int:
    """The rate to store sound at: the source's own where the codec takes it, its best one else."""
    if source_rate_hz in encoding.audio_rates_hz:
        return source_rate_hz
    return encoding.audio_rates_hz[0]
