"""The list of cases: complete, unambiguous, and the same inputs every time."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.bench.case import SUITES, Setting
from vasa_cam.bench.devices import CpuDevice, open_device
from vasa_cam.bench.registry import all_cases, choose
from vasa_cam.errors import InputError

CASES = all_cases()
_NO_CASE = {
    *("build_info", "get_num_threads", "set_num_threads", "default_matrix"),  # no work
    *("phase_weights", "statistics_workspace"),  # preparations
    *("triad", "multiply_add"),  # what everything else is measured against
}


def test_every_public_op_has_a_case() -> None:
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    measured = {name for case in CASES for name in case.ops}
    assert functions - _NO_CASE <= measured
    assert measured <= functions


def test_names_are_unique_and_can_be_typed() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+/[a-z0-9_-]+", name) for name in names), names
    assert [SUITES.index(case.suite) for case in CASES] == sorted(
        SUITES.index(case.suite) for case in CASES
    )


def test_choosing() -> None:
    chosen = choose(["ops"], "pixel/i420-*")
    assert [case.name for case in chosen] == [
        "pixel/i420-512x512",
        "pixel/i420-720p",
        "pixel/i420-1080p",
    ]
    assert {case.suite for case in choose(["pipeline"])} == {"pipeline"}
    assert [case.name for case in choose()] == [case.name for case in choose(SUITES)]
    assert all("cuda" in case.devices for case in choose(device="cuda"))


def test_choosing_badly() -> None:
    with pytest.raises(InputError, match="--suite must be one of ops, models, pipeline, got op"):
        choose(["op"])
    with pytest.raises(InputError, match="no case matches 'pixle"):
        choose(pattern="pixle/*")


def test_a_seed_gives_the_same_inputs() -> None:
    first, again, other = (Setting(CpuDevice(), 1, seed).rng().random(4) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_devices_that_are_not_there() -> None:
    with pytest.raises(InputError, match="--device must be cpu or cuda, got gpu"):
        open_device("gpu")
    if not ops.build_info()["cuda_devices"]:
        with pytest.raises(InputError, match="CUDA"):
            open_device("cuda")
