"""Recording what is shown, with the delayed voice, for as long as the disk lasts.

The file is playable at every moment while it grows, as `NAME.part.mp4` beside its final name: after
a crash or a power cut all but the last seconds can be watched. An MP4 becomes an ordinary one when
it is closed; until then it keeps an index of about 20 MB an hour in memory, which MKV does not.
"""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from vasa_cam.errors import InputError
from vasa_cam.files import check_output_path
from vasa_cam.output.canvas import Canvas
from vasa_cam.output.encoding import Encoding, check_picture, encoding_for
from vasa_cam.output.media import DiskFullError, Floats, MediaSettings, MediaWriter
from vasa_cam.output.sink import Bytes, SinkError
from vasa_cam.output.voice_track import VoiceTrack

RATE_HZ: Final = 48_000
_NS: Final = 1_000_000_000
_LONGEST_GAP_NS: Final = 2 * _NS
"""A longer time without frames is a break: it is cut out instead of being filled."""
_VOICE_LAG: Final = Fraction(1)
"""Seconds by which sound is written after the picture, so that it has surely come."""
_PATIENCE_S: Final = 3.0
_ROOM_BYTES: Final = 20_000_000
_KEYFRAME_S: Final = 2
_PRIMING: Final = 1024
"""Samples that AAC needs to start. Taken from the beginning of the sound, they end up at time zero
and not before it, where a fragmented file cannot go."""
_CONTAINER_OPTIONS: Final = {
    # Fragments while it grows, one index when it is closed.
    ".mp4": (("movflags", "+hybrid_fragmented+frag_keyframe"),),
    ".mkv": (("cluster_time_limit", "1000"),),
}


@dataclass(frozen=True)
class RecordingConfig:
    """A recording.

    path: .mp4 or .mkv; where such a file exists the next free name is taken (talk-2.mp4), nothing
    is overwritten. fps: constant frames a second. size_px: width, height, even; None takes the
    first frame's. voice: whether there will be sound. threads: for the encoder.
    Raises InputError for what cannot be recorded, before a file is touched.
    """

    path: Path
    fps: Fraction = Fraction(40)
    size_px: tuple[int, int] | None = None
    voice: bool = True
    threads: int = 1

    def __post_init__(self) -> None:
        if self.path.suffix.lower() not in _CONTAINER_OPTIONS:
            raise InputError(f"{self.path}: a recording is an .mp4 or an .mkv file; choose one.")
        check_picture(self.size_px or (512, 512), self.fps, self.encoding)
        check_output_path(self.path)

    @property
    def encoding(self) -> Encoding:
        """H.264 and AAC, for a file that can be played while it grows."""
        plain = encoding_for(self.path, transparent=False)
        options = {
            "crf": "21",
            # 1.7 ms a frame of 512x512, and half the size of "ultrafast".
            "preset": "superfast",
            "profile": "high",
            "g": str(round(self.fps * _KEYFRAME_S)),
            # A fragmented file cannot say that reordered frames start late: sound would lead.
            "bf": "0",
        }
        return replace(
            plain,
            video_options=tuple(options.items()),
            container_options=_CONTAINER_OPTIONS[self.path.suffix.lower()],
        )


class RecordingSink:
    """Frames and the delayed voice into one file with a constant frame rate.

    Frames are repeated or dropped by their `shown_ns`. finished: the last recording that is
    complete, None before.
    """

    name = "recording"
    wants_alpha = False

    def __init__(self, config: RecordingConfig) -> None:
        self.config = config
        self.finished: Path | None = None
        self._open = False
        self._writing = threading.Lock()
        self._background: Bytes | None = None
        self._take: _Take | None = None
        self._voice = VoiceTrack(RATE_HZ)

    def set_background(self, background: Bytes | None) -> None:
        """As `BackgroundSink` says."""
        self._background = None if background is None else np.array(background)
        take = self._take
        if take is not None:
            take.canvas.set_background(self._background)

    def open(self) -> None:
        """Check the folder; the file begins with the first frame. Raises InputError."""
        check_output_path(self.config.path)
        if shutil.disk_usage(self.config.path.parent).free < _ROOM_BYTES:
            raise InputError(
                f"the disk is full: less than 20 MB are free for {self.config.path}; "
                "free some space or choose another folder."
            )
        if not self._open:
            self._voice = VoiceTrack(RATE_HZ)
            self._open = True

    def send(self, frame: Bytes, capture_ns: int, shown_ns: int, sequence: int) -> None:
        """Record a frame. Raises SinkError when the disk is full; the file up to then is kept."""
        with self._writing:
            if not self._open:
                raise SinkError("the recording is not open.")
            try:
                if self._take is None:
                    self._take = _Take(self.config, frame, shown_ns)
                    self._take.canvas.set_background(self._background)
                self._take.show(frame, shown_ns, self._voice)
            except InputError as error:
                raise SinkError(self._end(error)) from error

    def voice(self, samples: Floats, rate_hz: int, play_ns: int) -> None:
        """As `VoiceSink` says."""
        if self._open and self.config.voice:
            self._voice.push(samples, rate_hz, play_ns)

    def close(self) -> None:
        """Finish the file under its name; without a frame there is none.

        Where a frame is being written all the while (a disk that hangs), the file is left as it is,
        playable under its temporary name.
        """
        if not self._writing.acquire(timeout=_PATIENCE_S):
            return
        try:
            self._end(None)
        finally:
            self._writing.release()

    def _end(self, failure: InputError | None) -> str:
        """Keep what there is; returns one sentence about it."""
        take, self._take = self._take, None
        self._open = False
        if take is None:
            return str(failure)
        try:
            if failure is None:
                take.finish(self._voice)
        except InputError as error:
            failure = error
        kept = take.keep(complete=failure is None)
        self.finished = kept or self.finished
        if failure is None:
            return ""
        why = "the disk is full" if isinstance(failure, DiskFullError) else str(failure).rstrip(".")
        if kept is None:
            return f"{why}; nothing could be recorded."
        return f"{why}; the recording up to then is {kept}."


