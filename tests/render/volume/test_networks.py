"""Appearance, motion and retargeting networks: public keys, golden outputs, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
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
from vasa_cam.render.volume.retargeting import Retargeting  # noqa: E402

pytestmark = pytest.mark.neural

NETWORKS: dict[str, Callable[[], Any]] = {
    "F": AppearanceExtractor,
    "M": MotionExtractor,
    "S_stitching": lambda: Retargeting().stitching,
    "S_lip": lambda: Retargeting().lip,
    "S_eye": lambda: Retargeting().eye,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_shapes_and_types_are_the_public_ones(goldens: Goldens, name: str) -> None:
    found = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in NETWORKS[name]().state_dict().items()
    }
    assert found == goldens.keys(name)


def test_appearance_is_golden_in_every_layer(goldens: Goldens) -> None:
    golden = goldens.golden("F")
    network = with_rule_weights(goldens, "F", AppearanceExtractor())
    volume, seen = traced(network, lambda: network(torch.from_numpy(golden["input"])))
    check_trace(goldens, "F", seen, 30)
    assert volume.shape == tuple(golden["out_shape"]) and volume.dtype == torch.float32
    flat = volume.reshape(-1)[:: int(golden["stride"])].numpy()
    assert relative_l2(flat, golden["out_flat_strided"]) <= GATE
    assert relative_l2(volume[0, 0, 0].numpy(), golden["out_slice_c0_d0"]) <= GATE
    assert relative_l2(volume[0, 31, 15].numpy(), golden["out_slice_c31_d15"]) <= GATE


def test_motion_is_golden_in_every_layer(goldens: Goldens) -> None:
    golden, image = goldens.golden("M"), torch.from_numpy(goldens.golden("F")["input"])
    network = with_rule_weights(goldens, "M", MotionExtractor())
    values, seen = traced(network, lambda: network(image))
    check_trace(goldens, "M", seen, 120)
    for name in ("pitch", "yaw", "roll", "t", "exp", "scale", "kp"):
        assert relative_l2(values[name].numpy(), golden[name]) <= GATE, name
    angles = [keypoints.degrees(values[name].numpy()) for name in ("pitch", "yaw", "roll")]
    for name, angle in zip(("pitch", "yaw", "roll"), angles, strict=True):
        assert relative_l2(angle, golden[f"{name}_deg"][:, 0]) <= GATE, name
    R = keypoints.rotation(*angles)
    assert relative_l2(R, golden["R"]) <= GATE
    kp, exp = (values[name].numpy().reshape(1, 21, 3) for name in ("kp", "exp"))
    moved = keypoints.transform(kp, R, exp, values["scale"].numpy()[:, 0], values["t"].numpy())
    assert relative_l2(moved, golden["kp_transformed"]) <= GATE


@pytest.mark.parametrize("name", ["S_stitching", "S_lip", "S_eye"])
def test_retargeting_is_golden(goldens: Goldens, name: str) -> None:
    golden, network = goldens.golden(name), with_rule_weights(goldens, name, NETWORKS[name]())
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), golden[f"w:{key}"])
    with torch.inference_mode():
        output = network(torch.from_numpy(golden["input"]))
    assert relative_l2(output.numpy(), golden["output"]) <= GATE


def test_stitching_of_real_keypoints_is_golden(goldens: Goldens) -> None:
    golden, retargeting = goldens.golden("S_apply"), Retargeting()
    with_rule_weights(goldens, "S_stitching", retargeting.stitching)
    moved = retargeting.stitch(golden["kp_source"][0], golden["kp_driving"].repeat(2, axis=0))
    assert relative_l2(moved, golden["kp_driving_new"].repeat(2, axis=0)) <= GATE


def test_lip_and_eye_offsets_are_what_the_networks_give(goldens: Goldens) -> None:
    retargeting = Retargeting()
    for name, network in (("S_lip", retargeting.lip), ("S_eye", retargeting.eye)):
        with_rule_weights(goldens, name, network)
    lip, eye = goldens.golden("S_lip"), goldens.golden("S_eye")
    row = lip["input"][0]
    found = retargeting.lip_offsets(row[:63].reshape(21, 3), row[63], row[64])
    assert relative_l2(found.reshape(-1), lip["output"][0]) <= GATE
    row = eye["input"][1]
    found = retargeting.eye_offsets(row[:63].reshape(21, 3), (row[63], row[64]), row[65])
    assert relative_l2(found.reshape(-1), eye["output"][1]) <= GATE


@pytest.mark.parametrize("network", [AppearanceExtractor, MotionExtractor])
def test_a_picture_of_another_size_is_refused(network: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"image must be \[\*, 3, 256, 256\], got"):
        network()(torch.zeros(1, 3, 128, 128))


def test_keypoints_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"input must be \[\*, 126\], got \[1, 63\]"):
        Retargeting().stitching(torch.zeros(1, 63))
