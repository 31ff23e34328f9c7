"""Which machine, which versions and which commit a results file speaks of; never a host's name."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import vasa_cam

_VERSIONS: Final = ("numpy", "scipy", "av", "onnxruntime", "torch", "triton", "cupy-cuda13x",
                    "cupy-cuda12x", "opencv-contrib-python")  # fmt: skip
_GPU_QUERY: Final = {
    "name": "name",
    "driver": "driver_version",
    "sm_clock_mhz": "clocks.sm",
    "memory_clock_mhz": "clocks.mem",
    "sm_clock_max_mhz": "clocks.max.sm",
    "memory_clock_max_mhz": "clocks.max.mem",
    "power_limit_w": "power.limit",
    "temperature_c": "temperature.gpu",
    "memory_mib": "memory.total",
}
_TIMEOUT_S: Final = 20


def processor() -> str:
    """The processor's model name, with the vendor's marks removed."""
    name = platform.processor() or platform.machine()
    if found := re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE):
        name = found.group(1)
    return " ".join(re.sub(r"\((R|TM)\)|CPU|@.*|Processor", "", name).split())


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def clock_mhz() -> float | None:
    """Mean of the cores' clocks at this moment; None where the system does not tell."""
    clocks = [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", _cpuinfo(), re.M)]
    return round(sum(clocks) / len(clocks), 1) if clocks else None


def cache_bytes() -> dict[str, int]:
    """Size of each data cache as the first core sees it, such as {"L1": 49152, "L2": ...}."""
    found: dict[str, int] = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (entry / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction" and (digits := re.fullmatch(r"(\d+)([KMG]?)", size)):
            factor = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[digits[2]]
            found[f"L{level}"] = int(digits[1]) * factor
    return found


def available_memory_bytes() -> int | None:
    """What can be allocated without swapping; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) << 10 if found else None


def commit() -> str | None:
    """Short commit of the source tree that this package lies in, with `-dirty` when tracked files
    differ from it; None for a package that was installed elsewhere."""
    folder = Path(vasa_cam.__file__).resolve().parent
    top = _output("git", "-C", str(folder), "rev-parse", "--show-toplevel")
    # An environment may lie in somebody else's repository.
    if not top or not (Path(top) / "csrc" / "include" / "vasa_cam").is_dir():
        return None
    return _output("git", "-C", top, "describe", "--always", "--dirty", "--abbrev=7") or None


def versions() -> dict[str, str]:
    """Python's version and that of every installed package which takes part in a comparison."""
    found = {"vasa-cam": vasa_cam.__version__, "python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_cpu(threads: int) -> dict[str, Any]:
    """The processor as a results file has it."""
    from vasa_cam import ops

    info = ops.build_info()
    return {
        "name": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "threads": threads,
        "clock_mhz": clock_mhz(),
        "cache_bytes": cache_bytes(),
        "simd": info["simd"],
        "compiler": info["compiler"],
    }


def describe_gpu(ordinal: int) -> dict[str, Any]:
    """What `nvidia-smi` says about a GPU, clocks of this moment included; {} without it."""
    fields = ",".join(_GPU_QUERY.values())
    line = _output(
        "nvidia-smi", f"--id={ordinal}", f"--query-gpu={fields}", "--format=csv,noheader,nounits"
    )
    values = [value.strip() for value in line.split(",")] if line else []
    if len(values) != len(_GPU_QUERY):
        return {}
    return {name: _number(value) for name, value in zip(_GPU_QUERY, values, strict=True)}


def results_name(gpu: bool = False) -> str:
    """Base name of the results file of this machine and commit."""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    name = f"{slug}-{cores()}cores"
    if gpu and (card := describe_gpu(0).get("name")):
        name = re.sub(r"[^a-z0-9]+", "-", str(card).lower()).strip("-")
    return f"{name}-{commit() or vasa_cam.__version__}"


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def _output(program: str, *arguments: str) -> str:
    """Standard output of a program, stripped; "" when it is missing or fails."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
        )
    except (subprocess.SubprocessError, OSError):
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    print(results_name(gpu="--gpu" in sys.argv[1:]))