class _Take:
    """One file, from its first frame to its last."""

    def __init__(self, config: RecordingConfig, first: Bytes, shown_ns: int) -> None:
        height, width = first.shape[:2]
        size = config.size_px or (width & ~1, height & ~1)
        check_picture(size, config.fps, config.encoding)
        self.canvas = Canvas(*size)
        self._config = config
        self._origin_ns = shown_ns
        self._last_ns = shown_ns
        self._frames = 0
        self._samples = _PRIMING
        self._picture = np.zeros((size[1], size[0], 3), np.uint8)
        self._file = _free_name(config.path.with_suffix(f".part{config.path.suffix}"))
        self._writer = MediaWriter(
            self._file,
            config.path,
            MediaSettings(
                size_px=size,
                fps=config.fps,
                encoding=config.encoding,
                rate_hz=RATE_HZ if config.voice else None,
                channels=1,
                threads=config.threads,
            ),
        )

    def show(self, frame: Bytes, shown_ns: int, voice: VoiceTrack) -> None:
        """Write the frame, after repeats of the one before where its time has not come."""
        fps = self._config.fps
        if shown_ns - self._last_ns > _LONGEST_GAP_NS:
            # The film goes on one frame after the last one; the voice of the break is left out.
            self._write_voice(voice, self._frames / fps)
            voice.cut()
            self._origin_ns = shown_ns - round(self._frames / fps * _NS)
        self._last_ns = max(self._last_ns, shown_ns)
        index = round((shown_ns - self._origin_ns) * fps / _NS)
        if index < self._frames:
            return
        for repeat in range(self._frames, index):
            self._writer.picture(self._picture, repeat)
        np.copyto(self._picture, self.canvas.draw(frame))
        self._writer.picture(self._picture, index)
        self._frames = index + 1
        self._write_voice(voice, self._frames / fps - _VOICE_LAG)

    def finish(self, voice: VoiceTrack) -> None:
        """Write the rest of the voice and close the file."""
        self._write_voice(voice, self._frames / self._config.fps)
        self._writer.finish()

    def keep(self, complete: bool) -> Path | None:
        """Give the file its name, or remove it where nothing in it can be shown."""
        self._writer.abandon()
        try:
            if not complete and not _playable(self._file):
                self._file.unlink(missing_ok=True)
                return None
            target = _free_name(self._config.path)
            os.replace(self._file, target)
        except OSError:
            return self._file if self._file.exists() else None
        return target

    def _write_voice(self, voice: VoiceTrack, until_s: Fraction) -> None:
        stop = round(until_s * RATE_HZ)
        if self._config.voice and stop > self._samples:
            block = voice.take(self._samples, stop, self._origin_ns)
            self._writer.sound(block[:, np.newaxis], self._samples)
            self._samples = stop


def _free_name(path: Path) -> Path:
    """The path, or the first of NAME-2, NAME-3, ... that does not exist."""
    candidate, number = path, 1
    stem, dot, part = path.stem.partition(".part")
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{stem}-{number}{dot}{part}{path.suffix}")
    return candidate


def _playable(file: Path) -> bool:
    """Whether a player gets at least one picture out of the file."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(file.absolute()), options={"protocol_whitelist": "file"}) as container:
            return next(container.decode(video=0), None) is not None
    except (FFmpegError, OSError, IndexError):
        return False
