"""The warping network, the decoder and all networks in a row, against goldens: seconds a call.

Each is run once, by a fixture that all tests of this file share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from volume_goldens import (
    GATE,
    Goldens,
    check_trace,
    relative_l2,
    traced,
    with_rule_weights,
)

torch = pytest.importorskip("torch")

from vasa_cam.render.volume import keypoints  # noqa: E402
from vasa_cam.render.volume.appearance import AppearanceExtractor  # noqa: E402
from vasa_cam.render.volume.motion_extractor import MotionExtractor  # noqa: E402
from vasa_cam.render.volume.spade import SpadeDecoder, spectral_modules  # noqa: E402
from vasa_cam.render.volume.warping import WarpingNetwork  # noqa: E402

pytestmark = pytest.mark.neural


@pytest.fixture(scope="module")
def warping(goldens: Goldens) -> Any:
    return with_rule_weights(goldens, "W", WarpingNetwork())


@pytest.fixture(scope="module")
def decoder(goldens: Goldens) -> Any:
    return with_rule_weights(goldens, "G", SpadeDecoder())


def test_keys_of_the_warping_network_are_the_public_ones(goldens: Goldens, warping: Any) -> None:
    found = {key: tuple(value.shape) for key, value in warping.state_dict().items()}
    assert found == {key: shape for key, (shape, _) in goldens.keys("W").items()}


def test_keys_of_the_decoder_are_the_public_ones(goldens: Goldens, decoder: Any) -> None:
    found = {key: tuple(value.shape) for key, value in decoder.state_dict().items()}
    for name in spectral_modules(decoder):
        shape = found.pop(f"{name}.weight")
        found[f"{name}.weight_orig"] = shape
        found[f"{name}.weight_u"] = shape[:1]
        found[f"{name}.weight_v"] = (int(np.prod(shape[1:])),)
    assert found == {key: shape for key, (shape, _) in goldens.keys("G").items()}


def test_warping_is_golden_in_every_layer(goldens: Goldens, warping: Any) -> None:
    golden = goldens.golden("W")
    volume = goldens.input("W/feature_3d", (1, 32, 16, 64, 64))
    np.testing.assert_array_equal(volume.reshape(-1)[:8], golden["feature_first8"])
    source, driving = (torch.from_numpy(golden[name]) for name in ("kp_source", "kp_driving"))
    warped, seen = traced(warping, lambda: warping(torch.from_numpy(volume), source, driving))
    check_trace(goldens, "W", seen, 35)
    assert relative_l2(warped.deformation, golden["deformation"]) <= GATE
    assert relative_l2(warped.occlusion, golden["occlusion_map"]) <= GATE
    flat = warped.features.reshape(-1)[:: int(golden["stride"])]
    assert relative_l2(flat, golden["out_flat_strided"]) <= GATE
    assert relative_l2(warped.features[0, 0], golden["out_slice_c0"]) <= GATE


def test_decoder_is_golden_in_every_layer(goldens: Goldens, decoder: Any) -> None:
    golden = goldens.golden("G")
    features = goldens.input("G/feature", (1, 256, 64, 64))
    np.testing.assert_array_equal(features.reshape(-1)[:8], golden["feature_first8"])
    picture, seen = traced(decoder, lambda: decoder(torch.from_numpy(features)))
    check_trace(goldens, "G", seen, 120)
    assert picture.shape == (1, 3, 512, 512)
    assert relative_l2(picture[..., ::4, ::4], golden["out_every4"]) <= GATE
    assert relative_l2(picture[..., 200:264, 200:264], golden["out_patch_200_264"]) <= GATE
    assert relative_l2(picture[..., :32, :32], golden["out_corner32"]) <= GATE


def test_photo_to_frame_is_golden(goldens: Goldens, warping: Any, decoder: Any) -> None:
    golden, image = goldens.golden("E2E"), torch.from_numpy(goldens.golden("F")["input"])
    with torch.inference_mode():
        volume = 0.15 * with_rule_weights(goldens, "F", AppearanceExtractor())(image)
        raw = with_rule_weights(goldens, "M", MotionExtractor())(image)
    angles = {name: keypoints.degrees(raw[name].numpy()) for name in ("pitch", "yaw", "roll")}
    kp, exp = (raw[name].numpy().reshape(1, 21, 3) for name in ("kp", "exp"))
    kp, exp, t = 0.15 * kp, 0.02 * exp, 0.05 * raw["t"].numpy()
    scale = np.array([1.2], np.float32)
    source = keypoints.transform(kp, keypoints.rotation(**angles), exp, scale, t)
    assert relative_l2(source, golden["x_s"]) <= GATE
    turned = keypoints.rotation(angles["pitch"] - 6, angles["yaw"] + 12, angles["roll"])
    changed = exp + 0.02 * goldens.input("E2E/dexp", (1, 21, 3))
    driving = keypoints.transform(kp, turned, changed, scale, t)
    assert relative_l2(driving, golden["x_d"]) <= GATE
    with torch.inference_mode():
        warped = warping(volume, torch.from_numpy(source), torch.from_numpy(driving))
        picture = decoder(warped.features)
    assert relative_l2(warped.occlusion, golden["occlusion"]) <= GATE
    assert relative_l2(warped.deformation[0, 8], golden["deformation_d8"]) <= GATE
    assert relative_l2(picture[..., ::4, ::4], golden["out_every4"]) <= GATE
    levels = (picture[0].permute(1, 2, 0).clamp(0, 1) * 255).byte()[::2, ::2].numpy()
    difference = np.abs(levels.astype(int) - golden["out_u8_every2"][0].astype(int))
    # Truncation: a value within float32 rounding of a whole level may fall to either side.
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_wrong_shapes_are_refused(warping: Any, decoder: Any) -> None:
    volume, points = torch.zeros(1, 32, 16, 64, 64), torch.zeros(1, 21, 3)
    with pytest.raises(ValueError, match=r"volume must be \[\*, 32, 16, 64, 64\]"):
        warping(volume[:, :, :8], points, points)
    with pytest.raises(ValueError, match=r"driving must be \[1, 21, 3\], got \[2, 21, 3\]"):
        warping(volume, points, points.repeat(2, 1, 1))
    with pytest.raises(ValueError, match=r"features must be \[\*, 256, 64, 64\]"):
        decoder(torch.zeros(1, 256, 32, 32))
