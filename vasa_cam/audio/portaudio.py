"""PortAudio through sounddevice: one thread that asks it, and streams that can be lost.

PortAudio may not be used by several threads at once, can hang for as long as a sound server does,
and learns of new devices only by being shut down and started again. So all calls but those of the
callbacks are made by one thread here, and whoever waits for it waits for a limited time.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from vasa_cam.audio.pulse import Direction
from vasa_cam.errors import InputError, MissingDependencyError

PULSE_RATE_HZ: Final = 48_000
"""At which the sound server is opened; it converts from and to whatever the device has."""

Result = TypeVar("Result")

_QUERY_TIMEOUT_S: Final = 3.0
_OPEN_TIMEOUT_S: Final = 8.0
_CLOSE_TIMEOUT_S: Final = 0.5
# Looking for new devices interrupts the streams that are open.
_RESCAN_S: Final = (1.0, 15.0)
_PULSE_VARIABLES: Final[dict[Direction, str]] = {"input": "PULSE_SOURCE", "output": "PULSE_SINK"}


@dataclass(frozen=True)
class Row:
    """A device as PortAudio lists it, for one direction."""

    index: int
    name: str
    host: str
    channels: int
    rate_hz: int


@dataclass(frozen=True)
class Device:
    """A microphone or an output, found and ready to be opened.

    index: PortAudio's number, valid until the next `rescan`. name: for people. channels: how many
    to open. rate_hz: the rate to open it at. server_name: the sound server's name for it, "" where
    PortAudio knows the device itself or the server's default is meant. server_index: the server's
    number of it.
    """

    index: int
    name: str
    channels: int
    rate_hz: int
    server_name: str = ""
    server_index: int = -1


class _Worker:
    """The thread that talks to PortAudio."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._late: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """Whether a call that somebody gave up waiting for is still going on."""
        return self._late is not None and not self._late.done()

    def call(self, function: Callable[[], Result], timeout_s: float) -> Result:
        """Run it there and wait for its result; InputError when that takes too long."""
        if self.stuck:
            raise InputError("the sound system hangs; restart the sound server.")
        with self._lock:
            if self._thread is None:
                # A daemon thread: a hanging sound server must not keep the process alive.
                self._thread = threading.Thread(target=self._work, name="portaudio", daemon=True)
                self._thread.start()
        future: Future[Result] = Future()
        self._jobs.put((function, future))
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:  # of `result`; of the function where the future is done
            if future.done():
                raise
            self._late = future
            raise InputError(
                f"the sound system did not answer within {timeout_s:g} s; restart the sound server."
            ) from None

    def later(self, function: Callable[[], object]) -> None:
        """Run it there some time, without waiting."""
        self._jobs.put((function, Future()))

    def _work(self) -> None:
        while True:
            function, future = self._jobs.get()
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)


_worker = _Worker()
_streams: set[DeviceStream] = set()
_last_rescan_s = -1e9


def sounddevice() -> Any:
    """The module, imported late. Raises MissingDependencyError where PortAudio is missing."""
    try:
        import sounddevice as module
    except OSError as error:
        raise MissingDependencyError(
            "the library PortAudio is missing; install it (Debian, Ubuntu: libportaudio2)."
        ) from error
    atexit.unregister(_close_at_exit)
    atexit.register(_close_at_exit)
    return module


def rows(direction: Direction) -> tuple[Row, ...]:
    """PortAudio's devices of one direction."""

    def ask() -> tuple[Row, ...]:
        module = sounddevice()
        hosts = [host["name"] for host in module.query_hostapis()]
        key = f"max_{direction}_channels"
        return tuple(
            Row(
                number,
                device["name"],
                hosts[device["hostapi"]],
                device[key],
                round(device["default_samplerate"]),
            )
            for number, device in enumerate(module.query_devices())
            if device[key] > 0
        )

    return _worker.call(ask, _QUERY_TIMEOUT_S)


def default_index(direction: Direction) -> int:
    """Which of the rows PortAudio takes by default; -1 for none."""
    place = ("input", "output").index(direction)
    return _worker.call(lambda: int(sounddevice().default.device[place]), _QUERY_TIMEOUT_S)


