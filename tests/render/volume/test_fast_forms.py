"""The rewritten warp and decoder: the goldens of the published ones, in float32 and bfloat16.

In float32 the gate is the published form's. bfloat16 keeps 8 bits: the reference itself, run under
bfloat16 autocast, is 8.3e-3 (decoder) and 2.2e-2 (warp) from its float32. Half as much again is
allowed for the decoder, whose features are rounded after every layer; the warp's masks, flow and
heat are float32 here, so it gets nothing extra. float16 keeps three bits more: an eighth of both.
"""

from __future__ import annotations

from typing import Any

import pytest
from volume_goldens import GATE, Goldens, relative_l2, with_rule_weights

torch = pytest.importorskip("torch")

from vasa_cam.render.volume.fast_decoder import FastDecoder  # noqa: E402
from vasa_cam.render.volume.fast_warping import FastWarping  # noqa: E402
from vasa_cam.render.volume.fold import place  # noqa: E402
from vasa_cam.render.volume.spade import SpadeDecoder  # noqa: E402
from vasa_cam.render.volume.warping import WarpingNetwork  # noqa: E402

pytestmark = pytest.mark.neural

GATES = {"float32": (GATE, GATE), "float16": (2.75e-3, 1.6e-3), "bfloat16": (2.2e-2, 1.25e-2)}
"""dtype: for W, for G."""

CPU = torch.device("cpu")


def place_or_skip(module: Any, dtype: str) -> Any:
    """`module` in `dtype`; skips where this CPU would take minutes for it."""
    fast = torch.ops.mkldnn
    able = {"float16": fast._is_mkldnn_fp16_supported, "bfloat16": fast._is_mkldnn_bf16_supported}
    if dtype in able and not able[dtype]():
        pytest.skip(f"this CPU has no {dtype} convolutions")
    return place(module, CPU, getattr(torch, dtype))


@pytest.fixture(scope="module")
def warping(goldens: Goldens) -> Any:
    return with_rule_weights(goldens, "W", WarpingNetwork())


@pytest.fixture(scope="module")
def decoder(goldens: Goldens) -> Any:
    return with_rule_weights(goldens, "G", SpadeDecoder())


@pytest.mark.parametrize("dtype", GATES)
def test_fast_decoder_is_golden(goldens: Goldens, decoder: Any, dtype: str) -> None:
    golden, gate = goldens.golden("G"), GATES[dtype][1]
    fast = place_or_skip(FastDecoder(decoder), dtype)
    features = torch.from_numpy(goldens.input("G/feature", (1, 256, 64, 64)))
    with torch.inference_mode():
        picture = fast.pictures(features.to(getattr(torch, dtype))).float()
    assert picture.shape == (1, 3, 512, 512)
    assert relative_l2(picture[..., ::4, ::4], golden["out_every4"]) <= gate
    assert relative_l2(picture[..., 200:264, 200:264], golden["out_patch_200_264"]) <= gate
    assert relative_l2(picture[..., :32, :32], golden["out_corner32"]) <= gate


@pytest.mark.parametrize("dtype", GATES)
def test_fast_warping_is_golden(goldens: Goldens, warping: Any, dtype: str) -> None:
    golden, gate = goldens.golden("W"), GATES[dtype][0]
    fast = place_or_skip(FastWarping(warping), dtype)
    volume = torch.from_numpy(goldens.input("W/feature_3d", (1, 32, 16, 64, 64)))
    source, driving = (torch.from_numpy(golden[name]) for name in ("kp_source", "kp_driving"))
    with torch.inference_mode():
        warped = fast(fast.prepare(volume, source), driving)
    assert warped.deformation.dtype == torch.float32
    assert relative_l2(warped.deformation, golden["deformation"]) <= gate
    assert relative_l2(warped.occlusion.float(), golden["occlusion_map"]) <= gate
    flat = warped.features.float().reshape(-1)[:: int(golden["stride"])]
    assert relative_l2(flat, golden["out_flat_strided"]) <= gate
