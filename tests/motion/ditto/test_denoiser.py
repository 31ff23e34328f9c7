"""Ditto's denoiser, schedule and sampling against the golden vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from volume_goldens import GATE, Goldens, relative_l2

torch = pytest.importorskip("torch")

from vasa_cam.motion.ditto.denoiser import (  # noqa: E402
    Denoiser,
    DenoiserSizes,
    rotated,
    time_features,
)
from vasa_cam.motion.ditto.diffusion import (  # noqa: E402
    alpha_bars,
    ddim_steps,
    draw_clip,
    guided,
)

pytestmark = pytest.mark.neural


class Case:
    """The network with the rule's weights, the golden's inputs, and their memory."""

    def __init__(self, goldens: Goldens) -> None:
        keys = goldens.keys("ditto_lmdm")
        state = goldens.rule.make_state("DITTO", {key: shape for key, (shape, _) in keys.items()})
        self.net = Denoiser(DenoiserSizes()).eval()
        # What the rule leaves out are the rotary rates, which we compute.
        self.net.load_state_dict(
            {key: torch.from_numpy(value) for key, value in state.items() if value is not None}
        )
        self.golden = goldens.golden("DITTO")

        def tensor(name: str, *shape: int, scale: float = 1.0) -> Any:
            return torch.from_numpy(goldens.rule.z32(name, (1, *shape), scale))

        self.x = tensor("input/DITTO/x", 80, 265)
        self.frame = tensor("input/DITTO/cond_frame", 265, scale=0.3)
        self.noise = [tensor(f"noise/DITTO/{index}", 80, 265) for index in range(9)]
        with torch.inference_mode():
            self.memory = self.net.remember(tensor("input/DITTO/cond", 80, 1103))


@pytest.fixture(scope="module")
def case(goldens: Goldens) -> Case:
    return Case(goldens)


@torch.inference_mode()
def test_one_run_with_and_without_conditions(case: Case) -> None:
    without, told = case.net(case.x, case.frame, 999, case.memory).split(1)
    assert relative_l2(without, case.golden["uncond_t999"]) <= GATE
    assert relative_l2(told, case.golden["cond_t999"]) <= GATE


@torch.inference_mode()
@pytest.mark.parametrize("time", [999, 499, 19])
def test_a_guided_step(case: Case, time: int) -> None:
    """Measured 1.6e-6 for the clean motion and 5e-6 for the noise, which is a difference."""
    clean = guided(case.net, case.x, case.frame, time, case.memory)
    assert relative_l2(clean, case.golden[f"x_start_t{time}"]) <= GATE
    bar = alpha_bars()[time]
    noise = (case.x - np.sqrt(bar) * clean) / np.sqrt(1 - bar)
    assert relative_l2(noise, case.golden[f"pred_noise_t{time}"]) <= GATE


@torch.inference_mode()
def test_a_clip_in_ten_steps(case: Case) -> None:
    noise = [case.x, *case.noise]
    clip = draw_clip(case.net, case.frame, case.memory, ddim_steps(10), noise)
    assert relative_l2(clip, case.golden["ddim10"]) <= GATE


def test_the_schedule(goldens: Goldens) -> None:
    golden, steps = goldens.golden("DITTO"), ddim_steps(10)
    np.testing.assert_allclose(alpha_bars()[::25], golden["alphas_cumprod_every25"], rtol=2e-5)
    np.testing.assert_array_equal([step.time for step in steps], golden["ddim10_times"])
    signal, direction, noise = (
        np.array([getattr(step, name) for step in steps[:-1]])
        for name in ("signal", "direction", "noise")
    )
    np.testing.assert_allclose(signal, golden["ddim10_alpha_next_sqrt"], rtol=2e-6)
    np.testing.assert_allclose(noise, golden["ddim10_sigma"], rtol=2e-6)
    # The golden takes the root of a difference near 0 in float32, an error of up to 2e-4.
    np.testing.assert_allclose(direction, golden["ddim10_c"], atol=2e-4)
    last = steps[-1]
    assert (last.signal, last.direction, last.noise) == (1.0, 0.0, 0.0)
    np.testing.assert_allclose(signal**2 + direction**2 + noise**2, 1.0, atol=1e-12)


@pytest.mark.parametrize("count", [0, 1001])
def test_more_steps_than_the_schedule_has_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 1000 steps"):
        ddim_steps(count)


def test_turned_tokens_keep_their_length_and_meet_by_distance() -> None:
    """A product of two turned tokens depends on how far apart they are, not on where."""
    torch.manual_seed(0)
    x, y = torch.randn(1, 1, 16), torch.randn(1, 1, 16)
    products = [(rotated(x, first) * rotated(y, first + 3)).sum() for first in (0, 5, 40)]
    np.testing.assert_allclose(products, [products[0]] * 3, rtol=1e-5)
    np.testing.assert_allclose(rotated(x, 7).norm(), x.norm(), rtol=1e-6)
    np.testing.assert_array_equal(rotated(x), x)


def test_time_is_told_by_sines_and_then_cosines() -> None:
    features = time_features(19, 8, torch.device("cpu"))[0].numpy()
    rates = np.exp(-np.log(10000.0) * np.arange(4) / 3)
    wanted = np.concatenate([np.sin(19 * rates), np.cos(19 * rates)])
    np.testing.assert_allclose(features, wanted, atol=1e-6)
