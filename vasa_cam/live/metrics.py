"""What the daemon knows about itself: times per hop, counts, states. Memory does not grow.

`Metrics.snapshot` is for people and the control socket, `prometheus` for monitoring.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from vasa_cam.errors import InputError

HOPS: Final[Mapping[str, str]] = {
    "capture_to_block": "first sample of a block captured -> block in the motion thread",
    "block_to_motion": "block in the motion thread -> its motion computed",
    "capture_to_motion": "moment captured -> its motion frame computed (look-ahead and hop inside)",
    "motion_to_render": "newest motion frame of a picture computed -> drawing begins",
    "render": "drawing begins -> picture ready",
    "render_to_send": "picture ready -> handed over (wait for the deadline inside)",
    "end_to_end": "moment captured -> picture that shows it taken by an output",
    "frame_interval": "one hand-over to the next",
}
COUNTERS: Final[Mapping[str, str]] = {
    "frames_shown": "deadlines served",
    "frames_repeated": "deadlines served with the frame before",
    "deadlines_missed": "deadlines left out because the machine was late",
    "pictures_skipped": "deadlines no picture was drawn for",
    "pictures_drawn": "pictures drawn",
    "motion_held": "pictures drawn before their motion had come",
    "motion_frames": "motion frames computed",
    "blocks": "blocks of sound heard",
    "blocks_dropped": "blocks of sound not listened to because they came too late",
    "clock_jumps": "jumps of the clock, such as suspensions",
    "source_losses": "times the source was lost",
    "motion_failures": "exceptions in the motion model",
    "render_failures": "exceptions while drawing",
    "commands": "control commands done",
    "commands_refused": "control commands refused",
}
_KEPT: Final = 2048


class Window:
    """The last 2048 values of a duration, and count and sum of all. Any thread may add."""

    def __init__(self) -> None:
        self._values_ms = np.zeros(_KEPT, np.float32)
        self._lock = threading.Lock()
        self.count = 0
        self.sum_ms = 0.0

    def add_ns(self, duration_ns: int) -> None:
        """One more."""
        value = duration_ns / 1e6
        with self._lock:
            self._values_ms[self.count % _KEPT] = value
            self.count += 1
            self.sum_ms += value

    def quantiles(self) -> dict[str, float]:
        """p50, p95, p99 and max of the last values, in milliseconds; empty without any."""
        with self._lock:
            values = self._values_ms[: min(self.count, _KEPT)].copy()
        if not len(values):
            return {}
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        named = {"p50": p50, "p95": p95, "p99": p99, "max": values.max()}
        return {name: round(float(value), 3) for name, value in named.items()}


@dataclass(frozen=True)
class Gauge:
    """A figure that is asked for when somebody looks. help: one line about it."""

    help: str
    read: Callable[[], float]


class Metrics:
    """Counts and times of one daemon; every stage writes its own, anybody reads.

    gauges: name -> Gauge. info: name -> what to call for further entries of the snapshot.
    """

    def __init__(self) -> None:
        self.hops = {name: Window() for name in HOPS}
        self.gauges: dict[str, Gauge] = {}
        self.info: dict[str, Callable[[], Any]] = {}
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._lock = threading.Lock()

    def count(self, name: str, more: int = 1) -> None:
        """Add to a counter of COUNTERS."""
        with self._lock:
            self._counters[name] += more

    def counter(self, name: str) -> int:
        """A counter's value."""
        return self._counters[name]

    def snapshot(self) -> dict[str, Any]:
        """Everything, ready for JSON: hops in milliseconds, counters, gauges, states."""
        hops = {name: window.quantiles() for name, window in self.hops.items()}
        return {
            "hops_ms": {name: figures for name, figures in hops.items() if figures},
            "counters": dict(self._counters),
            **{name: round(gauge.read(), 3) for name, gauge in self.gauges.items()},
            **{name: read() for name, read in self.info.items()},
        }

    def prometheus(self) -> str:
        """The same in Prometheus' text format, version 0.0.4."""
        lines: list[str] = []
        name = "vasa_cam_hop_seconds"
        lines += [f"# HELP {name} Time of one hop.", f"# TYPE {name} summary"]
        for hop, window in self.hops.items():
            figures = window.quantiles()
            for key, quantile in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")):
                if key in figures:
                    label = f'hop="{hop}",quantile="{quantile}"'
                    lines.append(f"{name}{{{label}}} {figures[key] / 1e3:.6f}")
            lines.append(f'{name}_sum{{hop="{hop}"}} {window.sum_ms / 1e3:.6f}')
            lines.append(f'{name}_count{{hop="{hop}"}} {window.count}')
        for counter, value in self._counters.items():
            full = f"vasa_cam_{counter}_total"
            lines += [f"# HELP {full} {COUNTERS[counter]}.", f"# TYPE {full} counter"]
            lines.append(f"{full} {value}")
        for gauge_name, gauge in self.gauges.items():
            full = f"vasa_cam_{gauge_name}"
            lines += [f"# HELP {full} {gauge.help}.", f"# TYPE {full} gauge"]
            lines.append(f"{full} {gauge.read():.6g}")
        lines += self._sink_lines()
        return "\n".join(lines) + "\n"

    def _sink_lines(self) -> list[str]:
        sinks = self.info["sinks"]() if "sinks" in self.info else []
        lines: list[str] = []
        for key, kind, note in (
            ("sent", "counter", "frames taken by an output"),
            ("dropped", "counter", "frames an output was too slow for"),
            ("failures", "counter", "times an output failed or could not be opened"),
            ("waiting", "gauge", "frames waiting for an output"),
        ):
            full = f"vasa_cam_sink_{key}" + ("_total" if kind == "counter" else "")
            lines += [f"# HELP {full} {note}.", f"# TYPE {full} {kind}"]
            lines += [f'{full}{{sink="{_label(sink["name"])}"}} {sink[key]}' for sink in sinks]
        return lines


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class MetricsFile:
    """Snapshots as JSON lines. Raises InputError when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: TextIO | None = path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"metrics cannot be written to {path}: {error.strerror}; choose another file."
            ) from error

    def write(self, snapshot: Mapping[str, Any]) -> bool:
        """Append one line; False when that failed (disk full) and the file was given up."""
        if self._file is None:
            return False
        try:
            self._file.write(json.dumps(snapshot, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # what could not be flushed is lost; the daemon goes on
                return
