"""Which machine and which commit a results file speaks of; run it to print the file's base name."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def processor() -> str:
    """The processor's model name, with the vendor's marks removed."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        name = found.group(1) if found else name
    return " ".join(re.sub(r"\((R|TM)\)|CPU|@.*|Processor", "", name).split())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def commit() -> str:
    """Short commit of the tree, with `-dirty` when tracked files differ from it."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def results_name() -> str:
    """Base name of the results file of this machine and commit."""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return f"{slug}-{cores()}cores-{commit()}"


if __name__ == "__main__":
    print(results_name())
