"""Keeps sound coming whatever happens to the source: silence while it is lost, reopened when back.

Opening a device can take seconds, so it happens in a thread of its own while silence goes on.
"""

from __future__ import annotations

import logging
import threading
from typing import Final, Literal

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.audio.paced import SilenceSource
from vasa_cam.audio.sources import AudioSource
from vasa_cam.live.clock import MONOTONIC, NS_A_MS, NS_A_SECOND, Clock
from vasa_cam.live.metrics import Metrics

State = Literal["opening", "live", "quiet", "lost", "ended"]

_WAIT_S: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
# A device that is open but gives nothing: silence soon, so that the face goes on, reopening later
# (the first block of some devices takes two seconds).
_QUIET_NS: Final = 250 * NS_A_MS
_DEAD_NS: Final = 5 * NS_A_SECOND

_log = logging.getLogger(__name__)


class SourceSupervisor:
    """Reads one source for one thread. state, problem: how it is, for people.

    `start` raises InputError when the source cannot be opened at first; later on that is retried.
    """

    def __init__(self, source: AudioSource, metrics: Metrics, clock: Clock = MONOTONIC) -> None:
        self.source = source
        self.state: State = "opening"
        self.problem = ""
        self._metrics = metrics
        self._clock = clock
        self._silence = SilenceSource(clock=clock)
        self._heard_ns = 0
        self._stopping = threading.Event()
        self._reopened = threading.Event()
        self._opener: threading.Thread | None = None

    def start(self) -> None:
        """Open the source."""
        self.source.start()
        self._listen()

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, of the source or of silence; None when none is due within the time."""
        if self.state == "lost":
            if not self._reopened.is_set():
                return self._silence.read(timeout_s)
            self._listen()
        if self.state == "ended":
            return self._silence.read(timeout_s)
        block = self._read_source(0.0 if self.state == "quiet" else timeout_s)
        if block is not None:
            self._heard_ns = self._clock.now_ns()
            self.state = "live"
            return block
        if self.state in ("quiet", "lost", "ended"):
            return self._silence.read(timeout_s)
        return None

    def stop(self, timeout_s: float = 0.5) -> None:
        """Close the source, waiting up to `timeout_s` seconds for it; may be called twice."""
        self._stopping.set()
        # A driver that hangs while closing must not hold up the end.
        closer = threading.Thread(target=self._close_quietly, name="source-close", daemon=True)
        closer.start()
        closer.join(timeout_s)
        if closer.is_alive():
            _log.warning("%s does not close; it is left behind", self.source.name)

    def _listen(self) -> None:
        self._opener = None
        self._reopened.clear()
        self._heard_ns = self._clock.now_ns()
        self.state, self.problem = "opening", ""

    def _read_source(self, timeout_s: float) -> AudioBlock | None:
        try:
            block = self.source.read(timeout_s)
        except Exception as error:
            self._lost(str(error) or type(error).__name__)
            return None
        if block is not None:
            return block
        silent_ns = self._clock.now_ns() - self._heard_ns
        if self.source.ended:
            self.state = "ended"
            self._silence.start()
        elif silent_ns > _DEAD_NS:
            self._lost(f"{self.source.name} has given no sound for {silent_ns / NS_A_SECOND:.0f} s")
        elif silent_ns > _QUIET_NS and self.state != "quiet":
            self.state = "quiet"
            self._silence.start()
        return None

    def _lost(self, problem: str) -> None:
        self._metrics.count("source_losses")
        self.state, self.problem = "lost", problem
        _log.warning("%s; silence until it is back", problem)
        self._silence.start()
        self._reopened.clear()
        self._opener = threading.Thread(target=self._reopen, name="source-open", daemon=True)
        self._opener.start()

    def _reopen(self) -> None:
        """Only this thread touches the source until it is open again."""
        tries = 0
        while not self._stopping.is_set():
            try:
                self.source.stop()
                self.source.start()
            except Exception as error:
                self.problem = str(error) or type(error).__name__
            else:
                _log.info("%s is back", self.source.name)
                self._reopened.set()
                return
            self._stopping.wait(_WAIT_S[min(tries, len(_WAIT_S) - 1)])
            tries += 1

    def _close_quietly(self) -> None:
        opener = self._opener
        if opener is not None:
            opener.join()
        try:
            self.source.stop()
        except Exception as error:
            _log.warning("%s could not be closed: %s", self.source.name, error)
