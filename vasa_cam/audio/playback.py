"""The captured voice, played to an output device a fixed time after it was captured."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from vasa_cam.audio import device_search
from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock, Floats
from vasa_cam.audio.delay_line import MAX_DELAY_S, Controller, DelayLine
from vasa_cam.audio.portaudio import Device, DeviceStream
from vasa_cam.audio.presence import Presence
from vasa_cam.errors import InputError

LOST_AFTER_S: Final = 1.5
"""Without a callback for so long, the output is gone."""

# An idle sound server asks for the first samples at once and for more only two seconds later.
_GRACE_S: Final = 5.0
_BLOCK_MS: Final = 10
# Asked of the device. It is part of the delay, so it costs nothing, but what lies in the device is
# no reserve against blocks that come late.
_LATENCY_S: Final = 0.03
_CHECK_S: Final = 0.25
_BACK_OFF_S: Final = (0.5, 5.0)
_LONGEST_LATENCY_S: Final = 1.0


@dataclass(frozen=True)
class PlaybackStats:
    """How the voice is doing.

    device: what it is played to, "" while there is none. delay_ms: how long after capture it is
    heard now. error_ms: how far off that is at present. drift_ppm: what the clocks differ by, as
    corrected. underruns, resyncs: breaks for lack of samples, jumps in time. dropped_s: voice that
    could not be played. losses: how often the device went away.
    """

    device: str
    delay_ms: float
    error_ms: float
    drift_ppm: float
    underruns: int
    resyncs: int
    dropped_s: float
    losses: int


class VoicePlayback:
    """push(block): the block is heard at the output `delay_ms` after it was captured.

    device: name, part of a name or PortAudio index; None is the default output. controller: makes
    the drift correction for a newly opened device (vasa_cam.live.av_sync.DriftController).
    compensate: count the latency that the device itself reports, so that the delay ends where the
    sound leaves the device; otherwise it ends where the device takes the samples. before_open:
    called before every opening, such as `VirtualMic.ensure`; may raise InputError.

    `push` never blocks and never raises. A device that goes away is opened again as soon as it is
    back; what is pushed meanwhile is dropped.
    """

    def __init__(
        self,
        device: str | None,
        controller: Callable[[], Controller],
        *,
        delay_ms: float,
        compensate: bool = True,
        before_open: Callable[[], None] | None = None,
    ) -> None:
        self._wanted = device
        self._controller = controller
        self._delay_s = _delay_s(delay_ms)
        self._compensate = compensate
        self._before_open = before_open
        self._muted = False
        self._losses = 0
        self._past = PlaybackStats("", delay_ms, 0.0, 0.0, 0, 0, 0.0, 0)
        self._opened: _OpenOutput | None = None
        self._stop = threading.Event()
        self._supervisor: threading.Thread | None = None

    def start(self) -> None:
        """Open the output. Raises InputError when that is not possible."""
        self._stop.clear()
        self._opened = self._open()
        self._supervisor = threading.Thread(target=self._supervise, name="voice", daemon=True)
        self._supervisor.start()

    def push(self, block: AudioBlock) -> None:
        """Take the next captured block, from one thread."""
        opened = self._opened
        if opened is not None:
            opened.line.push(block)

    def set_delay_ms(self, delay_ms: float) -> None:
        """Another delay, without a click; see `DelayLine.set_delay`. It is kept to 0 to 2 s."""
        self._delay_s = _delay_s(delay_ms)
        opened = self._opened
        if opened is not None:
            opened.line.set_delay(self._delay_s)

    def set_muted(self, muted: bool) -> None:
        """Silence at once; what is pushed while muted is never heard."""
        self._muted = muted
        opened = self._opened
        if opened is not None:
            opened.line.set_muted(muted)

    def stats(self) -> PlaybackStats:
        """Counts since the beginning, and the present state."""
        opened, past = self._opened, self._past
        if opened is None:
            return past
        line = opened.line
        return PlaybackStats(
            opened.device.name,
            1000.0 * line.delay_s,
            1000.0 * line.error_s,
            1e6 * (line.speed - 1.0),
            past.underruns + line.output.underruns,
            past.resyncs + line.resyncs,
            past.dropped_s + line.dropped_s,
            self._losses,
        )

    def stop(self) -> None:
        """Close the output, at once; may be called twice."""
        self._stop.set()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.join(timeout=1.0)
        self._let_go()

    def _open(self) -> _OpenOutput:
        if self._before_open is not None:
            self._before_open()
        device = device_search.find_device(self._wanted, "output")
        line = DelayLine(device.rate_hz, self._delay_s, self._controller())
        line.set_muted(self._muted)
        return _OpenOutput(device, line, self._compensate)

    def _let_go(self) -> None:
        """Close what is open and keep its counts."""
        stats = self.stats()
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()
            self._past = PlaybackStats(
                "", stats.delay_ms, 0.0, 0.0, stats.underruns, stats.resyncs, stats.dropped_s,
                self._losses,
            )  # fmt: skip

    def _supervise(self) -> None:
        log = logging.getLogger(__name__)
        wait_s = _CHECK_S
        while not self._stop.wait(wait_s):
            opened = self._opened
            if opened is not None:
                wait_s = _CHECK_S
                problem = opened.problem()
                if problem is None:
                    continue
                self._losses += 1
                self._let_go()
                log.warning("the sound output %s is gone: %s", opened.device.name, problem)
            try:
                reopened = self._open()
            except InputError as error:
                log.debug("sound output: %s", error)
                wait_s = min(max(_BACK_OFF_S[0], 2.0 * wait_s), _BACK_OFF_S[1])
                continue
            self._opened = reopened
            log.warning("the sound output %s is back", reopened.device.name)
            if self._stop.is_set():
                self._let_go()


def _delay_s(delay_ms: float) -> float:
    return min(max(delay_ms / 1000.0, 0.0), MAX_DELAY_S)


class _OpenOutput:
    """One opening of a device: its stream, its delay line, and whether it lives."""

    def __init__(self, device: Device, line: DelayLine, compensate: bool) -> None:
        self.device = device
        self.line = line
        self._compensate = compensate
        self._opened_ns = self._called_ns = time.monotonic_ns()
        block_frames = max(1, round(device.rate_hz * _BLOCK_MS / 1000))
        self._stream = DeviceStream(device, "output", block_frames, self._callback, _LATENCY_S)
        self._presence = Presence(device, "output")

    def problem(self) -> str | None:
        """What is wrong: it takes no samples, or is not the device that was asked for."""
        now_ns = time.monotonic_ns()
        silent_s = (now_ns - self._called_ns) / NS_A_SECOND
        is_new = (now_ns - self._opened_ns) / NS_A_SECOND < _GRACE_S
        if not self._stream.active:
            return "the sound system closed it"
        if silent_s > LOST_AFTER_S and not is_new:
            return f"it took no sound for {silent_s:.1f} s"
        return None if self._presence.check() else "it was unplugged"

    def close(self) -> None:
        """Let go of the device."""
        self._presence.close()
        self._stream.close()

    def _callback(self, out: Floats, _frames: int, times: Any, _status: Any) -> None:
        """PortAudio's thread: no lock, no memory for samples."""
        self._called_ns = now_ns = time.monotonic_ns()
        heard_in_s = times.outputBufferDacTime - times.currentTime if self._compensate else 0.0
        if not 0.0 <= heard_in_s <= _LONGEST_LATENCY_S:
            heard_in_s = 0.0
        self.line.output.render(out, now_ns + round(heard_in_s * NS_A_SECOND))
