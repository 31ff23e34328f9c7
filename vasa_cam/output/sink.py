"""What the live daemon asks of everything that takes frames.

A sink belongs to one thread, which calls `open`, then `send` for each frame, then `close`. Nothing
here knows of the daemon: a sink that fails says so by `SinkError`, and its owner closes it and
tries again later while the others go on.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import VasaCamError

Bytes = npt.NDArray[np.uint8]


class SinkError(VasaCamError):
    """A sink that was open takes no more frames: device gone, disk full. One sentence says why.

    Opening it again later may help; until then no further frame is accepted.
    """


@runtime_checkable
class Sink(Protocol):
    """One place that frames go to.

    name: short and lower case, for logs, metrics and messages. wants_alpha: it makes use of
    transparency; others lay frames with alpha over a background of their own.
    """

    name: str
    wants_alpha: bool

    def open(self) -> None:
        """Take the device, file or port; nothing when it is open already.

        Raises InputError, with the remedy, when that is not possible.
        """

    def send(self, frame: Bytes, capture_ns: int, shown_ns: int, sequence: int) -> None:
        """Show one frame: uint8 [H, W, 3], or [H, W, 4] with straight alpha; any H and W.

        The array is read-only and only valid during the call. capture_ns: when the voice that it
        shows was captured; shown_ns: its output deadline, both of `time.monotonic_ns()`. sequence
        counts the daemon's frames; a gap is a frame that was dropped on the way.
        Raises SinkError when no further frame can be taken.
        """

    def close(self) -> None:
        """Let go of everything; nothing when it is closed. Never raises, never waits for long."""


@runtime_checkable
class VoiceSink(Sink, Protocol):
    """A sink that also takes the delayed voice."""

    def voice(self, samples: npt.NDArray[np.float32], rate_hz: int, play_ns: int) -> None:
        """The next piece of sound: float32 [n] mono, -1..1, at `rate_hz`.

        play_ns: when its first sample is heard, on the clock of `shown_ns`. May be called from
        another thread than `send`; never blocks and never raises.
        """


@runtime_checkable
class LayeredSink(Sink, Protocol):
    """A sink that wants the picture both before its background and without one."""

    @property
    def alpha_watched(self) -> bool:
        """Whether somebody looks at the picture without background now; any thread may ask."""
        ...

    def send_both(
        self, rgb: Bytes, rgba: Bytes | None, capture_ns: int, shown_ns: int, sequence: int
    ) -> None:
        """As `send`; rgb: uint8 [H, W, 3], rgba: [H, W, 4] or None where only rgb was drawn."""


@runtime_checkable
class BackgroundSink(Sink, Protocol):
    """A sink without transparency that lays frames with alpha over a picture of the owner's."""

    def set_background(self, background: Bytes | None) -> None:
        """Use this picture, uint8 [H, W, 3] of the frames' size, from the next frame on.

        None, and a picture of another size, mean plain grey. Any thread may call it.
        """
