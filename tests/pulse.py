"""A private headless PulseAudio for tests: sinks to play into, monitors as microphones.

Nothing of the user's own sound server is touched: it has a runtime folder and a socket of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vasa_cam.audio.sample_clock import SampleClock

RATE_HZ = 48_000

PROGRAMS = ("pulseaudio", "pactl", "parec", "pacat")


class PrivatePulse:
    """A PulseAudio process with the null sinks "voice_in" and "voice_out".

    environment: what a process needs in order to use it. The monitor of a sink, such as
    "voice_in.monitor", is a microphone that hears what is played into the sink.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        runtime, state = folder / "pulse", folder / "state"
        runtime.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.socket = runtime / "native"
        self.environment = {
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(runtime),
            "PULSE_STATE_PATH": str(state),
            "PULSE_SERVER": f"unix:{self.socket}",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, again after `kill`."""
        self.socket.unlink(missing_ok=True)
        (self.folder / "pulse" / "pid").unlink(missing_ok=True)
        sinks = [
            f"module-null-sink sink_name={name} sink_properties=device.description={name} "
            "rate=48000 channels=2"
            for name in ("voice_in", "voice_out")
        ]
        protocol = f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}"
        loads = [word for module in (protocol, *sinks) for word in ("-L", module)]
        command = [
            "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit",
            "--realtime=no", "--log-level=error", *loads,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self.full_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        deadline = time.monotonic() + 20.0
        while subprocess.run(
            ["pactl", "info"], env=self.full_environment(), capture_output=True, check=False
        ).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PulseAudio did not start within 20 s"
            time.sleep(0.05)

    def pactl(self, *arguments: str) -> str:
        """Run pactl against it; returns its output."""
        done = subprocess.run(
            ["pactl", *arguments],
            env=self.full_environment(),
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout.strip()

    def add_sink(self, name: str) -> str:
        """Plug in a null sink, and with it the microphone NAME.monitor; returns its module."""
        properties = f"sink_properties=device.description={name}"
        return self.pactl("load-module", "module-null-sink", f"sink_name={name}", properties)

    def remove(self, module: str) -> None:
        """Unplug what `add_sink` plugged in."""
        self.pactl("unload-module", module)

    def names(self, kind: str) -> list[str]:
        """Names of all "sinks", "sources" or "modules"."""
        rows = self.pactl("list", "short", kind).splitlines()
        return [row.split("\t")[1] for row in rows]

    def signal(self, number: int) -> None:
        """Send a signal to the server, such as SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def full_environment(self) -> dict[str, str]:
        """This process's environment, with this server in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
        return {**kept, **self.environment}


class Recorder:
    """Records a source with parec; knows when each sample arrived.

    Independent of PortAudio and of our own audio code but for the arithmetic of SampleClock.
    """

    def __init__(self, pulse: PrivatePulse, source: str) -> None:
        self._clock = SampleClock(RATE_HZ)
        self._marks: list[tuple[int, int]] = []
        self._data = bytearray()
        self._process = subprocess.Popen(
            ["parec", f"--device={source}", f"--rate={RATE_HZ}", "--channels=1",
             "--format=float32le", "--latency-msec=10", "--raw"],
            env=pulse.full_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def time_ns(self, sample: int) -> int:
        """When a sample arrived, by what was known when it did: samples may be lost later."""
        counts, times = np.array(self._marks, np.int64).T
        mark = min(int(np.searchsorted(counts, sample)), len(counts) - 1)
        return int(times[mark]) + round((sample - int(counts[mark])) * 1e9 / RATE_HZ)

    @property
    def samples(self) -> npt.NDArray[np.float32]:
        """Everything so far."""
        whole = len(self._data) // 4 * 4
        return np.frombuffer(bytes(self._data[:whole]), "<f4").astype(np.float32)

    def sample_at(self, time_ns: int) -> int:
        """Which sample arrived at that time."""
        counts, times = np.array(self._marks, np.int64).T
        mark = min(int(np.searchsorted(times, time_ns)), len(times) - 1)
        return int(counts[mark]) + round((time_ns - int(times[mark])) * RATE_HZ / 1e9)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while data := os.read(pipe.fileno(), 1 << 16):
                self._data += data
                count = len(self._data) // 4
                self._clock.add(count, time.monotonic_ns())
                self._marks.append((count, self._clock.time_ns(count)))


class Player:
    """Plays float32 [n] mono samples into a sink with pacat."""

    def __init__(self, pulse: PrivatePulse, sink: str, samples: npt.NDArray[np.float32]) -> None:
        self._process = subprocess.Popen(
            ["pacat", f"--device={sink}", f"--rate={RATE_HZ}", "--channels=1",
             "--format=float32le", "--latency-msec=50"],
            env=pulse.full_environment(),
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        data = samples.astype("<f4").tobytes()
        self._thread = threading.Thread(target=self._write, args=(data,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _write(self, data: bytes) -> None:
        # It may be killed before it has taken everything.
        with contextlib.suppress(OSError):
            self._process.communicate(data)


def delays_ms(
    heard: Recorder,
    said: Recorder,
    every_s: float = 1.0,
    window_s: float = 1.0,
    between_ns: tuple[int, int] | None = None,
) -> list[float]:
    """How much later what `said` recorded arrives in `heard`, by correlation, window by window.

    Windows of silence, and those whose sound is not found with a correlation of 0.9, are left out.
    between_ns: only windows that begin in this time.
    """
    from scipy.signal import correlate

    first, second = said.samples.astype(float), heard.samples.astype(float)
    window, found = round(window_s * RATE_HZ), []
    begin, end = RATE_HZ, len(first) - window
    if between_ns is not None:
        begin, end = (min(end, max(begin, said.sample_at(time_ns))) for time_ns in between_ns)
    for start in range(begin, end, round(every_s * RATE_HZ)):
        part = first[start : start + window]
        said_ns = said.time_ns(start)
        place = heard.sample_at(said_ns) - RATE_HZ // 2
        around = second[max(0, place) : place + window + 2 * RATE_HZ]
        if np.abs(part).max() < 0.01 or place < 0 or len(around) < window + RATE_HZ:
            continue
        likeness = correlate(around, part, "valid")
        best = int(likeness.argmax())
        energy = (part**2).sum() * (around[best : best + window] ** 2).sum()
        if likeness[best] > 0.9 * np.sqrt(energy):
            found.append((heard.time_ns(max(0, place) + best) - said_ns) / 1e6)
    return found


def babble(seconds: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Noise of a voice's band in bursts of a word's length: unmistakable, and nowhere periodic."""
    from scipy.signal import butter, sosfilt

    count = round(seconds * RATE_HZ)
    noise = sosfilt(butter(2, (100, 800), "bandpass", fs=RATE_HZ, output="sos"),
                    rng.standard_normal(count))  # fmt: skip
    words = np.repeat(rng.random(count // 9600 + 1) > 0.3, 9600)[:count]
    return (0.3 * noise * words).astype(np.float32)


def require_pulse() -> None:
    """Skip, or fail where VASA_CAM_REQUIRE_SHARED=1, when PulseAudio's programs are missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        message = (
            f"{', '.join(missing)} not installed (Debian/Ubuntu: apt-get install pulseaudio "
            "pulseaudio-utils libasound2-plugins)"
        )
        if os.environ.get("VASA_CAM_REQUIRE_SHARED", "") == "1":
            pytest.fail(message)
        pytest.skip(message)


@contextlib.contextmanager
def running_pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivatePulse]:
    """A server that this process, PortAudio included, uses; see `PrivatePulse`."""
    require_pulse()
    # Not pytest's own folder: the path of a socket may have 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="vasa-pulse-"))
    server = PrivatePulse(folder)
    try:
        for name in ("PULSE_SOURCE", "PULSE_SINK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        from vasa_cam.audio import portaudio

        portaudio.rescan(at_once=True)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
