"""Distil the generator for few steps: progressive distillation (Salimans and Ho 2022).

Command: python -m vasa_cam.training.distill --talk DIR [DIR ...] --speech DIR --voices DIR
         --encoder FILE --generator FILE -o FILE [--config FILE.json] [--run DIR]
         [--public-encoder MODEL]

In stages the student learns to do in one DDIM step what its teacher does in two; the first teacher
may be guided, and then guidance is learnt with it. The student of a stage teaches the next.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vasa_cam.motion.encoder import load_encoder
from vasa_cam.motion.generator import GUIDED, Generator, load_generator
from vasa_cam.motion.public_encoder import check_fits, with_public
from vasa_cam.motion.sampler import LIVE
from vasa_cam.motion.schedule import alpha_sigma, time_features
from vasa_cam.training.generator_module import GeneratorModule
from vasa_cam.training.loop import Batch, LoopConfig, mixed_precision, train
from vasa_cam.training.motion_data import build_streams, windows
from vasa_cam.training.train_motion import (
    MotionTraining,
    conditions_of,
    lip_clips,
    read_config,
    save_weights,
)


@dataclass(frozen=True)
class Distillation:
    """stages: steps of each student in turn. bend: spacing of their times. guidance: (condition,
    scale) of the first teacher. loop: of one stage.
    """

    stages: tuple[int, ...] = (3,)
    bend: float = LIVE.bend
    guidance: tuple[tuple[str, float], ...] = LIVE.guidance
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=1200, rate=3e-4, average=0.99, save_every=600)
    )


Predict = Callable[[torch.Tensor, torch.Tensor, Batch], torch.Tensor]


def predictor(module: nn.Module, guidance: tuple[tuple[str, float], ...] = ()) -> Predict:
    """x_0 of noised windows [B, W, 54] at times [B], guided as the paper does."""

    def predict(noised: torch.Tensor, time: torch.Tensor, batch: Batch) -> torch.Tensor:
        size = module.config.time_size
        rows = torch.from_numpy(time_features(time.cpu().numpy(), size)).to(noised.device)
        given, present = conditions_of(batch)
        with mixed_precision(noised.device):
            clean = module(noised, rows, given, present).float()
            total = (1.0 + sum(scale for _, scale in guidance)) * clean
            for name, scale in guidance:
                dropped = {part: torch.zeros_like(present[part]) for part in GUIDED[name]}
                without = {**present, **dropped}
                total = total - scale * module(noised, rows, given, without).float()
        return total

    return predict


def _moved(
    noised: torch.Tensor, clean: torch.Tensor, start: torch.Tensor, end: torch.Tensor
) -> torch.Tensor:
    """A DDIM step from times `start` to `end`, [B] each."""
    keep, step = _coefficients(start, end)
    return keep * noised + step * clean


def _coefficients(start: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (alpha_sigma(t.numpy()) for t in (start, end))
    keep = sigma_s / sigma_t
    step = alpha_s - alpha_t * keep
    shape = (-1, 1, 1)
    return (
        torch.from_numpy(keep.astype(np.float32)).reshape(shape),
        torch.from_numpy(step.astype(np.float32)).reshape(shape),
    )


class StageLoss:
    """What one student step should predict so that it lands where two teacher steps do."""

    def __init__(self, teacher: Predict, steps: int, bend: float) -> None:
        self._teacher, self._steps, self._bend = teacher, steps, bend

    def __call__(self, module: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        clean, steps = batch["target"], self._steps
        first = torch.randint(0, steps, (len(clean),)).float()
        start, middle, end = (
            1.0 - ((first + part) / steps) ** self._bend for part in (0.0, 0.5, 1.0)
        )
        angle = (start * (np.pi / 2)).reshape(-1, 1, 1)
        noised = torch.cos(angle) * clean + torch.sin(angle) * torch.randn_like(clean)
        with torch.no_grad():
            half = _moved(noised, self._teacher(noised, start, batch), start, middle)
            full = _moved(half, self._teacher(half, middle, batch), middle, end)
            keep, step = _coefficients(start, end)
            wanted = (full - keep * noised) / step
        found = predictor(module)(noised, start, batch)
        error = (found - wanted).square()
        error = torch.where(error < 25.0, error, 10.0 * error.clamp(min=1e-6).sqrt() - 25.0)
        return error.mean(), {}


def module_of(generator: Generator) -> GeneratorModule:
    """A weight file's generator as a torch module."""
    module = GeneratorModule(generator.config)
    module.load_state_dict(
        {name: torch.from_numpy(tensor.copy()) for name, tensor in generator.tensors.items()}
    )
    return module


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", type=Path, nargs="+", required=True)
    for name in ("speech", "voices", "encoder", "generator"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="JSON with settings of MotionTraining")
    parser.add_argument("--stages", type=int, nargs="+", default=list(Distillation.stages))
    parser.add_argument("--steps", type=int, help="training steps of each stage")
    parser.add_argument("--run", type=Path, help="folder of the run's state (OUTPUT.run)")
    parser.add_argument("--public-encoder", help="the one that the generator was trained with")
    options = parser.parse_args()
    config: MotionTraining = read_config(options.config)
    how = Distillation(stages=tuple(options.stages))
    if options.steps:
        how = dataclasses.replace(how, loop=dataclasses.replace(how.loop, steps=options.steps))
    begin = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", flush=True)

    torch.set_num_threads(how.loop.threads)
    generator = load_generator(options.generator)
    encoder = with_public(load_encoder(options.encoder), options.public_encoder)
    check_fits(encoder, generator)
    groups = lip_clips(config, options.talk, options.speech, options.voices, log)
    streams = build_streams(
        groups, config.shares, encoder, config.hours, config.streams, config.loop.seed
    )
    spread, scale = generator.spread, generator.scale
    # What is dropped in training is not dropped in use: here only the tail.
    cut = dataclasses.replace(config.windows, drop=0.02, drop_previous=0.05)
    teacher = module_of(generator).eval()
    guidance = how.guidance
    for steps in how.stages:
        student = copy.deepcopy(teacher)

        def write(average: nn.Module, done: int, steps: int = steps) -> None:
            info: dict[str, Any] = {**generator.info, "distilled_to": steps, "stage_steps": done}
            info.pop("config")
            assert isinstance(average, GeneratorModule)
            name = options.output.with_name(f"{options.output.stem}-{steps}{options.output.suffix}")
            save_weights(name, average, spread, scale, json.loads(json.dumps(info)))

        run = (options.run or options.output.with_suffix(".run")) / str(steps)
        student.train()
        taught = train(
            student,
            lambda seed: windows(streams, spread, scale, config.model.previous, cut, seed),
            StageLoss(predictor(teacher, guidance), steps, how.bend), how.loop, run, log, write,
        )  # fmt: skip
        assert isinstance(taught, GeneratorModule)
        teacher, guidance = taught.eval(), ()
        log(f"student of {steps} steps done")


if __name__ == "__main__":
    main()
