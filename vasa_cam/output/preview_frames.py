"""Frames for browsers: encoded once, only while somebody watches, the newest for everyone.

Measured at 512x512 on one core: JPEG 0.9 ms, JPEG with the alpha plane beside it (deflated) 2.5 ms,
lossy WebP with alpha 10 ms, PNG 14 ms. Hence the second for transparent pictures: it is a quarter
of WebP's work, and a browser puts the two together in half a millisecond.
"""

from __future__ import annotations

import asyncio
import io
import struct
import time
import zlib
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from vasa_cam.ops.pixel import pixel
from vasa_cam.output.sink import Bytes

Kind = Literal["opaque", "alpha"]

QUALITY: Final = 85
WINDOW: Final = 2
"""Frames a viewer may have been sent without having shown them: one under way, one in hand. More
would only make it see the past."""

HEADER: Final = struct.Struct("<4sBBHHHIIQQQ")
"""magic "VCF1", flags (1 mirrored, 2 alpha follows), 0, width, height, 0, sequence, bytes of the
JPEG, and in microseconds of one monotonic clock: captured, shown, sent. Little-endian. The JPEG
follows, then with flag 2 the alpha plane [H, W], zlib-compressed."""

MAGIC: Final = b"VCF1"
MIRRORED: Final = 1
HAS_ALPHA: Final = 2


@dataclass(frozen=True)
class FrameTimes:
    """capture_ns, shown_ns: of the monotonic clock. sequence: number of the picture."""

    capture_ns: int
    shown_ns: int
    sequence: int


@dataclass(frozen=True)
class EncodedFrame:
    """One frame as it is sent. jpeg: the colours. alpha: compressed plane, empty when opaque."""

    width: int
    height: int
    jpeg: bytes
    alpha: bytes
    times: FrameTimes
    mirrored: bool

    def message(self) -> bytes:
        """Header, JPEG and alpha; the time of sending is now."""
        flags = MIRRORED * self.mirrored + HAS_ALPHA * bool(self.alpha)
        header = HEADER.pack(
            MAGIC,
            flags,
            0,
            self.width,
            self.height,
            0,
            self.times.sequence & 0xFFFFFFFF,
            len(self.jpeg),
            self.times.capture_ns // 1000,
            self.times.shown_ns // 1000,
            time.monotonic_ns() // 1000,
        )
        return header + self.jpeg + self.alpha


class FrameEncoder:
    """Encodes for one thread; keeps its memory."""

    def __init__(self) -> None:
        self._rgb: Bytes | None = None

    def encode(self, frame: Bytes, times: FrameTimes, mirrored: bool) -> EncodedFrame:
        """uint8 [H, W, 3] gives a JPEG, [H, W, 4] (straight alpha) a JPEG and an alpha plane."""
        from PIL import Image

        height, width, channels = frame.shape
        frame = np.ascontiguousarray(frame)
        alpha = b""
        if channels == 4:
            alpha = zlib.compress(frame[..., 3].tobytes(), 1)
            if self._rgb is None or self._rgb.shape[:2] != (height, width):
                self._rgb = np.empty((height, width, 3), np.uint8)
            frame = pixel(frame, "rgb", out=self._rgb)
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
        return EncodedFrame(width, height, buffer.getvalue(), alpha, times, mirrored)


@dataclass(eq=False)
class Viewer:
    """One client that watches; belongs to the server's loop.

    kind: what it wants. credit: frames it may still be sent. skipped: frames it was too slow for.
    """

    kind: Kind
    credit: int = WINDOW
    skipped: int = 0
    waiting: EncodedFrame | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> EncodedFrame:
        """The newest frame, as soon as there is one and the client may have it."""
        while self.waiting is None or self.credit < 1:
            self.arrived.clear()
            await self.arrived.wait()
        frame, self.waiting = self.waiting, None
        self.credit -= 1
        return frame

    def shown(self) -> None:
        """The client is done with a frame."""
        self.credit = min(WINDOW, self.credit + 1)
        self.arrived.set()

    @property
    def ready(self) -> bool:
        """Whether a frame that came now would soon be sent."""
        return self.credit > 0


class FrameBoard:
    """Where the sink's thread leaves frames and the server's loop takes them to the viewers."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()

    def wanted(self) -> frozenset[Kind]:
        """What somebody is ready for; may be asked by any thread."""
        return frozenset(viewer.kind for viewer in tuple(self.viewers) if viewer.ready)

    def deliver(self, kind: Kind, frame: EncodedFrame) -> None:
        """Hand a frame to all viewers of a kind; one that has not left yet is replaced."""
        for viewer in self.viewers:
            if viewer.kind == kind:
                viewer.skipped += viewer.waiting is not None
                viewer.waiting = frame
                viewer.arrived.set()
