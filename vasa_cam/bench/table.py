"""README's table of figures, made from a committed results file.

`python -m vasa_cam.bench.table README.md RESULTS.json` puts the table between two comments of the
page, the first of which names the file; a test makes it again and compares.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Final

from vasa_cam.bench.numbers import milliseconds
from vasa_cam.bench.results import SCHEMA, check_document
from vasa_cam.errors import InputError, VasaCamError
from vasa_cam.files import replace_file

BLOCK: Final = re.compile(r"<!-- numbers: (?P<file>\S+) -->\n(?P<text>.*?)<!-- /numbers -->", re.S)
_FRAME: Final = re.compile(r"frame/(\d+)x\d+-(\d)t")


def numbers_text(document: dict[str, Any], name: str) -> str:
    """The text of one results file. name: how the page links to it.

    Takes what `vasa-cam bench --json` writes, and what `make bench` does: pytest-benchmark's file
    as benchmarks/conftest.py shapes it.
    """
    if document.get("schema") == SCHEMA:
        check_document(document, name)
        parts = [_caption(document, name), _frames(_frame_rates(document)), *_ops(document)]
    else:
        parts = [_pytest_caption(document, name), _frames(_pytest_rates(document))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _caption(document: dict[str, Any], name: str) -> str:
    cpu = document["device"]["cpu"]
    device = f"{cpu['cores']} cores of {_a(cpu['name'])} ({_simd(cpu['simd'])})"
    if gpu := document["device"].get("gpu"):
        device = f"{gpu['name']} (driver {gpu['driver']}), {device}"
    commit = document["commit"] or "unknown"
    return (
        f"Medians on {device} at commit {commit}, every result verified before it is timed;\n"
        f"all readings: [results file]({name}), how to read them: [benchmarks](docs/benchmarks.md)."
    )


def _pytest_caption(document: dict[str, Any], name: str) -> str:
    info = document["machine_info"]
    return (
        f"Medians on {info['cores']} cores of {_a(info['processor'])} "
        f"({_simd(info['core']['simd'])}) at commit {document['commit']};\n"
        f"all readings: [results file]({name})."
    )


def _a(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def _simd(level: str) -> str:
    return {"avx512": "AVX-512", "avx2": "AVX2"}.get(level, level)


def _frame_rates(document: dict[str, Any]) -> dict[tuple[int, int], float]:
    """(side, threads) -> frames a second."""
    found = ((_FRAME.fullmatch(case["name"]), case) for case in document["cases"])
    return {
        (int(match[1]), int(match[2])): case["figures"]["frames_per_second"]
        for match, case in found
        if match and "frames_per_second" in case["figures"]
    }


def _pytest_rates(document: dict[str, Any]) -> dict[tuple[int, int], float]:
    rates = {}
    for entry in document["benchmarks"]:
        match = re.search(r"test_bench_frame\[(\d)-(\d+)\]$", entry["name"])
        if match:
            rates[int(match[2]), int(match[1])] = entry["frames_per_second"]
    return rates


def _frames(rates: dict[tuple[int, int], float]) -> str:
    sides = sorted({side for side, _ in rates if (side, 1) in rates and (side, 2) in rates})
    if not sides:
        return ""
    rows = ["| frame, motion to picture | 1 thread | 2 threads |", "|---|---|---|"]
    rows += [
        f"| {side}x{side} | {rates[side, 1]:.0f} frames/s | {rates[side, 2]:.0f} frames/s |"
        for side in sides
    ]
    return "\n".join(rows)


def _ops(document: dict[str, Any]) -> list[str]:
    """One row a case that has a contender; the fastest of the ways that do the same work."""
    rows = []
    for case in document["cases"]:
        timed = [way for way in case["ways"][1:] if way["warm"] is not None and not way["part"]]
        if case["state"] != "timed" or not timed:
            continue
        best = min(timed, key=lambda way: way["warm"]["median_ms"])
        ours = case["ways"][0]["warm"]
        share = ours["roofline_share"]
        ratio = best["warm"]["ours_is_times_faster"]
        rows.append(
            f"| {case['name']} | {milliseconds(ours['median_ms'])} ms "
            f"| {best['name']}: {milliseconds(best['warm']['median_ms'])} ms | {ratio:.1f}x "
            f"| {'' if share is None else f'{share:.0%}'} |"
        )
    if not rows:
        return []
    threads = document["device"]["cpu"]["threads"]
    head = [
        f"| {threads} threads, warm caches | vasa_cam | the fastest other | ratio | of roofline |",
        "|---|---|---|---|---|",
    ]
    return ["\n".join([*head, *rows])]


def updated_page(page: str, document: dict[str, Any], name: str) -> str:
    """The page with this file's text in its block. Raises InputError for a page without one."""
    if len(BLOCK.findall(page)) != 1:
        raise InputError(
            "the page must have one block between <!-- numbers: FILE --> and <!-- /numbers -->."
        )
    text = f"<!-- numbers: {name} -->\n{numbers_text(document, name)}<!-- /numbers -->"
    return BLOCK.sub(lambda _: text, page)


def main(arguments: list[str]) -> int:
    """Rewrite a page's block: PAGE RESULTS.json. 2 for unusable input."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m vasa_cam.bench.table README.md RESULTS.json\n")
        return 2
    page, results = map(Path, arguments)
    try:
        document = json.loads(results.read_text(encoding="utf-8"))
        name = Path(os.path.relpath(results, page.parent)).as_posix()
        text = updated_page(page.read_text(encoding="utf-8"), document, name)
        with replace_file(page) as partial:
            partial.write_text(text, encoding="utf-8")
    except (OSError, ValueError, KeyError, VasaCamError) as error:
        sys.stderr.write(f"cannot make the table of {results}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
