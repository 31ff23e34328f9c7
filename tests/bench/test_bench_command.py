"""`vasa-cam bench` as a user runs it: the table, the JSON, the picture, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_cli
from PIL import Image

from vasa_cam.bench.results import check_document, read_results
from vasa_cam.errors import InputError

QUICK = ("--case", "pixel/*-512x512", "--seconds", "0.001")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("bench")
    done = run_cli("bench", *QUICK, "--json", "out.json", "--plot", "out.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_file_says_what_was_measured_and_where(run: tuple[Path, str]) -> None:
    document = json.loads((run[0] / "out.json").read_bytes())
    assert document["schema"] == "vasa-cam-bench/1"
    device = document["device"]
    assert device["kind"] == "cpu" and "gpu" not in device
    assert device["cpu"]["cores"] >= 1 and device["cpu"]["threads"] == 2
    assert device["cpu"]["simd"] in ("baseline", "avx2", "avx512")
    assert {"vasa-cam", "python", "numpy"} <= document["versions"].keys()
    names = [case["name"] for case in document["cases"]]
    assert names == [f"pixel/{name}-512x512" for name in ("i420", "nv12", "bgra")]
    for case in document["cases"]:
        assert case["state"] == "timed"
        ours, *others = case["ways"]
        assert ours["name"] == "vasa_cam" and ours["error"] is not None
        assert [way["name"] for way in others] == ["NumPy float32", "FFmpeg swscale"]
        for way in case["ways"]:
            warm = way["warm"]
            assert 0 < warm["p10_ms"] <= warm["median_ms"] <= warm["p90_ms"]
            assert warm["readings"] >= 5
            ratio = warm["median_ms"] / ours["warm"]["median_ms"]
            assert warm["ours_is_times_faster"] == pytest.approx(ratio, rel=1e-2, abs=1e-3)
            moved = case["bytes"] / warm["median_ms"] / 1e6
            assert warm["gb_per_s"] == pytest.approx(moved, rel=1e-3)
    i420 = document["cases"][0]
    assert i420["bytes"] == 512 * 512 * 9 // 2


def test_the_file_names_neither_host_nor_user_nor_folder(run: tuple[Path, str]) -> None:
    import getpass
    import platform

    text = (run[0] / "out.json").read_text(encoding="utf-8")
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert f'"{platform.node()}"' not in text and f'"{getpass.getuser()}"' not in text


def test_the_table_shows_every_case_and_way(run: tuple[Path, str]) -> None:
    for words in ("pixel/i420-512x512", "FFmpeg swscale", "NumPy float32", "measured at most"):
        assert words in run[1]


def test_the_picture_has_ink_and_bars(run: tuple[Path, str]) -> None:
    with Image.open(run[0] / "out.png") as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    assert len(colours) > 20  # text is smoothed
    large = {tuple(map(int, colour)) for colour in colours[counts > 100]}
    assert {(25, 113, 194), (134, 142, 150), (47, 158, 68), (255, 255, 255)} <= large


def test_the_list_measures_nothing(tmp_path: Path) -> None:
    done = run_cli("bench", "--list", "--suite", "ops", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) > 10
    assert all(line.startswith("ops ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--suite", "op"), "--suite must be one of ops, models, pipeline"),
        (("--case", "nothing/*"), "no case matches"),
        (("--device", "gpu"), "--device must be cpu or cuda"),
        ((*QUICK, "--json", "nowhere/out.json"), "nowhere"),
        ((*QUICK, "--plot", "nowhere/out.png"), "nowhere"),
    ],
)
def test_refused_with_one_sentence(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = run_cli("bench", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    from vasa_cam import ops

    if ops.build_info()["cuda_devices"]:
        pytest.skip("this machine has a GPU")
    done = run_cli("bench", "--device", "cuda", "--goals", "--list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "CUDA" in done.stderr


def _document(run: tuple[Path, str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run[0] / "out.json").read_bytes())
    return document


def test_a_changed_file_is_refused(run: tuple[Path, str], tmp_path: Path) -> None:
    check_document(_document(run), "it")

    def refused(change: Any, says: str) -> None:
        document = _document(run)
        change(document)
        with pytest.raises(InputError, match=says):
            check_document(document, "it")

    refused(lambda d: d.update(schema="vasa-cam-bench/0"), "schema")
    refused(lambda d: d.pop("roofline"), "expected the fields")
    refused(lambda d: d.update(cold_bytes=True), "cold_bytes must be int")
    refused(lambda d: d["cases"][0].update(bytes="many"), "bytes must be int")
    refused(lambda d: d["cases"][0]["ways"][1].update(surprise=1), "expected the fields")
    refused(lambda d: d["cases"][0]["ways"][1]["warm"].update(median_ms=None), "median_ms")
    for content in ("no json", "[]", '{"schema": 3}'):
        path = tmp_path / "bad.json"
        path.write_text(content)
        with pytest.raises(InputError, match=r"bad\.json"):
            read_results(path)
    assert read_results(run[0] / "out.json") == _document(run)
