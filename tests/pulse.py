"""A private headless PulseAudio for tests: sinks to play into, monitors as microphones.

Nothing of the user's own sound server is touched: it has a runtime folder and a socket of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

PACKAGES = ("pulseaudio", "pactl", "parec", "pacat")


class PrivatePulse:
    """A PulseAudio process with the null sinks "voice_in" and "voice_out".

    environment: what a process needs in order to use it. The monitor of a sink, such as
    "voice_in.monitor", is a microphone that hears what is played into the sink. Some null sinks
    have a second of latency until somebody listens with less; the ones here are listened to.
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
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit",
             "--realtime=no", "--log-level=error", *loads],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
        )  # fmt: skip
        deadline = time.monotonic() + 20.0
        while subprocess.run(
            ["pactl", "info"], env=self._environment(), capture_output=True, check=False
        ).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PulseAudio did not start within 20 s"
            time.sleep(0.05)

    def pactl(self, *arguments: str) -> str:
        """Run pactl against it; returns its output."""
        done = subprocess.run(
            ["pactl", *arguments],
            env=self._environment(),
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

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
        return {**kept, **self.environment}


def require_pulse() -> None:
    """Skip, or fail where VASA_CAM_REQUIRE_SHARED=1, when PulseAudio's programs are missing."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    if missing:
        message = (
            f"{', '.join(missing)} not installed (Debian/Ubuntu: apt-get install pulseaudio "
            "pulseaudio-utils libasound2-plugins)"
        )
        if os.environ.get("VASA_CAM_REQUIRE_SHARED", "") == "1":
            pytest.fail(message)
        pytest.skip(message)


def use_pulse(pulse: PrivatePulse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process use it, PortAudio included."""
    for name in ("PULSE_SOURCE", "PULSE_SINK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in pulse.environment.items():
        monkeypatch.setenv(name, value)
    from vasa_cam.audio import portaudio

    portaudio.rescan(at_once=True)
