"""One thread per output, so that one that stalls or fails holds up nobody else."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final, Literal

from vasa_cam.errors import InputError
from vasa_cam.live.clock import MONOTONIC, NS_A_SECOND, Clock
from vasa_cam.live.mailbox import Mailbox
from vasa_cam.live.metrics import Metrics, Window
from vasa_cam.live.pictures import LentFrame, PicturePool
from vasa_cam.live.stage_thread import StageThread
from vasa_cam.output.sink import Bytes, LayeredSink, Sink, SinkError

State = Literal["opening", "open", "failed", "closed"]

_WAIT_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_TAKE_S: Final = 0.2
_STALL_NS: Final = NS_A_SECOND
_STEADY_FRAMES: Final = 100  # after so many frames a failure is a new one

_log = logging.getLogger(__name__)


@dataclass
class SinkFigures:
    """What happened to one output, counted."""

    sent: int = 0
    repeats: int = 0
    failures: int = 0


class SinkWorker(StageThread):
    """Opens a sink, sends it the newest frame, reopens it with growing pauses when it fails.

    state, problem: how it is, for people. Stalled is told by `status`.
    """

    def __init__(
        self, sink: Sink, pool: PicturePool, metrics: Metrics, clock: Clock = MONOTONIC
    ) -> None:
        super().__init__(f"sink-{sink.name}")
        self.sink = sink
        self.state: State = "opening"
        self.problem: str = getattr(sink, "problem", "")  # what the user was told already
        self.figures = SinkFigures()
        self.end_to_end = Window()
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._layered = sink if isinstance(sink, LayeredSink) else None
        self._box: Mailbox[LentFrame] = Mailbox()
        self._busy_since_ns: int | None = None

    def offer(self, lent: LentFrame) -> None:
        """Leave a frame for it; never waits."""
        self._pool.hold(lent.picture)
        replaced = self._box.put(lent)
        if replaced is not None:
            self._pool.let_go(replaced.picture)

    def stop(self) -> None:
        """Ask it to close."""
        super().stop()
        if (left := self._box.close()) is not None:
            self._pool.let_go(left.picture)

    @property
    def stalled(self) -> bool:
        """The sink has been busy with one call for more than a second."""
        since_ns = self._busy_since_ns
        return since_ns is not None and self._clock.now_ns() - since_ns > _STALL_NS

    def status(self) -> dict[str, Any]:
        """For the snapshot: name, state, problem, counts, end to end in milliseconds."""
        stalled = self.state in ("opening", "open") and self.stalled
        return {
            "name": self.sink.name,
            "state": "stalled" if stalled else self.state,
            "problem": self.problem,
            "sent": self.figures.sent,
            "repeats": self.figures.repeats,
            "dropped": self._box.drops,
            "failures": self.figures.failures,
            "waiting": self._box.depth,
            "end_to_end_ms": self.end_to_end.quantiles(),
        }

    def _run(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            sent = self.figures.sent
            if self._open():
                self._serve()
                self._close()
            if self._stopping.is_set():
                break
            tries = 0 if self.figures.sent - sent >= _STEADY_FRAMES else tries
            self.state = "failed"
            self._stopping.wait(_WAIT_S[min(tries, len(_WAIT_S) - 1)])
            tries += 1
        self.state = "closed"

    def _open(self) -> bool:
        self.state = "opening"
        self._busy_since_ns = self._clock.now_ns()
        try:
            self.sink.open()
        except Exception as error:
            self._failed(error)
            return False
        finally:
            self._busy_since_ns = None
        self.state = "open"
        return True

    def _serve(self) -> None:
        """Send until it fails or the end."""
        while not self._stopping.is_set():
            lent = self._box.take(_TAKE_S)
            if lent is None:
                continue
            try:
                self._send(lent)
            except Exception as error:
                self._failed(error)
                return
            finally:
                self._busy_since_ns = None
                self._pool.let_go(lent.picture)

    def _send(self, lent: LentFrame) -> None:
        frame = lent.frame
        rgb, rgba = _read_only(frame.rgb), None if frame.rgba is None else _read_only(frame.rgba)
        times = (frame.capture_ns, frame.shown_ns, frame.sequence)
        self._busy_since_ns = self._clock.now_ns()
        if self._layered is not None:
            self._layered.send_both(rgb, rgba, *times)
        else:
            self.sink.send(rgba if self.sink.wants_alpha and rgba is not None else rgb, *times)
        now_ns = self._clock.now_ns()
        self.figures.sent += 1
        if self.problem:  # it takes frames: only now is it known to work
            _log.info("%s: works again", self.sink.name)
            self.problem = ""
        if lent.repeat:
            self.figures.repeats += 1
            return
        self.end_to_end.add_ns(now_ns - frame.capture_ns)
        self._metrics.hops["end_to_end"].add_ns(now_ns - frame.capture_ns)
        self._metrics.hops["render_to_send"].add_ns(now_ns - lent.ready_ns)

    def _failed(self, error: Exception) -> None:
        self.figures.failures += 1
        expected = isinstance(error, InputError | SinkError)
        problem = str(error) if expected else f"{type(error).__name__}: {error}"
        if problem != self.problem:  # said once, not at every try
            _log.warning(
                "%s: %s (tried again later)",
                self.sink.name,
                problem,
                exc_info=None if expected else error,
            )
        self.problem = problem

    def _close(self) -> None:
        try:
            self.sink.close()
        except Exception as error:
            _log.warning("%s could not be closed: %s", self.sink.name, error)


def _read_only(pixels: Bytes) -> Bytes:
    view: Bytes = pixels.view()
    view.flags.writeable = False
    return view
