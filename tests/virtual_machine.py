"""A virtual machine with real loopback cameras and a loopback sound card, for tests of devices.

Software emulation, so that it runs on any machine: 10 to 20 times slower than the host. It sees the
host's file system read-only, so the package under test and its Python run in it as they are.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BUILD_SCRIPT = REPOSITORY / "tests" / "vm" / "build_machine.sh"
EXIT_IMPOSSIBLE = 3
_BUILD_S = 600
_MEMORY_MB = 2048


class ImpossibleError(Exception):
    """The machine cannot be built here; the message says why and what would help."""


@dataclass(frozen=True)
class Run:
    """What a script did in the machine. log: what it printed."""

    exit_code: int
    log: str


class VirtualMachine:
    """Built once under `build/vm`, booted for each run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def built(cls) -> VirtualMachine:
        """The machine of this build script, built unless it is there. Raises ImpossibleError."""
        digest = hashlib.sha256(BUILD_SCRIPT.read_bytes()).hexdigest()[:12]
        parent = REPOSITORY / "build" / "vm"
        parent.mkdir(parents=True, exist_ok=True)
        with open(parent / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = parent / digest
            if not folder.exists():
                partial = parent / f"{digest}.part"
                shutil.rmtree(partial, ignore_errors=True)
                _build(partial)
                partial.rename(folder)
        return cls(folder)

    def run(self, script: str, share: Path, limit_s: float) -> Run:
        """Boot, run a bash script as root with the folder `share` at /mnt, power off.

        In the machine /dev/video10 is a camera with exclusive_caps=1, /dev/video11 one without;
        hw:Loopback,0 and hw:Loopback,1 are the two ends of a sound cable.
        """
        with self.running(script, share, limit_s) as wait:
            return wait()

    @contextmanager
    def running(self, script: str, share: Path, limit_s: float) -> Iterator[Callable[[], Run]]:
        """As `run`, while the body does something else; what is given waits for the end."""
        (share / "guest.sh").write_text(script, encoding="utf-8")
        for name in ("guest.log", "guest.rc"):
            (share / name).unlink(missing_ok=True)
        with open(share / "console.log", "wb") as console:
            process = subprocess.Popen(
                self._command(share),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
            alarm = threading.Timer(limit_s, process.kill)
            alarm.start()
            try:
                yield lambda: _finished(process, share, limit_s)
            finally:
                alarm.cancel()
                process.kill()
                process.wait()

    def _command(self, share: Path) -> list[str]:
        drives = (("root", Path("/"), ",readonly=on"), ("work", share, ""))
        return [
            "qemu-system-x86_64",
            *("-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", str(_MEMORY_MB)),
            *("-nographic", "-no-reboot", "-nic", "none"),
            *("-kernel", str(self._folder / "vmlinuz")),
            *("-initrd", str(self._folder / "initramfs.gz")),
            "-append",
            "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=unstable random.trust_cpu=on",
            *(
                word
                for tag, path, more in drives
                for word in (
                    "-virtfs",
                    f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap{more}",
                )
            ),
        ]


def _finished(process: subprocess.Popen[bytes], share: Path, limit_s: float) -> Run:
    started = time.monotonic()
    process.wait()
    log = share / "guest.log"
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    try:
        return Run(int((share / "guest.rc").read_text()), said)
    except FileNotFoundError:
        console = (share / "console.log").read_text(errors="replace")[-2000:]
        seconds = time.monotonic() - started
        raise AssertionError(
            f"the machine ended after {seconds:.0f} s (limit {limit_s:.0f} s) without a result\n"
            f"{said[-4000:]}\n{console}"
        ) from None


def _build(folder: Path) -> None:
    done = subprocess.run(
        [str(BUILD_SCRIPT), str(folder)],
        env=os.environ | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
        check=False,
    )
    if done.returncode == EXIT_IMPOSSIBLE:
        raise ImpossibleError(done.stderr.splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"building the virtual machine failed:\n{done.stderr[-4000:]}")
