"""Sources of sound for the live avatar: the protocol, and the one place that reads their names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, Protocol

from vasa_cam.audio.blocks import MONOTONIC, AudioBlock, Clock
from vasa_cam.audio.paced import FileSource, SilenceSource
from vasa_cam.audio.pcm import PcmSource
from vasa_cam.errors import InputError

KINDS: Final = "mic, mic:NAME_OR_INDEX, monitor, monitor:NAME, file:PATH, pcm:-, ws or silence"
"""What `audio_source` understands, for help texts."""


class AudioSource(Protocol):
    """Something that gives blocks of sound with capture times; used by one thread.

    name: for people. rate_hz: samples a second, valid after `start`. ended: nothing more will come.
    drops: samples lost so far.
    """

    name: str
    rate_hz: int
    ended: bool
    drops: int

    def start(self) -> None:
        """Open it; raises InputError with the remedy when that is not possible."""
        ...

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, waiting up to `timeout_s` seconds; None when there is none yet or the
        source has ended. Raises SourceLostError when the device is gone.
        """
        ...

    def stop(self) -> None:
        """Close it; may be called twice, and `start` may follow."""
        ...


def audio_source(
    spec: str, *, loop: bool = False, block_ms: int = 10, clock: Clock = MONOTONIC
) -> AudioSource:
    """The source that `spec` names (see KINDS). Raises InputError for anything else.

    loop: a file begins again at its end. block_ms: length of a block. clock: paces what no device
    paces. Devices are looked for at `start`, a file is looked at here.
    """
    kind, _, rest = spec.partition(":")
    if kind == "silence" and not rest:
        return SilenceSource(block_ms=block_ms, clock=clock)
    if kind == "ws" and not rest:
        return PcmSource(block_ms=block_ms, clock=clock)
    if kind == "pcm" and rest == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(
                "pcm:- expects raw samples (16-bit, little-endian, mono, 16 kHz) on standard "
                "input, and that is a terminal; pipe a program's sound into it."
            )
        return PcmSource(sys.stdin.buffer, block_ms=block_ms, clock=clock)
    if kind == "file" and rest:
        return FileSource(Path(rest).expanduser(), loop=loop, block_ms=block_ms, clock=clock)
    if kind in ("mic", "monitor"):
        # Imported late: a file needs no PortAudio.
        from vasa_cam.audio.microphone import MicrophoneSource, MonitorSource

        device = MicrophoneSource if kind == "mic" else MonitorSource
        return device(rest or None, block_ms=block_ms)
    raise InputError(f"{spec!r} is not a source of sound; expected {KINDS}.")
