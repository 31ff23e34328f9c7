"""Takes command lines for the daemon, and keeps a flood of them away from it.

Up to so many a second are done at once. Of more than that, only the newest of each kind is kept and
done when its turn comes, so that the last position of a slider counts, and panic goes first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vasa_cam.errors import InputError
from vasa_cam.live.commands import check_command, slot

Handler = Callable[[dict[str, Any]], Mapping[str, Any]]
Reply = dict[str, Any]

_ANSWERS_A_S: Final = 20.0
_URGENT: Final = (("panic",), ("stop",), ("mute",), ("pause",))
_LOG = logging.getLogger(__name__)


@dataclass
class CommandCounts:
    """What came since the start: done, replaced by a newer one, refused, not understood."""

    done: int = 0
    coalesced: int = 0
    refused: int = 0
    malformed: int = 0


class Allowance:
    """So many a second, with half a second's worth of them at once."""

    def __init__(self, rate_hz: float, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._rate_hz = rate_hz
        self._most = max(1.0, rate_hz / 2)
        self._left = self._most
        self._clock_ns = clock_ns
        self._at_ns = clock_ns()

    def take(self) -> bool:
        """Whether one more is allowed now; if so, it is counted."""
        now_ns = self._clock_ns()
        passed_s = max(0, now_ns - self._at_ns) / 1e9
        self._left = min(self._most, self._left + passed_s * self._rate_hz)
        self._at_ns = now_ns
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class CommandDesk:
    """Checks commands, calls the handler for them, makes the replies; for one thread at a time.

    handler: gets checked commands and returns what the reply shall hold; its InputErrors are told
    to the client. commands_per_s: how often it is called at most; `status` and `avatar`, which
    cannot be coalesced, have 20 a second of their own.
    """

    def __init__(
        self,
        handler: Handler,
        commands_per_s: float = 100.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counts = CommandCounts()
        self._handler = handler
        self._sets = Allowance(commands_per_s, clock_ns)
        self._asks = Allowance(_ANSWERS_A_S, clock_ns)
        self._waiting: dict[tuple[str, ...], dict[str, Any]] = {}

    @property
    def busy(self) -> bool:
        """Whether commands wait for `catch_up`."""
        return bool(self._waiting)

    def answer(self, message: object, from_web: bool = False) -> Reply:
        """The reply to one message: "ok" and, if it is false, "error"; its "id" comes back."""
        mark: Reply = {}
        if isinstance(message, dict) and "id" in message:
            mark = {"id": message.pop("id")}
        try:
            command = check_command(message, from_web)
        except InputError as error:
            self.counts.malformed += 1
            return failure(str(error)) | mark
        place = slot(command)
        if place is None:
            if not self._asks.take():
                self.counts.refused += 1
                return failure("too many commands at a time; ask more slowly.") | mark
            return self._do(command) | mark
        if place in self._waiting or not self._sets.take():
            self.counts.coalesced += place in self._waiting
            self._waiting[place] = command
            return {"ok": True, "queued": True} | mark
        return self._do(command) | mark

    def catch_up(self) -> None:
        """Do the commands that wait, urgent ones first, as many as are allowed by now."""
        for place in (*_URGENT, *self._waiting):
            if place in self._waiting:
                if place != _URGENT[0] and not self._sets.take():
                    return
                self._do(self._waiting.pop(place))

    def _do(self, command: dict[str, Any]) -> Reply:
        self.counts.done += 1
        try:
            return {"ok": True} | dict(self._handler(command))
        except InputError as error:
            return failure(str(error))
        except Exception:
            _LOG.exception("the command %s failed", command["command"])
            return failure(f"{command['command']} failed inside vasa-cam; its log says more.")


def failure(sentence: str) -> Reply:
    """A reply that says what was wrong."""
    return {"ok": False, "error": sentence}
