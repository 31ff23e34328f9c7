"""Real cases at small sizes: each builds, agrees with its reference, and is timed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.bench.case import Case, Setting, Trial
from vasa_cam.bench.cases import layered, models, pipeline, sampler, transformer, volume
from vasa_cam.bench.devices import CpuDevice
from vasa_cam.bench.networks import NetworkSize
from vasa_cam.bench.runner import CaseResult, RunConfig, run_case
from vasa_cam.ops import OWN_FORM

QUICK = RunConfig(seconds=0.001, cold=False)
TINY_VOLUME = volume.VolumeSize(2, 3, 6, 5, 8, 4)
TINY_NETWORK = NetworkSize(2, 32, 64, 5, 2)
TINY_WINDOW = sampler.WindowSize(3, 4, 3, 2)
TINY_STEP = transformer.Network(OWN_FORM, TINY_NETWORK, 3, 4, 3)
CPU = ("cpu",)
CASES = [
    layered.expression_case(64),
    layered.warp_mesh_case(64),
    layered.compose_over_case(64),
    layered.aperture_case(64),
    layered.compose_eye_case(128),
    layered.compose_mouth_case(128),
    sampler.sampler_case("tiny", TINY_NETWORK, TINY_WINDOW),
    transformer.step_case("tiny", TINY_STEP, "float32", 1),
    transformer.update_case(3),
    volume.warp_volume_case("tiny", TINY_VOLUME, "float32", CPU),
    volume.warp_volume_case("tiny-half", TINY_VOLUME, "float16", CPU),
    volume.dense_motion_input_case("tiny", TINY_VOLUME, "float32", CPU),
    volume.dense_motion_warp_case("tiny", TINY_VOLUME, "float32", CPU),
    pipeline.frame_case(64, 2),
    pipeline.device_frame_case(64),
]


def uncompiled(case: Case) -> Case:
    """Without torch's compiler, which takes half a minute a way."""

    def build(setting: Setting) -> Trial:
        trial = case.build(setting)
        kept = tuple(way for way in trial.ways if "compiled" not in way.name)
        return replace(trial, ways=kept)

    return replace(case, build=build)


def run(case: Case) -> CaseResult:
    return run_case(uncompiled(case), CpuDevice(), QUICK)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_small_case(case: Case) -> None:
    result = run(case)
    assert result.state == "timed", result.why
    ours = result.ways[0]
    assert ours.way.name == "vasa_cam" and ours.error is not None and ours.warm is not None
    for other in result.ways[1:]:
        assert other.state in ("timed", "missing"), (other.way.name, other.why)
        assert other.way.part or other.state == "missing" or other.error is not None
    assert result.work is not None and result.work.bytes_moved > 0 and result.work.formula


def test_the_figures_of_a_frame() -> None:
    figures = run(pipeline.frame_case(64, 1)).figures
    assert figures["nanoseconds_per_pixel"] == pytest.approx(
        1e9 / figures["frames_per_second"] / 64**2
    )
    # A frame allocates nothing large: less than the picture itself.
    assert 0 < figures["allocated_kib_per_frame"] < 64
    assert figures["prepared_mib"] > 0.05


def test_memory_of_a_call_is_what_it_holds_at_most() -> None:
    def call() -> None:
        first = np.ones(1 << 17)
        del first
        np.ones(1 << 16)

    assert pipeline.allocated_bytes(call) == pytest.approx(1 << 20, rel=0.01)


def test_a_broken_renderer_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eyes left out: the whole frame no longer agrees with the reference ops."""
    case = pipeline.frame_case(128, 1)
    assert run(case).state == "timed"
    monkeypatch.setattr(ops, "compose_over", lambda below, above, out: out)
    result = run(case)
    assert (result.state, result.ways[0].state) == ("failed", "wrong")


def test_the_live_generator() -> None:
    result = run(models.generator_case())
    assert result.state == "timed", result.why


@pytest.mark.neural
@pytest.mark.parametrize("name", ["joyvasa-step", "motion-fp32"])
def test_a_network(name: str) -> None:
    (case,) = [case for case in models.cases() if case.name == f"models/{name}"]
    result = run(case)
    assert result.state == "timed", result.why
    assert [way.state for way in result.ways] == ["timed"] * len(result.ways)


@pytest.mark.cuda
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_small_case_on_a_gpu(case: Case) -> None:
    from vasa_cam.bench.devices import open_device

    if "cuda" not in case.devices and case.devices != CPU:
        pytest.skip("a case of the processor")
    device: Any = open_device("cuda")
    result = run_case(uncompiled(case), device, replace(QUICK, cold=True))
    assert result.state == "timed", result.why
    assert result.ways[0].warm is not None and result.ways[0].cold is not None
