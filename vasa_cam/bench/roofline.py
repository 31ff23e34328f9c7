"""What this machine can do at most, measured in the same run by the core's own probes.

Bandwidth is that of a triad whose three arrays take so many bytes together, in a ladder of sizes:
the small ones stay in the caches, the largest goes beyond them. So a warm run is set against the
cache that its data fits in, and a cold one against memory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Call, Work
from vasa_cam.bench.devices import Device, has_module

_SMALLEST_BYTES: Final = 1 << 16
_LARGEST_BYTES: Final = 1 << 30
_ROUNDS: Final = 25
_SHORTEST_PROBE_S: Final = 5e-4
_FMA_NUMBERS: Final = {"cpu": 1536 * 64, "cuda": 1 << 22}
_FMA_ROUNDS: Final = {"cpu": 400, "cuda": 4096}
_MATRIX: Final = 8192


@dataclass(frozen=True)
class Roofline:
    """bandwidth: (bytes of the working set, bytes a second), rising; the last is memory's.
    flops: operations a second by type."""

    bandwidth: tuple[tuple[int, float], ...]
    flops: Mapping[str, float]

    def bytes_per_s(self, work: Work, cold: bool) -> float:
        """The measured bandwidth for this much data, from memory when it is cold."""
        for size, speed in self.bandwidth:
            if not cold and size >= work.bytes_moved:
                return speed
        return self.bandwidth[-1][1]

    def shortest_s(self, work: Work, cold: bool) -> float | None:
        """No less than this is possible here; None where nothing is counted, or the type's peak was
        not measured."""
        peak = self.flops.get(work.peak)
        if peak is None or not (work.bytes_moved or work.flops):
            return None
        return max(work.bytes_moved / self.bytes_per_s(work, cold), work.flops / peak)

    def as_json(self) -> dict[str, Any]:
        """As a results file has it."""
        return {
            "bandwidth": [
                {"bytes": size, "gb_per_s": round(speed / 1e9, 2)} for size, speed in self.bandwidth
            ],
            "gflops": {name: round(value / 1e9, 1) for name, value in self.flops.items()},
        }


def measure_roofline(device: Device, largest_bytes: int = 0) -> Roofline:
    """Runs the probes, about a second long. largest_bytes: 0 for more than the caches hold."""
    largest = largest_bytes or max(device.cold_bytes(), _SMALLEST_BYTES)
    if device.kind == "cuda":
        largest = largest_bytes or max(largest, _LARGEST_BYTES)
    sizes = []
    size = _SMALLEST_BYTES
    while size < largest:
        sizes.append(size)
        size *= 2
    sizes.append(largest)
    bandwidth = tuple((size, _triad_speed(device, size)) for size in sizes)
    flops = {"fp32": _multiply_add_speed(device)}
    if device.kind == "cuda" and (half := _matrix_speed(device)) is not None:
        flops["fp16"] = half
    return Roofline(bandwidth, flops)


def _triad_speed(device: Device, size: int) -> float:
    count = size // 12
    a, b, out = (device.array(np.full(count, value, np.float32)) for value in (1, 2, 3))
    return 12 * count / _fastest(device, lambda: ops.triad(a, b, 0.5, out))


def _multiply_add_speed(device: Device) -> float:
    count, rounds = _FMA_NUMBERS[device.kind], _FMA_ROUNDS[device.kind]
    values = device.array(np.full(count, 0.5, np.float32))
    return (
        2
        * count
        * rounds
        / _fastest(device, lambda: ops.multiply_add(values, 0.999, 0.001, rounds))
    )


def _matrix_speed(device: Device) -> float | None:
    """Half-precision products on tensor cores, by the vendor's library through torch."""
    if not has_module("torch"):
        return None
    import torch

    a, b = (torch.ones(_MATRIX, _MATRIX, dtype=torch.float16, device="cuda") for _ in range(2))
    out = torch.empty_like(a)
    return 2 * _MATRIX**3 / _fastest(device, lambda: torch.mm(a, b, out=out))


def _fastest(device: Device, call: Call) -> float:
    """The shortest of several readings, each of some milliseconds: a roof, not an average."""
    call()
    start = time.perf_counter()
    call()
    device.finish()
    taken = max(time.perf_counter() - start, 1e-7)
    repeats = max(1, round(_SHORTEST_PROBE_S / taken))
    tellers = [device.reading(call, repeats, False, "device") for _ in range(_ROUNDS)]
    device.finish()
    return min(tell() for tell in tellers)
