"""PulseAudio, and PipeWire in its place, through `pactl`: devices by name, and news of them.

PortAudio sees a sound server as one device, "pulse"; which microphone or output that is, and that
one was unplugged, only the server knows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from vasa_cam.errors import InputError

Direction = Literal["input", "output"]

_TIMEOUT_S: Final = 5.0
_NEWS: Final = re.compile(r"^Event '(?:new|remove)' on (?:source|sink) #")


class PulseError(InputError):
    """`pactl` is missing, no sound server answers, or it refused."""


@dataclass(frozen=True)
class PulseDevice:
    """A source or sink of the sound server.

    index: the server's number, never used again while it runs. monitor: of a source, what a sink
    plays; of a sink, False. monitor_name: the source that hears this sink; of a source, "".
    port: what is plugged in as the server calls it, such as "analog-output-headphones", or "".
    driver: the server's part that runs it. properties: such as device.form_factor.
    """

    index: int
    name: str
    description: str
    monitor: bool = False
    monitor_name: str = ""
    port: str = ""
    driver: str = ""
    properties: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class PulseModule:
    """A loaded module of the sound server; argument is the text it was loaded with."""

    index: int
    name: str
    argument: str


def pactl(*arguments: str) -> str:
    """Run pactl and return what it prints. Raises PulseError with its reason."""
    try:
        done = subprocess.run(
            ["pactl", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            env=_environment(),
            check=False,
        )
    except FileNotFoundError as error:
        raise PulseError("pactl is not installed (Debian, Ubuntu: pulseaudio-utils)") from error
    except subprocess.TimeoutExpired as error:
        raise PulseError(f"the sound server did not answer within {_TIMEOUT_S:g} s") from error
    if "Connection fail" in done.stderr:
        raise PulseError("no sound server answers")
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise PulseError(f"pactl {arguments[0]}: {reason}")
    return done.stdout


def server_answers() -> bool:
    """Whether there is a sound server that pactl reaches."""
    if shutil.which("pactl") is None:
        return False
    try:
        pactl("info")
    except PulseError:
        return False
    return True


def devices(direction: Direction) -> tuple[PulseDevice, ...]:
    """All sources ("input", monitors too) or sinks ("output"). Raises PulseError."""
    kind = "sources" if direction == "input" else "sinks"
    return tuple(_device(*block) for block in _blocks(pactl("list", kind)))


def default_device(direction: Direction) -> str:
    """The name of the server's default source or sink, "" where it has none. Raises PulseError."""
    key = "Default Source" if direction == "input" else "Default Sink"
    for line in pactl("info").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def modules() -> tuple[PulseModule, ...]:
    """What is loaded. Raises PulseError."""
    rows = (line.split("\t") for line in pactl("list", "short", "modules").splitlines())
    return tuple(
        PulseModule(int(row[0]), row[1], row[2] if len(row) > 2 else "")
        for row in rows
        if len(row) > 1 and row[0].isdigit()
    )


class PulseWatch:
    """Counts how often sources and sinks came or went, from `pactl subscribe`.

    count: grows with every such event, and when the server goes away. One idle process and thread;
    `close` ends both.
    """

    def __init__(self) -> None:
        self.count = 0
        self._process = subprocess.Popen(
            ["pactl", "subscribe"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=_environment(),
        )
        self._thread = threading.Thread(target=self._listen, name="pulse-watch", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the server is still being listened to."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it; may be called twice."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(timeout=1.0)

    def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                if _NEWS.match(line):
                    self.count += 1
        self.count += 1


def _environment() -> dict[str, str]:
    # The text is parsed, so it must not be translated.
    return {**os.environ, "LC_ALL": "C"}


def _blocks(listing: str) -> Iterator[tuple[int, dict[str, str], dict[str, str]]]:
    """(index, first-level fields, properties) of each entry of `pactl list ...`."""
    for block in re.split(r"^(?=\S+ #\d+$)", listing, flags=re.MULTILINE):
        head = re.match(r"\S+ #(\d+)\n", block)
        if head is None:
            continue
        fields = re.findall(r"^\t([A-Z][^:\t]*): (.*)$", block, flags=re.MULTILINE)
        properties = re.findall(r'^\t\t(\S+) = "(.*)"$', block, flags=re.MULTILINE)
        yield int(head[1]), dict(fields), dict(properties)


def _device(index: int, fields: dict[str, str], properties: dict[str, str]) -> PulseDevice:
    name = fields.get("Name", "")
    return PulseDevice(
        index,
        name,
        fields.get("Description", name),
        monitor=fields.get("Monitor of Sink", "n/a") != "n/a",
        monitor_name=fields.get("Monitor Source", ""),
        port=fields.get("Active Port", ""),
        driver=fields.get("Driver", ""),
        properties=properties,
    )
