"""Speech that a program sends: raw 16-bit samples on standard input or through the WebSocket.

A voice agent writes a sentence as fast as its synthesiser makes it; it is played in real time,
with silence while nothing is there.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import BinaryIO, Final

import numpy as np

from vasa_cam.audio.blocks import MONOTONIC, Clock, Floats
from vasa_cam.audio.file import SPEECH_RATE_HZ
from vasa_cam.audio.paced import BLOCK_MS, PacedSource

JITTER_MS: Final = 40
"""How much must have arrived before speech begins after a pause, in milliseconds."""

BUFFER_S: Final = 60.0
"""How much unplayed speech is kept, in seconds."""

_READ_BYTES: Final = 4096
# A sender whose clock is fast makes the buffer grow. Where at least this much has lain unused for
# as long as this, one quiet block a second is left out.
_SURPLUS_MS: Final = 60
_SURPLUS_FOR_S: Final = 10.0
# A word too short to fill the buffer is played after this many blocks without more of it.
_PATIENCE_BLOCKS: Final = 20
_QUIET: Final = 10.0 ** (-50.0 / 20.0)


class PcmSource(PacedSource):
    """Raw s16le mono samples, from a binary stream or from `feed`, played in real time.

    stream: read by a thread of its own, which waits while the buffer is full; None: `feed` brings
    the samples. jitter_ms: what must be there before speech begins after a pause. Silence comes out
    while nothing is there. ended: the stream was closed and everything has been played.
    drops: samples that found the buffer full. underruns: how often speech broke off for lack of
    samples, at the end of a sentence or within it.
    """

    def __init__(
        self,
        stream: BinaryIO | None = None,
        *,
        rate_hz: int = SPEECH_RATE_HZ,
        jitter_ms: int = JITTER_MS,
        block_ms: int = BLOCK_MS,
        clock: Clock = MONOTONIC,
    ) -> None:
        name = "pcm feed" if stream is None else "pcm stream"
        super().__init__(name, rate_hz, block_ms=block_ms, clock=clock)
        self.underruns = 0
        self._stream = stream
        self._jitter_bytes = 2 * round(rate_hz * jitter_ms / 1000)
        self._limit_bytes = 2 * round(rate_hz * BUFFER_S)
        self._buffer = bytearray()
        self._half = b""
        self._changed = threading.Condition()
        self._closed = False
        self._speaking = False
        self._blocks_a_second = round(rate_hz / self.block_samples)
        self._levels: deque[int] = deque(maxlen=round(_SURPLUS_FOR_S * self._blocks_a_second))
        self._waited_blocks = 0
        self._reader: threading.Thread | None = None

    @property
    def buffered_s(self) -> float:
        """Speech that has arrived and was not handed out yet, in seconds."""
        return len(self._buffer) / (2 * self.rate_hz)

    def start(self) -> None:
        """Begin now; with a stream, start reading it."""
        super().start()
        if self._stream is not None and self._reader is None:
            # A daemon thread: a read from a terminal or pipe cannot be interrupted.
            self._reader = threading.Thread(target=self._read_stream, name="pcm", daemon=True)
            self._reader.start()

    def stop(self) -> None:
        """Forget what was not played."""
        self.clear()

    def feed(self, data: bytes) -> int:
        """Append raw s16le bytes, split anywhere; return how many found no room and were dropped.

        May be called from any thread.
        """
        with self._changed:
            # Half a sample waits here, so that neither a drop nor `clear` shifts the bytes.
            data = self._half + data
            whole = len(data) // 2 * 2
            self._half = data[whole:]
            taken = min(whole, self._limit_bytes - len(self._buffer))
            self._buffer += data[:taken]
            self.drops += (whole - taken) // 2
            return whole - taken

    def clear(self) -> None:
        """Forget unplayed speech: the agent was interrupted."""
        with self._changed:
            self._buffer.clear()
            self._speaking = False
            self._changed.notify_all()

    def close(self) -> None:
        """No more will be fed: `ended` follows when everything has been played."""
        with self._changed:
            self._closed = True

    def _read_stream(self) -> None:
        stream = self._stream
        assert stream is not None
        while True:
            try:
                # A buffered reader's read(n) would wait for all n bytes.
                read = getattr(stream, "read1", stream.read)
                data = read(_READ_BYTES)
            except (OSError, ValueError):
                data = b""
            if not data:
                self.close()
                return
            with self._changed:
                self._changed.wait_for(self._has_room)
            self.feed(data)

    def _has_room(self) -> bool:
        return len(self._buffer) + _READ_BYTES + 1 <= self._limit_bytes

    def _next_samples(self) -> Floats | None:
        wanted = 2 * self.block_samples
        with self._changed:
            available = len(self._buffer)
            if self._closed and available == 0:
                return None
            if not self._speaking and not self._may_begin(available, wanted):
                return np.zeros(self.block_samples, np.float32)
            self._speaking = True
            self._leave_out_surplus(wanted)
            data = bytes(self._buffer[:wanted])
            del self._buffer[: len(data)]
            self._changed.notify_all()
        samples: Floats = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768.0)
        if len(data) < wanted:
            self._speaking = False
            self._levels.clear()
            self.underruns += not self._closed
            samples = np.concatenate(
                [samples, np.zeros(self.block_samples - len(samples), np.float32)]
            )
        return samples

    def _may_begin(self, available: int, wanted: int) -> bool:
        self._waited_blocks = self._waited_blocks + 1 if available else 0
        waited = self._closed or self._waited_blocks > _PATIENCE_BLOCKS
        return available >= max(wanted, self._jitter_bytes) or (waited and available > 0)

    def _leave_out_surplus(self, wanted: int) -> None:
        self._levels.append(len(self._buffer))
        surplus = 2 * self.rate_hz * _SURPLUS_MS // 1000
        full = len(self._levels) == self._levels.maxlen
        if not full or min(self._levels) < self._jitter_bytes + surplus:
            return
        block = np.frombuffer(bytes(self._buffer[:wanted]), "<i2")
        if np.abs(block.astype(np.float32)).max() < _QUIET * 32768.0:
            del self._buffer[:wanted]
            for _ in range(self._blocks_a_second):
                self._levels.popleft()
