"""One media file being written: pictures and sound in, packets to the disk.

`VideoFile` (rendering) and `RecordingSink` (live) decide when what is written; how it is encoded,
how colours are tagged and what a full disk means is here, once.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.ops.pixel import default_matrix, pixel
from vasa_cam.output.encoding import Encoding

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

# ISO/IEC 23091-2 numbers of the YUV matrices, as files store them; 6 is SMPTE 170M, BT.601's twin.
_SPACE_NUMBER: Final = {"bt709": 1, "bt601": 6}
_FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class DiskFullError(InputError):
    """The disk or the user's share of it is full."""


@dataclass(frozen=True)
class MediaSettings:
    """What goes into the file.

    size_px: width, height. fps: constant frame rate, exact. encoding: codecs and options. rate_hz:
    sample rate of the sound, None for a silent file. channels: of the sound, 1 or 2. threads: for
    the video encoder, 0 lets it choose.
    """

    size_px: tuple[int, int]
    fps: Fraction
    encoding: Encoding
    rate_hz: int | None = None
    channels: int = 2
    threads: int = 0


class MediaWriter:
    """Encodes into `file` from construction on; `finish` or `abandon` ends it.

    called: the name that messages give the file. Every method raises InputError when the file
    cannot be written, DiskFullError when the disk is full.
    """

    def __init__(self, file: Path, called: Path, settings: MediaSettings) -> None:
        self.settings = settings
        self._called = called
        self._planes: Bytes | None = None
        self._container: OutputContainer | None = None
        try:
            with self._writing():
                self._open(file)
        except BaseException:
            self.abandon()
            raise

    def picture(self, frame: Bytes, index: int) -> None:
        """Encode one frame, u8 [H, W, 3] or [H, W, 4] (straight alpha), as number `index`."""
        picture = self._picture(frame)
        picture.pts, picture.time_base = index, 1 / self.settings.fps
        with self._writing():
            self._live.mux(self._video.encode(picture))

    def sound(self, block: Floats, start: int) -> None:
        """Encode float32 [n, channels], n >= 1, beginning at sample `start`; no gaps allowed."""
        from av import AudioFrame

        if self._audio is None:
            raise ValueError("MediaWriter: this file has no sound")
        rate_hz = self.settings.rate_hz or 0
        layout = _LAYOUTS[self.settings.channels]
        frame: AudioFrame = AudioFrame.from_ndarray(np.ascontiguousarray(block.T), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
        with self._writing():
            self._live.mux(self._audio.encode(frame))

    def finish(self) -> None:
        """Write what the encoders still hold and close the file."""
        with self._writing():
            self._live.mux(self._video.encode(None))
            if self._audio is not None:
                self._live.mux(self._audio.encode(None))
            self._live.close()
        self._container = None

    def abandon(self) -> None:
        """Close without caring."""
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(Exception):
                container.close()

    @property
    def _live(self) -> OutputContainer:
        if self._container is None:
            raise ValueError("MediaWriter: the file is closed")
        return self._container

    def _open(self, file: Path) -> None:
        import av

        settings, encoding = self.settings, self.settings.encoding
        self._container = av.open(
            str(file.absolute()),
            "w",
            format=encoding.container,
            options=dict(encoding.container_options),
        )
        video = cast(
            "VideoStream",
            self._container.add_stream(
                encoding.video_codec, rate=settings.fps, options=dict(encoding.video_options)
            ),
        )
        (video.width, video.height), video.pix_fmt = settings.size_px, encoding.pixel_format
        video.time_base = video.codec_context.time_base = 1 / settings.fps
        video.codec_context.thread_count = settings.threads
        self._tag_colours(video)
        self._video = video
        self._audio: AudioStream | None = None
        if settings.rate_hz is not None:
            audio = cast(
                "AudioStream",
                self._container.add_stream(encoding.audio_codec, rate=settings.rate_hz),
            )
            audio.layout = _LAYOUTS[settings.channels]
            # 4 bits a sample and channel are transparent for speech; 96 kbit/s each is enough.
            audio.bit_rate = settings.channels * min(96_000, 4 * settings.rate_hz)
            self._audio = audio

    def _tag_colours(self, video: VideoStream) -> None:
        """sRGB's primaries, video's transfer curve and the matrix that the height asks for."""
        from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

        context = video.codec_context
        context.color_primaries = int(ColorPrimaries.BT709)
        context.color_trc = int(ColorTrc.BT709)
        context.color_range = int(ColorRange.MPEG)
        context.colorspace = _SPACE_NUMBER[default_matrix(self.settings.size_px[1])]

    def _picture(self, frame: Bytes) -> VideoFrame:
        from av import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        wanted = self.settings.encoding.pixel_format
        if wanted == "yuv420p":
            self._planes = pixel(frame, "i420", out=self._planes)
            return VideoFrame.from_ndarray(self._planes, wanted)
        bt709 = default_matrix(self.settings.size_px[1]) == "bt709"
        return VideoFrame.from_ndarray(frame, "rgba").reformat(
            format=wanted,
            dst_colorspace=Colorspace.ITU709 if bt709 else Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What the user can act on becomes an InputError."""
        from av.error import FFmpegError

        path = self._called
        try:
            yield
        except OSError as error:
            if error.errno in _FULL_DISK:
                raise DiskFullError(
                    f"the disk is full while writing {path}; "
                    "free some space or choose another folder."
                ) from error
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error
        except FFmpegError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error
