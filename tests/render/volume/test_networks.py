"""Appearance, motion and retargeting networks: public keys, golden outputs, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from volume_goldens import GATE, Goldens, relative_l2

torch = pytest.importorskip("torch")

from vasa_cam.render.volume import keypoints  # noqa: E402
from vasa_cam.render.volume.appearance import AppearanceExtractor  # noqa: E402
from vasa_cam.render.volume.motion_extractor import MotionExtractor  # noqa: E402
from vasa_cam.render.volume.retargeting import (  # noqa: E402
    eye_network,
    lip_network,
    stitching_network,
)

pytestmark = pytest.mark.neural

NETWORKS: dict[str, Callable[[], Any]] = {
    "F": AppearanceExtractor,
    "M": MotionExtractor,
    "S_stitching": stitching_network,
    "S_lip": lip_network,
    "S_eye": eye_network,
}


def with_rule_weights(goldens: Goldens, name: str) -> Any:
    network = NETWORKS[name]().eval()
    state = goldens.state(name)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    return network


def traced(network: Any, run: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """The result and, for every submodule, its output's mean, deviation, minimum and maximum."""
    seen: dict[str, Any] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                x = output.double()
                spread = x.std().item() if x.numel() > 1 else float("nan")
                seen[name] = [x.mean().item(), spread, x.min().item(), x.max().item()]

        return hook

    handles = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if name]
    with torch.inference_mode():
        result = run()
    for handle in handles:
        handle.remove()
    return result, seen


def check_trace(goldens: Goldens, name: str, seen: dict[str, Any]) -> None:
    """Every layer that the reference names too has its figures; the first that has not is named."""
    reference = goldens.trace(name)
    shared = [layer for layer in reference if layer in seen]
    assert len(shared) > len(seen) // 2
    for layer in shared:
        wanted = np.array(reference[layer]["stats_mean_std_min_max_absmean"][:4])
        limit = 1e-4 * np.nanmax(np.abs(wanted))
        np.testing.assert_allclose(seen[layer], wanted, atol=limit, rtol=0, err_msg=layer)


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_shapes_and_types_are_the_public_ones(goldens: Goldens, name: str) -> None:
    found = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in NETWORKS[name]().state_dict().items()
    }
    assert found == goldens.keys(name)


def test_appearance_is_golden_in_every_layer(goldens: Goldens) -> None:
    golden = goldens.golden("F")
    network = with_rule_weights(goldens, "F")
    volume, seen = traced(network, lambda: network(torch.from_numpy(golden["input"])))
    check_trace(goldens, "F", seen)
    assert volume.shape == tuple(golden["out_shape"]) and volume.dtype == torch.float32
    flat = volume.reshape(-1)[:: int(golden["stride"])].numpy()
    assert relative_l2(flat, golden["out_flat_strided"]) <= GATE
    assert relative_l2(volume[0, 0, 0].numpy(), golden["out_slice_c0_d0"]) <= GATE
    assert relative_l2(volume[0, 31, 15].numpy(), golden["out_slice_c31_d15"]) <= GATE


def test_motion_is_golden_in_every_layer(goldens: Goldens) -> None:
    golden, image = goldens.golden("M"), torch.from_numpy(goldens.golden("F")["input"])
    network = with_rule_weights(goldens, "M")
    values, seen = traced(network, lambda: network(image))
    check_trace(goldens, "M", seen)
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
    golden, network = goldens.golden(name), with_rule_weights(goldens, name)
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), golden[f"w:{key}"])
    with torch.inference_mode():
        output = network(torch.from_numpy(golden["input"]))
    assert relative_l2(output.numpy(), golden["output"]) <= GATE


def test_stitching_of_real_keypoints_is_golden(goldens: Goldens) -> None:
    golden, network = goldens.golden("S_apply"), with_rule_weights(goldens, "S_stitching")
    both = np.concatenate([golden["kp_source"], golden["kp_driving"]], axis=1).reshape(1, -1)
    with torch.inference_mode():
        delta = network(torch.from_numpy(both)).numpy()
    assert relative_l2(delta, golden["delta"]) <= GATE
    moved = keypoints.stitched(golden["kp_driving"], delta)
    assert relative_l2(moved, golden["kp_driving_new"]) <= GATE


@pytest.mark.parametrize("network", [AppearanceExtractor, MotionExtractor])
def test_a_picture_of_another_size_is_refused(network: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"image must be \[\*, 3, 256, 256\], got"):
        network()(torch.zeros(1, 3, 128, 128))


def test_keypoints_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"input must be \[\*, 126\], got \[1, 63\]"):
        stitching_network()(torch.zeros(1, 63))
