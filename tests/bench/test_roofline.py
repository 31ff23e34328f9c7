"""The measured limits, and what a case's work takes at them."""

from __future__ import annotations

import pytest

from vasa_cam import ops
from vasa_cam.bench.case import Work
from vasa_cam.bench.devices import CpuDevice
from vasa_cam.bench.roofline import Roofline, measure_roofline

ROOF = Roofline(((1 << 16, 50e9), (1 << 20, 40e9), (1 << 24, 10e9)), {"fp32": 200e9})


def test_bandwidth_is_that_of_the_smallest_set_that_holds_the_data() -> None:
    assert ROOF.bytes_per_s(Work(1000, 0, ""), cold=False) == 50e9
    assert ROOF.bytes_per_s(Work((1 << 16) + 1, 0, ""), cold=False) == 40e9
    assert ROOF.bytes_per_s(Work(1 << 30, 0, ""), cold=False) == 10e9
    assert ROOF.bytes_per_s(Work(1000, 0, ""), cold=True) == 10e9


def test_the_longer_of_moving_and_computing_counts() -> None:
    assert ROOF.shortest_s(Work(10_000, 1, ""), cold=True) == pytest.approx(1e-6)
    assert ROOF.shortest_s(Work(10_000, 2_000_000, ""), cold=True) == pytest.approx(1e-5)
    assert ROOF.shortest_s(Work(10_000, 1, "", peak="fp16"), cold=True) is None
    assert ROOF.shortest_s(Work(0, 0, ""), cold=True) is None


def test_the_probes_give_numbers_that_a_processor_can_have() -> None:
    """From a slow virtual machine to a large server; the largest set is what was asked for."""
    ops.set_num_threads(1)
    measured = measure_roofline(CpuDevice(), largest_bytes=1 << 22)
    sizes, speeds = zip(*measured.bandwidth, strict=True)
    assert sizes[0] == 1 << 16 and sizes[-1] == 1 << 22 and list(sizes) == sorted(sizes)
    assert all(1e8 < speed < 1e13 for speed in speeds)
    assert 1e8 < measured.flops["fp32"] < 1e13
    written = measured.as_json()
    assert written["bandwidth"][-1]["bytes"] == 1 << 22
    assert written["gflops"]["fp32"] == pytest.approx(measured.flops["fp32"] / 1e9, abs=0.06)
