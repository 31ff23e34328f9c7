"""Figures: right, bounded, readable by machines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from live_support import MS

from vasa_cam.errors import InputError
from vasa_cam.live.metrics import COUNTERS, HOPS, Gauge, Metrics, MetricsFile, Window

SAMPLE = re.compile(r'^[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?[0-9.e+-]+$')


def filled() -> Metrics:
    metrics = Metrics()
    for k in range(100):
        metrics.hops["render"].add_ns(k * MS)
    metrics.count("frames_shown", 3)
    metrics.gauges["delay_ms"] = Gauge("from capture to picture", lambda: 141.25)
    sink = {"name": 'odd "name"\n', "sent": 5, "dropped": 1, "failures": 0, "waiting": 0}
    metrics.info["sinks"] = lambda: [sink]
    return metrics


def test_quantiles_are_those_of_the_last_values(rng: np.random.Generator) -> None:
    window = Window()
    values = rng.exponential(10, 5000)
    for value in values:
        window.add_ns(round(value * MS))
    got = window.quantiles()
    recent = values[-2048:]
    for name, quantile in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert got[name] == pytest.approx(np.percentile(recent, quantile), rel=1e-3)
    assert got["max"] == pytest.approx(recent.max(), rel=1e-3)
    assert window.count == 5000 and window.sum_ms == pytest.approx(values.sum(), rel=1e-6)
    assert Window().quantiles() == {}


def test_the_snapshot_survives_json() -> None:
    read = json.loads(json.dumps(filled().snapshot()))
    assert read["hops_ms"] == {"render": {"p50": 49.5, "p95": 94.05, "p99": 98.01, "max": 99.0}}
    assert read["counters"] == dict.fromkeys(COUNTERS, 0) | {"frames_shown": 3}
    assert read["delay_ms"] == 141.25 and read["sinks"][0]["sent"] == 5


def test_prometheus_can_read_it() -> None:
    """By the text format's grammar: HELP and TYPE before samples, names once, numbers last."""
    lines = filled().prometheus().splitlines()
    assert filled().prometheus().endswith("\n")
    types: dict[str, str] = {}
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "summary")
            types[name] = kind
        elif not line.startswith("# HELP "):
            assert SAMPLE.match(line.replace(r"\"", "'")), line
            base = re.sub(r"_(sum|count)$", "", line.split("{")[0].split(" ")[0])
            assert base in types or line.split(" ")[0] in types, line
    assert 'vasa_cam_hop_seconds{hop="render",quantile="0.95"} 0.094050' in lines
    assert "vasa_cam_frames_shown_total 3" in lines
    assert "vasa_cam_delay_ms 141.25" in lines
    assert r'vasa_cam_sink_sent_total{sink="odd \"name\"\n"} 5' in lines
    assert all(f'vasa_cam_hop_seconds_count{{hop="{hop}"}}' in "\n".join(lines) for hop in HOPS)


def test_json_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for _ in range(2):
        file = MetricsFile(path)
        assert file.write({"a": 1})
        file.close()
        assert not file.write({"a": 2})
    assert path.read_text() == '{"a":1}\n{"a":1}\n'


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose another file"):
        MetricsFile(tmp_path / "missing" / "metrics.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
def test_a_full_disk_ends_the_writing_and_nothing_else() -> None:
    file = MetricsFile(Path("/dev/full"))
    assert not file.write({"a": 1})
    assert not file.write({"a": 2})
    file.close()
