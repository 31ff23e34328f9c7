"""Audio files, and the audio of videos, through PyAV: streamed, so an hour of sound is no problem.

Two readings of one file: `read_speech` gives float32 mono at 16 kHz for the motion model (230 MB an
hour), `stereo_blocks` streams the original rate in stereo for the finished video (no file is ever
held whole at its own rate).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from av import AudioFrame, CodecContext
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Floats = npt.NDArray[np.float32]

SPEECH_RATE_HZ: Final = 16_000
"""The rate the motion model listens at, in hertz."""

# Containers with sound that people have. Playlists (HLS, concat) are left out on purpose: they are
# text files that can name other files and addresses.
_CONTAINERS: Final = (
    "wav,w64,aiff,au,caf,flac,mp3,aac,ogg,mov,mp4,m4a,matroska,webm,avi,mpegts,mpeg,asf,flv,amr,"
    "ac3,eac3"
)
_KINDS: Final = "WAV, FLAC, MP3, M4A, OGG or a video with sound"
# 24 dB over full scale: beyond that a float file holds unscaled integers, not sound in -1..1.
_PEAK_LIMIT: Final = 16.0
# What recorders and converters make; a rate outside comes from a damaged header.
_RATES_HZ: Final = range(1_000, 768_001)


@dataclass(frozen=True)
class AudioInfo:
    """What a file's first audio stream is.

    rate_hz: its own sample rate. channels: its own count. codec: the decoder's short name.
    duration_s: what the container claims, 0.0 where it says nothing.
    """

    path: Path
    rate_hz: int
    channels: int
    codec: str
    duration_s: float


def probe_audio(path: Path) -> AudioInfo:
    """Describe the first audio stream of a file without decoding it.

    Raises InputError for a missing, empty or unknown file and for one without a sound stream that
    can be decoded.
    """
    with _open(path) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = container.duration / 1e6 if container.duration else 0.0
        return AudioInfo(
            path, stream.rate, stream.channels, stream.codec_context.name, max(0.0, seconds)
        )


def read_speech(path: Path) -> Floats:
    """Decode a file to what the motion model hears: float32 [N], mono, 16 kHz, -1..1.

    Stereo is averaged, more channels are mixed down first; the rate is changed by soxr (HQ) while
    the file streams by. Raises InputError as `probe_audio` does, and for a file that holds no
    sample or samples that are not finite.
    """
    import soxr

    resampler: soxr.ResampleStream | None = None
    # A bytearray grows in place; a list of arrays would need twice the memory to be joined.
    samples = bytearray()
    for rate_hz, block in _blocks(path):
        mono = np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
        if rate_hz == SPEECH_RATE_HZ:
            samples += mono.tobytes()
            continue
        if resampler is None:
            resampler = soxr.ResampleStream(rate_hz, SPEECH_RATE_HZ, 1, dtype="float32")
        samples += resampler.resample_chunk(mono).tobytes()
    if resampler is not None:
        samples += resampler.resample_chunk(np.zeros(0, np.float32), last=True).tobytes()
    speech = np.frombuffer(samples, np.float32)
    if not len(speech):
        raise InputError(f"{path} is too short to hold a sample at {SPEECH_RATE_HZ} Hz.")
    return speech


def stereo_blocks(path: Path, rate_hz: int | None = None) -> Iterator[Floats]:
    """Stream a file as stereo: float32 [n, 2] blocks, -1..1, at its own rate or at `rate_hz`.

    Mono is put on both channels at full level; more channels are mixed down. Raises InputError as
    `read_speech` does, while it is iterated.
    """
    import soxr

    resampler: soxr.ResampleStream | None = None
    for own_rate_hz, block in _blocks(path):
        if rate_hz is None or rate_hz == own_rate_hz:
            yield block
            continue
        if resampler is None:
            resampler = soxr.ResampleStream(own_rate_hz, rate_hz, 2, dtype="float32")
        yield resampler.resample_chunk(block)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)


def _blocks(path: Path) -> Iterator[tuple[int, Floats]]:
    """(rate in hertz, float32 [n, 2]) as decoded; checks that there is sound and it is finite."""
    count = 0
    with _open(path) as (container, stream):
        rate_hz = stream.rate
        for block in _stereo(path, container, stream):
            peak = float(np.abs(block).max())  # NaN when any sample is
            if not np.isfinite(peak):
                raise InputError(
                    f"{path} holds samples that are not finite (NaN or infinity) at "
                    f"{count / rate_hz:.2f} s; export it again as 16-bit WAV or FLAC."
                )
            if peak > _PEAK_LIMIT:
                raise InputError(
                    f"{path} holds samples up to {peak:.4g} where -1..1 is expected; "
                    "export it again as 16-bit WAV or FLAC."
                )
            count += len(block)
            yield rate_hz, np.clip(block, -1.0, 1.0)
    if count == 0:
        raise InputError(f"{path} holds no sound: its audio stream has no sample.")


def _stereo(path: Path, container: InputContainer, stream: AudioStream) -> Iterator[Floats]:
    """Decoded blocks, float32 [n, 2], n >= 1, at the rate the stream began with."""
    from av import AudioResampler
    from av.error import FFmpegError

    rate_hz, converter, layout_in = stream.rate, None, None
    for frame in _frames(path, container, stream):
        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if layout != layout_in or converter is None:
            # Mono stays mono here (libswresample would lower it by 3 dB) and is doubled below; a
            # stream whose layout changes midway (chained Ogg) gets a new converter.
            channels = "mono" if len(frame.layout.channels) == 1 else "stereo"
            converter, layout_in = AudioResampler("fltp", channels, rate_hz), layout
        frame.pts = None
        try:
            converted_frames = converter.resample(frame)
        except FFmpegError as error:
            raise InputError(
                f"{path} has {len(frame.layout.channels)} channels that cannot be mixed to stereo; "
                "convert it to mono or stereo."
            ) from error
        for converted in converted_frames:
            planes = converted.to_ndarray()
            if planes.shape[1]:
                yield np.ascontiguousarray(np.broadcast_to(planes.T, (planes.shape[1], 2)))


def _frames(path: Path, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Decoded frames; damaged packets are skipped, as players do, and counted in the log."""
    from av.error import FFmpegError

    damaged = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except FFmpegError:
                damaged += 1
                continue
            yield from frames
    except FFmpegError:
        damaged += 1
    if damaged:
        logging.getLogger(__name__).warning("%s: %d damaged audio packets left out", path, damaged)


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    """The container and its first decodable audio stream; closes the container afterwards."""
    import av
    from av.error import FFmpegError

    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {kind}; expected a sound file ({_KINDS}).")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); expected a sound file ({_KINDS}).")
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    try:
        container = av.open(str(path.resolve()), "r", options=options)
    except (FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise InputError(f"{path} cannot be read: permission denied.") from error
        raise InputError(
            f"{path} is not a sound file that can be read; expected {_KINDS}."
        ) from error
    with container:
        if not container.streams.audio:
            raise InputError(f"{path} has no audio stream; expected {_KINDS}.")
        stream = container.streams.audio[0]
        # PyAV gives no context, whatever its annotations say, when there is no decoder.
        context: CodecContext | None = stream.codec_context
        if context is None or not stream.rate or not stream.channels:
            raise InputError(
                f"{path} has an audio stream of a codec that is not known here; "
                "convert it to WAV or FLAC."
            )
        if stream.rate not in _RATES_HZ:
            raise InputError(
                f"{path} claims {stream.rate} samples a second; expected "
                f"{_RATES_HZ[0]} to {_RATES_HZ[-1]}, so its header must be damaged."
            )
        yield container, stream
