"""Networks and windows for the sampler's benchmarks: random, and of a size that is felt.

Weights are scaled so that every layer changes its tokens about as much as a trained one does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.channels import CHANNELS
from vasa_cam.motion.generator import GeneratorConfig, WindowInputs
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.ops import OWN_FORM, SamplerForm, SamplerModel, SamplerWindow
from vasa_cam.ops.sampler import tensor_shapes

Floats = npt.NDArray[np.float32]


class NetworkSize(NamedTuple):
    """Layers, width D, hidden numbers F, channels C and heads."""

    layers: int
    width: int
    hidden: int
    channels: int
    heads: int


class Window(NamedTuple):
    """The arguments of `ops.sample_window` after the model."""

    condition: Floats
    time: Floats
    coefficients: Floats
    guidance: Floats
    position: Floats
    noise: Floats


def random_tensors(
    rng: np.random.Generator,
    size: NetworkSize,
    form: SamplerForm = OWN_FORM,
    last: int | None = None,
) -> dict[str, Floats]:
    """Every tensor of a network of this size; last: numbers of a hidden head."""
    tensors = {}
    shapes = tensor_shapes(size.layers, size.width, size.hidden, size.channels, form, last)
    for name, shape in shapes.items():
        values = rng.standard_normal(shape)
        if len(shape) == 2:
            values /= np.sqrt(shape[1])
        else:
            values *= 0.2
        if name.endswith("weight") and "norm" in name:
            values += 1.0
        tensors[name] = values.astype(np.float32)
    return tensors


def random_model(rng: np.random.Generator, size: NetworkSize) -> SamplerModel:
    """A network of this size on the CPU."""
    return SamplerModel(random_tensors(rng, size), size.heads)


def random_window(
    rng: np.random.Generator,
    size: NetworkSize,
    passes: int,
    condition: int,
    frames: int,
    steps: int,
) -> Window:
    """Guidance as the paper's: one pass with everything, the others taken off in shares."""

    def normal(*shape: int) -> Floats:
        return rng.standard_normal(shape).astype(np.float32)

    guidance = np.full(passes, -0.4, np.float32)
    guidance[0] = 1.0 + 0.4 * (passes - 1)
    noise_left = np.linspace(0.9, 0.0, steps)
    return Window(
        condition=normal(passes, condition, size.width),
        time=normal(steps, size.width),
        coefficients=np.stack([noise_left, 1.0 - noise_left], axis=1).astype(np.float32),
        guidance=guidance,
        position=normal(frames, size.width),
        noise=normal(frames, size.channels),
    )


def random_step(
    rng: np.random.Generator,
    size: NetworkSize,
    form: SamplerForm,
    counts: tuple[int, int, int, int],
    noisy: bool = True,
) -> SamplerWindow:
    """A window for a form. counts: passes, condition, frames, steps; noisy: with fresh noise."""
    window = random_window(rng, size, *counts)
    passes, condition, frames, steps = counts
    memory: Floats | None = None
    step_noise: Floats | None = None
    coefficients = window.coefficients
    if form.memory:
        seen = (passes, condition + frames, size.width)
        memory = rng.standard_normal(seen).astype(np.float32)
    if noisy:
        sigma = np.linspace(0.3, 0.0, steps, dtype=np.float32)[:, None]
        coefficients = np.concatenate([coefficients, sigma], axis=1)
        added = (steps, frames, size.channels)
        step_noise = rng.standard_normal(added).astype(np.float32)
    return SamplerWindow(
        window.condition, window.time, coefficients, window.guidance, window.position,
        window.noise, memory, step_noise,
    )  # fmt: skip


def generator_inputs(
    rng: np.random.Generator, config: GeneratorConfig, hop: int
) -> tuple[WindowInputs, Floats]:
    """What a window of the motion generator is drawn from, of the sizes that it has in a call, and
    the encoder's estimate of the mouth [hop, 54]."""

    def normal(*shape: int, size: float = 0.3) -> Floats:
        return (size * rng.standard_normal(shape)).astype(np.float32)

    inputs = WindowInputs(
        x_pre=normal(config.previous, CHANNELS),
        a_pre=normal(config.previous, config.audio_size),
        a=normal(hop, config.audio_size),
        gaze=normal(2),
        distance=normal(1),
        emotion=normal(COEFFICIENTS),
        slow=normal(config.slow_size),
        heard=hop,
    )
    return inputs, normal(hop, CHANNELS)
