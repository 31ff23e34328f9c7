"""README's figures are those of the committed results file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vasa_cam.bench.results import SCHEMA
from vasa_cam.bench.table import BLOCK, main, numbers_text
from vasa_cam.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = "# A page\n\n<!-- numbers: old.json -->\nold\n<!-- /numbers -->\n\nThe end.\n"


def times(median_ms: float, ratio: float) -> dict[str, Any]:
    return {
        "median_ms": median_ms, "p10_ms": median_ms, "p90_ms": median_ms, "readings": 9,
        "gb_per_s": 1.0, "gflops": 1.0, "roofline_share": 0.256, "ours_is_times_faster": ratio,
    }  # fmt: skip


def case(name: str, *ways: dict[str, Any], **figures: float) -> dict[str, Any]:
    return {
        "name": name, "suite": "ops", "ops": [], "shape": "", "dtype": "", "threads": None,
        "clock": "wall", "state": "timed", "why": "", "bytes": 1, "flops": 1, "formula": "",
        "figures": figures, "goal": None, "ways": list(ways),
    }  # fmt: skip


def way(name: str, median_ms: float | None, ratio: float, part: str = "") -> dict[str, Any]:
    return {
        "name": name, "state": "timed" if median_ms else "missing", "why": "", "part": part,
        "note": "", "error": 0.0, "warm": times(median_ms, ratio) if median_ms else None,
        "cold": None,
    }  # fmt: skip


def document() -> dict[str, Any]:
    ours = way("vasa_cam", 0.2, 1.0)
    cpu = {"name": "Intel Xeon", "cores": 2, "threads": 2, "simd": "avx512"}
    return {
        "schema": SCHEMA, "created": "", "commit": "abc1234", "versions": {}, "cold_bytes": 1,
        "device": {"kind": "cpu", "cpu": cpu}, "roofline": {},
        "cases": [
            case("frame/64x64-1t", ours, frames_per_second=120.4),
            case("frame/64x64-2t", ours, frames_per_second=199.6),
            case("pixel/tiny", ours, way("slow", 3.0, 15.0), way("quick", 1.5, 7.5),
                 way("part", 0.1, 0.5, part="half of it"), way("absent", None, 0.0)),
        ],
    }  # fmt: skip


def test_the_figures_in_readme_are_those_of_its_results_file() -> None:
    page = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    block = BLOCK.search(page)
    assert block is not None
    results = json.loads((REPOSITORY / block["file"]).read_text(encoding="utf-8"))
    assert block["text"] == numbers_text(results, block["file"])
    assert "frames/s" in block["text"]


def test_what_the_table_takes_from_a_file() -> None:
    text = numbers_text(document(), "results/it.json")
    assert "2 cores of an Intel Xeon (AVX-512) at commit abc1234" in text
    assert "(results/it.json)" in text
    assert "| 64x64 | 120 frames/s | 200 frames/s |" in text
    # The fastest that does the same work; neither the slower one, nor a part, nor a missing one.
    assert "| pixel/tiny | 0.200 ms | quick: 1.50 ms | 7.5x | 26% |" in text
    assert text.count("| pixel/tiny") == 1


def test_the_page_is_rewritten_between_the_marks(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "new.json"
    page.write_text(PAGE)
    results.write_text(json.dumps(document()))
    assert main([str(page), str(results)]) == 0
    text = page.read_text()
    assert text.startswith("# A page\n\n<!-- numbers: new.json -->\nMedians on ")
    assert text.endswith("\n<!-- /numbers -->\n\nThe end.\n") and "\nold\n" not in text
    assert main([str(page), str(results)]) == 0
    assert page.read_text() == text


@pytest.mark.parametrize("content", ["no json", "{}", '{"schema": "vasa-cam-bench/1"}'])
def test_a_page_is_left_alone_when_the_results_are_unusable(tmp_path: Path, content: str) -> None:
    page, results = tmp_path / "page.md", tmp_path / "new.json"
    page.write_text(PAGE)
    results.write_text(content)
    assert main([str(page), str(results)]) == 2
    assert page.read_text() == PAGE
    page.write_text("no marks")
    results.write_text(json.dumps(document()))
    assert main([str(page), str(results)]) == 2
    assert page.read_text() == "no marks"


def test_a_document_of_another_schema_is_refused() -> None:
    changed = document()
    del changed["cases"][0]["ways"]
    with pytest.raises(InputError):
        numbers_text(changed, "it.json")
