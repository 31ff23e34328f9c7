"""What `vasa-cam latency` sees and hears: frames read back, sound played and recorded."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.audio import device_search
from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock, Floats
from vasa_cam.audio.paced import BLOCK_MS
from vasa_cam.audio.portaudio import Device, DeviceStream
from vasa_cam.audio.sources import AudioSource, audio_source
from vasa_cam.errors import InputError, VasaCamError
from vasa_cam.live.latency import RATE_HZ, Recording, Sighting

Bytes = npt.NDArray[np.uint8]

_COLUMNS: Final = 64
_PATIENCE_S: Final = 30.0
_READ_S: Final = 0.2
_LEAD_S: Final = 1.0
_TAIL_S: Final = 3.0


def watch_and_listen(
    frames: FrameReader,
    play_to: str,
    signal: Floats,
    sources: dict[str, str],
    block_ms: int = BLOCK_MS,
) -> tuple[Sighting, dict[str, Recording]]:
    """Play the signal while frames are read and sources recorded.

    play_to: an output device. signal: float32 [n] at 16 kHz. sources: name -> what to record, as
    for `audio_source`; the recordings come back under the same names. block_ms: of the recordings;
    longer ones are less work for a slow machine. Raises InputError when a device cannot be used or
    gives nothing.
    """
    device = device_search.find_device(play_to, "output")
    recorders = {name: SoundRecorder(spec, block_ms) for name, spec in sources.items()}
    started: list[_Background] = []
    try:
        for part in (*recorders.values(), frames):
            part.start()
            started.append(part)
        for part in started:
            part.wait_for_first(_PATIENCE_S)
        time.sleep(_LEAD_S)
        play(device, signal)
        time.sleep(_TAIL_S)
    finally:
        for part in reversed(started):
            part.stop()
    return frames.sighting(), {name: one.recording() for name, one in recorders.items()}


def play(device: Device, signal: Floats) -> None:
    """Play float32 [n] at 16 kHz to an output device and return at its end. Raises InputError."""
    if device.server_name and (program := shutil.which("pacat")) is not None:
        _play_by_server(program, device, signal)
    else:
        _play_by_portaudio(device, signal)


def _play_by_server(program: str, device: Device, signal: Floats) -> None:
    """Through the sound server's own player, which breaks off on no machine, however slow."""
    command = [program, "--playback", f"--device={device.server_name}", f"--rate={RATE_HZ}"]
    command += ["--channels=1", "--format=float32le", "--latency-msec=200"]
    limit_s = len(signal) / RATE_HZ + 2 * _PATIENCE_S
    try:
        subprocess.run(
            command,
            input=np.asarray(signal, "<f4").tobytes(),
            capture_output=True,
            timeout=limit_s,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{device.name} does not take sound ({error}).") from error


def _play_by_portaudio(device: Device, signal: Floats) -> None:
    import soxr

    samples = np.asarray(soxr.resample(signal, RATE_HZ, device.rate_hz), np.float32)
    place = 0
    done = threading.Event()

    def fill(out: Floats, count: int, _times: Any, _status: Any) -> None:
        nonlocal place
        part = samples[place : place + count]
        out[: len(part)] = part[:, np.newaxis]
        out[len(part) :] = 0.0
        place += count
        if place >= len(samples):
            done.set()

    # When it is heard does not matter, only that it is heard whole.
    stream = DeviceStream(device, "output", device.rate_hz // 10, fill, "high")
    try:
        if not done.wait(len(samples) / device.rate_hz + _PATIENCE_S):
            raise InputError(f"{device.name} does not take sound; choose another --play device.")
        time.sleep(1.0)  # what the device still holds
    finally:
        stream.close()


class _Background(ABC):
    """A thread that collects until it is stopped; its error is told to who waits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stopping = threading.Event()
        self._first = threading.Event()
        self._error: VasaCamError | None = None
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; may take a moment."""
        self._stopping.set()
        self._thread.join(_PATIENCE_S)

    def wait_for_first(self, timeout_s: float) -> None:
        """Until something has come. Raises InputError when nothing does."""
        arrived = self._first.wait(timeout_s)
        if self._error is not None:
            raise self._error
        if not arrived:
            raise InputError(f"{self._name} gives nothing; is it in use, or silent?")

    def _guarded(self) -> None:
        try:
            self._collect()
        except VasaCamError as error:
            self._error = error
            self._first.set()

    @abstractmethod
    def _collect(self) -> None: ...


class SoundRecorder(_Background):
    """Records a source, named as for `audio_source`."""

    def __init__(self, spec: str, block_ms: int = BLOCK_MS) -> None:
        super().__init__(spec)
        self._source: AudioSource = audio_source(spec, block_ms=block_ms)
        self._blocks: list[AudioBlock] = []

    def recording(self) -> Recording:
        """All that was heard, each block where its capture time puts it. Raises InputError."""
        import soxr

        if not self._blocks:
            raise InputError(f"{self._name} gives no sound; name another source.")
        rate_hz, first_ns = self._blocks[0].rate_hz, self._blocks[0].capture_ns
        places = [
            round((block.capture_ns - first_ns) * rate_hz / NS_A_SECOND) for block in self._blocks
        ]
        samples = np.zeros(places[-1] + len(self._blocks[-1].samples), np.float32)
        for place, block in zip(places, self._blocks, strict=True):
            samples[place : place + len(block.samples)] = block.samples
        resampled = np.asarray(soxr.resample(samples, rate_hz, RATE_HZ), np.float32)
        return Recording(resampled, first_ns / NS_A_SECOND)

    def _collect(self) -> None:
        self._source.start()
        try:
            while not self._stopping.is_set():
                block = self._source.read(_READ_S)
                if block is not None:
                    self._blocks.append(block)
                    self._first.set()
        finally:
            self._source.stop()


class FrameReader(_Background):
    """Reads frames and keeps the mean brightness of their blocks with the time of each reading."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._times_s: list[float] = []
        self._blocks: list[Floats] = []

    def sighting(self) -> Sighting:
        """All that was seen. Raises InputError when the frames changed their size."""
        if len({len(blocks) for blocks in self._blocks}) != 1:
            raise InputError(f"{self._name}: the size of the frames changed; measure again.")
        return Sighting(np.array(self._times_s), np.stack(self._blocks))

    def _collect(self) -> None:
        for grey in self._frames():
            self._times_s.append(time.monotonic())
            self._blocks.append(block_means(grey))
            self._first.set()
            if self._stopping.is_set():
                return
        if not self._stopping.is_set():
            self._error = InputError(f"{self._name} gives no more frames; measure again.")

    @abstractmethod
    def _frames(self) -> Iterator[Bytes]:
        """Brightness of each frame, uint8 [H, W]. Raises InputError when they cannot be read."""


class CameraReader(FrameReader):
    """Reads a camera device as any program does."""

    def __init__(self, device: str) -> None:
        super().__init__(device)

    def _frames(self) -> Iterator[Bytes]:
        import av

        try:
            with av.open(self._name, format="v4l2", timeout=_PATIENCE_S) as container:
                for frame in container.decode(video=0):
                    yield frame.reformat(format="gray8").to_ndarray()
        except (av.FFmpegError, OSError, IndexError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"the camera {self._name} cannot be read ({reason}).") from error


class PreviewReader(FrameReader):
    """Reads the preview server's MJPEG stream. url: of the preview page, token included."""

    def __init__(self, url: str) -> None:
        super().__init__("the preview")
        page, _, query = url.partition("?")
        self._url = f"{page.rstrip('/')}/stream.mjpg?{query}"

    def _frames(self) -> Iterator[Bytes]:
        import io
        from urllib.error import URLError
        from urllib.request import ProxyHandler, build_opener

        from PIL import Image

        try:
            # Never through a proxy: it is on this machine.
            opener = build_opener(ProxyHandler({}))
            with opener.open(self._url, timeout=_PATIENCE_S) as stream:
                while (size := _part_bytes(stream)) is not None:
                    with Image.open(io.BytesIO(stream.read(size))) as picture:
                        picture.draft("L", picture.size)
                        yield np.asarray(picture.convert("L"))
        except (URLError, OSError) as error:
            raise InputError(f"the preview cannot be read ({error}).") from error


def _part_bytes(stream: Any) -> int | None:
    """Length of the next part of a multipart stream, whose body comes next; None at its end."""
    size = None
    while line := stream.readline(1024):
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "content-length":
            size = int(value)
        elif not line.strip() and size is not None:
            return size
    return None


def block_means(grey: Bytes) -> Floats:
    """Mean brightness of square blocks, 64 in a row: float32 [B] of uint8 [H, W]."""
    side = max(1, grey.shape[1] // _COLUMNS)
    rows, columns = grey.shape[0] // side, grey.shape[1] // side
    step = max(1, side // 5)  # a few pixels of a block tell its mean
    blocks = grey[: rows * side, : columns * side].reshape(rows, side, columns, side)
    means = blocks[:, ::step, :, ::step].mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(means.ravel(), np.float32)
