"""The sink that shows nothing: for measuring, and for running without an output."""

from __future__ import annotations

from vasa_cam.output.sink import Bytes


class NullSink:
    """Counts frames and forgets them. sent: how many came since the start."""

    name = "null"
    wants_alpha = False

    def __init__(self) -> None:
        self.sent = 0

    def open(self) -> None:
        """Nothing to take."""

    def send(self, frame: Bytes, capture_ns: int, shown_ns: int, sequence: int) -> None:
        """Count the frame."""
        self.sent += 1

    def close(self) -> None:
        """Nothing to let go of."""
