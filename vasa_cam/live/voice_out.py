"""Where the captured voice goes besides the face: the delayed playback, and recordings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.audio.playback import VoicePlayback
from vasa_cam.output.sink import VoiceSink

_UPDATE_NS: Final = 100_000_000
_log = logging.getLogger(__name__)


class VoiceOut:
    """A tap of the daemon that hands every block on, in time with the picture.

    delay_ns: asked for, the daemon's delay now. playback: plays to a device, or None. sinks: take
    the voice with the time at which it is heard, such as recordings.
    """

    def __init__(
        self,
        delay_ns: Callable[[], int],
        playback: VoicePlayback | None,
        sinks: Sequence[VoiceSink] = (),
    ) -> None:
        self._delay_ns = delay_ns
        self._playback = playback
        self._sinks = tuple(sinks)
        self._updated_ns = 0

    def push(self, block: AudioBlock) -> None:
        """See `BlockTap.push`."""
        delay_ns = self._delay_ns()
        for sink in self._sinks:
            sink.voice(block.samples, block.rate_hz, block.capture_ns + delay_ns)
        if self._playback is None:
            return
        if abs(block.capture_ns - self._updated_ns) >= _UPDATE_NS:
            self._updated_ns = block.capture_ns
            self._playback.set_delay_ms(delay_ns / 1e6)
        self._playback.push(block)

    def status(self) -> dict[str, Any]:
        """How the playback is doing, for the metrics; empty without one."""
        return {} if self._playback is None else vars(self._playback.stats())