def rescan(*, at_once: bool = False) -> bool:
    """Let PortAudio look for devices again; False when it did so a moment ago.

    at_once: even then. All open streams are closed by that; who owns them finds them not active
    and opens them again.
    """

    def again() -> bool:
        global _last_rescan_s  # noqa: PLW0603 - PortAudio itself is one per process
        module = sounddevice()
        now_s = time.monotonic()
        if not at_once and now_s - _last_rescan_s < _RESCAN_S[bool(_streams)]:
            return False
        _last_rescan_s = now_s
        _close_all()
        module._terminate()
        module._initialize()
        return True

    return _worker.call(again, _OPEN_TIMEOUT_S)


class DeviceStream:
    """An open PortAudio stream of one direction; `callback` is of sounddevice's own kind.

    block_frames: frames that a callback gets. latency_s: what PortAudio is asked for. Raises
    InputError when the device cannot be opened, or not within 8 s.
    """

    def __init__(
        self,
        device: Device,
        direction: Direction,
        block_frames: int,
        callback: Callable[..., None],
        latency_s: float | str = "low",
    ) -> None:
        self.device = device
        self._stream: Any = None
        self._finished = False
        self._given_up = False
        module = sounddevice()
        kind = module.InputStream if direction == "input" else module.OutputStream
        settings = {
            "device": device.index,
            "samplerate": device.rate_hz,
            "channels": device.channels,
            "blocksize": block_frames,
            "latency": latency_s,
            "dtype": "float32",
            "callback": callback,
            "finished_callback": self._note_end,
        }
        try:
            _worker.call(lambda: self._open(kind, direction, settings), _OPEN_TIMEOUT_S)
        except (module.PortAudioError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{device.name} cannot be opened at {device.rate_hz} Hz ({reason}); "
                "close other programs that use it, or choose another device."
            ) from error
        except InputError:
            self._given_up = True
            raise

    @property
    def active(self) -> bool:
        """Whether the callback is still being called, as far as PortAudio knows."""
        return self._stream is not None and not self._finished

    def close(self) -> None:
        """Stop at once and close; may be called twice, from any thread but the callback's.

        Returns after half a second at the latest: a sound server that hangs is left to itself.
        """
        if self._stream is None:
            return
        try:
            _worker.call(self.close_now, _CLOSE_TIMEOUT_S)
        except InputError:
            # The thread closes it as soon as it can.
            _worker.later(self.close_now)

    def close_now(self) -> None:
        """As `close`; only for the thread that talks to PortAudio."""
        _streams.discard(self)
        stream, self._stream = self._stream, None
        if stream is not None:
            # A device that is gone may refuse to be stopped; closing is what matters.
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)

    def _open(self, kind: Any, direction: Direction, settings: dict[str, Any]) -> None:
        with _server_device(self.device, direction):
            self._stream = kind(**settings)
            try:
                self._stream.start()
            except BaseException:
                self.close_now()
                raise
        _streams.add(self)
        if self._given_up:
            self.close_now()

    def _note_end(self) -> None:
        self._finished = True


@contextlib.contextmanager
def _server_device(device: Device, direction: Direction) -> Iterator[None]:
    """While a stream is opened, tells the sound server's ALSA plug-in which device is meant.

    There is no other way through PortAudio than libpulse's environment variable.
    """
    if not device.server_name:
        yield
        return
    variable = _PULSE_VARIABLES[direction]
    before = os.environ.get(variable)
    os.environ[variable] = device.server_name
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _close_at_exit() -> None:
    """Runs before sounddevice's own handler, because it was registered after it.

    PortAudio must not be shut down under a running callback; and sounddevice would wait for
    PortAudio, and that for a server that hangs.
    """
    with contextlib.suppress(InputError):
        _worker.call(_close_all, _CLOSE_TIMEOUT_S)
    if _worker.stuck:
        atexit.unregister(sounddevice()._exit_handler)


def _close_all() -> None:
    for stream in tuple(_streams):
        stream.close_now()
