"""Results files say where and what was measured, and hold statistics instead of every reading."""

from __future__ import annotations

import platform
from typing import Any

import pytest

_STATISTICS = ("min", "median", "mean", "stddev", "iqr", "max", "rounds")


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Replaces the plugin's own record, which holds the host's name, by what matters here."""
    from vasa_cam import ops
    from vasa_cam.bench import machine

    machine_info.clear()
    machine_info.update(
        processor=machine.processor(),
        cores=machine.cores(),
        system=platform.system(),
        python=platform.python_version(),
        core=ops.build_info(),
    )


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]
) -> None:
    """Keeps names, statistics in milliseconds and extra figures; drops the raw timings."""
    from vasa_cam.bench import machine

    output_json["benchmarks"] = [
        {
            "name": entry["fullname"],
            "milliseconds": {
                key: entry["stats"][key] * (1 if key == "rounds" else 1e3) for key in _STATISTICS
            },
            **entry["extra_info"],
        }
        for entry in output_json["benchmarks"]
    ]
    output_json["commit"] = machine.commit()
    output_json.pop("commit_info", None)
