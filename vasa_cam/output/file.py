"""Video files: frames and sound in, one complete file or none out.

Everything is written to a temporary name in the target's folder and renamed when it is finished, so
that neither an interrupt nor a full disk leaves half a video behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.files import check_output_path
from vasa_cam.ops.pixel import default_matrix, pixel
from vasa_cam.output.encoding import (
    Encoding,
    audio_rate_hz,
    check_picture,
    encoding_for,
)

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


@dataclass(frozen=True)
class VideoFileConfig:
    """A video file to write.

    path: where; its ending chooses the format. size_px: width, height. fps: constant frame rate,
    exact. transparent: keep the frames' alpha. source_rate_hz: sample rate of the sound that will
    come, None for a silent file. threads: for the encoder, 0 lets it choose.
    Raises InputError for anything that cannot work, before a file is touched.
    """

    path: Path
    size_px: tuple[int, int]
    fps: Fraction
    transparent: bool = False
    source_rate_hz: int | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        check_picture(self.size_px, self.fps, self.encoding)
        check_output_path(self.path)

    @property
    def encoding(self) -> Encoding:
        """The codecs that the path's ending asks for."""
        return encoding_for(self.path, self.transparent)

    @property
    def rate_hz(self) -> int | None:
        """Sample rate in the file: what `VideoFile` expects its sound at; None for silence."""
        if self.source_rate_hz is None:
            return None
        return audio_rate_hz(self.encoding, self.source_rate_hz)


class VideoFile:
    """Context manager that encodes frames, and sound beside them, into one video file.

    sound: iterator of float32 [n, 2] blocks at `config.rate_hz`; pulled as the frames come, then
    cut or filled with silence so that sound and picture end together. Leaving the block normally
    finishes the file under its name; leaving it by an exception, an interrupt included, leaves
    nothing. Raises InputError when the disk is full or the encoder refuses.
    """

    def __init__(self, config: VideoFileConfig, sound: Iterator[Floats] | None = None) -> None:
        if (sound is None) != (config.rate_hz is None):
            raise ValueError("VideoFile: sound and config.source_rate_hz go together")
        self.config = config
        self.frames = 0
        self._sound = sound
        self._samples = 0
        self._rest: Floats = np.zeros((0, 2), np.float32)
        self._planes: Bytes | None = None
        self._temporary = config.path.with_name(f".{config.path.name}.part-{os.getpid()}")

    def __enter__(self) -> VideoFile:
        try:
            with self._writing():
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frame: Bytes) -> None:
        """Encode the next frame: u8 [H, W, 3], or [H, W, 4] (straight alpha) when transparent."""
        width, height = self.config.size_px
        expected = (height, width, 4 if self.config.transparent else 3)
        if frame.shape != expected or frame.dtype != np.uint8:
            raise ValueError(
                f"VideoFile: a frame must be u8 {expected}, got {frame.dtype} {frame.shape}"
            )
        picture = self._picture(frame)
        picture.pts, picture.time_base = self.frames, 1 / self.config.fps
        with self._writing():
            self._container.mux(self._video.encode(picture))
        self.frames += 1
        self._feed_sound()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._discard()
            return
        try:
            with self._writing():
                self._finish()
        except BaseException:
            self._discard()
            raise

    def _finish(self) -> None:
        self._container.mux(self._video.encode(None))
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))
        self._container.close()
        os.replace(self._temporary, self.config.path)

    def _open(self) -> None:
        import av

        encoding, (width, height) = self.config.encoding, self.config.size_px
        self._container: OutputContainer = av.open(
            str(self._temporary.absolute()),
            "w",
            format=encoding.container,
            options=dict(encoding.container_options),
        )
        video = cast(
            "VideoStream",
            self._container.add_stream(
                encoding.video_codec, rate=self.config.fps, options=dict(encoding.video_options)
            ),
        )
        video.width, video.height, video.pix_fmt = width, height, encoding.pixel_format
        video.time_base = video.codec_context.time_base = 1 / self.config.fps
        video.codec_context.thread_count = self.config.threads
        self._tag_colours(video)
        self._video = video
        self._audio: AudioStream | None = None
        rate_hz = self.config.rate_hz
        if rate_hz is not None:
            audio = cast(
                "AudioStream", self._container.add_stream(encoding.audio_codec, rate=rate_hz)
            )
            audio.layout = "stereo"
            # 4 bits a sample and channel are transparent for speech; 192 kbit/s is enough for all.
            audio.bit_rate = min(192_000, 8 * rate_hz)
            self._audio = audio

    def _tag_colours(self, video: VideoStream) -> None:
        """sRGB's primaries, video's transfer curve and the matrix that the height asks for."""
        from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

        context = video.codec_context
        context.color_primaries = int(ColorPrimaries.BT709)
        context.color_trc = int(ColorTrc.BT709)
        context.color_range = int(ColorRange.MPEG)
        context.colorspace = _SPACE_NUMBER[default_matrix(self.config.size_px[1])]

    def _picture(self, frame: Bytes) -> VideoFrame:
        from av import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        wanted = self.config.encoding.pixel_format
        if wanted == "yuv420p":
            self._planes = pixel(frame, "i420", out=self._planes)
            return VideoFrame.from_ndarray(self._planes, wanted)
        bt709 = default_matrix(self.config.size_px[1]) == "bt709"
        return VideoFrame.from_ndarray(frame, "rgba").reformat(
            format=wanted,
            dst_colorspace=Colorspace.ITU709 if bt709 else Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
        )

    def _feed_sound(self) -> None:
        """Encode sound up to the end of the last frame written."""
        if self._audio is None or self._sound is None or self.config.rate_hz is None:
            return
        wanted = round(self.frames / self.config.fps * self.config.rate_hz) - self._samples
        while len(self._rest) < wanted:
            more = next(self._sound, None)
            if more is None:
                more = np.zeros((wanted - len(self._rest), 2), np.float32)
            self._rest = np.concatenate([self._rest, more])
        block, self._rest = self._rest[:wanted], self._rest[wanted:]
        if len(block):
            with self._writing():
                self._container.mux(self._audio.encode(self._sound_frame(block)))
            self._samples += len(block)

    def _sound_frame(self, block: Floats) -> AudioFrame:
        from av import AudioFrame

        rate_hz = self.config.rate_hz or 0
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block.T), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, self._samples, Fraction(1, rate_hz)
        return frame

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What the user can act on becomes an InputError."""
        from av.error import FFmpegError

        path = self.config.path
        try:
            yield
        except OSError as error:
            if error.errno in _FULL_DISK:
                raise InputError(
                    f"the disk is full while writing {path}; "
                    "free some space or choose another folder."
                ) from error
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error
        except FFmpegError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error

    def _discard(self) -> None:
        """Close without caring and remove the temporary file."""
        if hasattr(self, "_container"):
            with contextlib.suppress(Exception):
                self._container.close()
        self._temporary.unlink(missing_ok=True)
