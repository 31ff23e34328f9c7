"""Video files: frames and sound in, one complete file or none out.

Everything is written to a temporary name in the target's folder and renamed when it is finished, so
that neither an interrupt nor a full disk leaves half a video behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.files import check_output_path
from vasa_cam.output.encoding import Encoding, audio_rate_hz, check_picture, encoding_for
from vasa_cam.output.media import MediaSettings, MediaWriter

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


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
        self._writer: MediaWriter | None = None
        self._temporary = config.path.with_name(f".{config.path.name}.part-{os.getpid()}")

    def __enter__(self) -> VideoFile:
        config = self.config
        settings = MediaSettings(
            size_px=config.size_px,
            fps=config.fps,
            encoding=config.encoding,
            rate_hz=config.rate_hz,
            threads=config.threads,
        )
        try:
            self._writer = MediaWriter(self._temporary, config.path, settings)
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
        if self._writer is None:
            raise ValueError("VideoFile: not entered")
        self._writer.picture(frame, self.frames)
        self.frames += 1
        self._feed_sound(self._writer)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None or self._writer is None:
            self._discard()
            return
        try:
            self._writer.finish()
            self._publish()
        except BaseException:
            self._discard()
            raise

    def _publish(self) -> None:
        try:
            os.replace(self._temporary, self.config.path)
        except OSError as error:
            raise InputError(f"{self.config.path} cannot be written: {error.strerror}.") from error

    def _feed_sound(self, writer: MediaWriter) -> None:
        """Encode sound up to the end of the last frame written."""
        if self._sound is None or self.config.rate_hz is None:
            return
        wanted = round(self.frames / self.config.fps * self.config.rate_hz) - self._samples
        while len(self._rest) < wanted:
            more = next(self._sound, None)
            if more is None:
                more = np.zeros((wanted - len(self._rest), 2), np.float32)
            self._rest = np.concatenate([self._rest, more])
        block, self._rest = self._rest[:wanted], self._rest[wanted:]
        if len(block):
            writer.sound(block, self._samples)
            self._samples += len(block)

    def _discard(self) -> None:
        """Close without caring and remove the temporary file."""
        if self._writer is not None:
            self._writer.abandon()
        self._temporary.unlink(missing_ok=True)
