"""Train the lip network.

Command: python -m vasa_cam.training.train_lips --talk DIR --speech DIR -o FILE [--steps N]

1. Lip targets of the tracked speaker: coefficients fitted to landmarks (targets.py).
2. A phone-to-lips teacher learns from them; it gives targets for recordings with aligned phones and
   for synthetic voices (flite, espeak-ng), and for sound without speech the lips rest.
3. The causal network learns all of it, with augmentation; an average of its weights is saved.

--resume continues from an earlier weight file with a fresh learning-rate cycle.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import datetime
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save

from vasa_cam.motion.features import DEFAULT_FEATURES
from vasa_cam.motion.lips import (
    WEIGHTS_FORMAT,
    WEIGHTS_VERSION,
    LipNetwork,
    load_lip_network,
    network_from_tensors,
)
from vasa_cam.training.augment import MILD, augmented
from vasa_cam.training.evaluate_lips import all_figures
from vasa_cam.training.lip_module import LipModule, activated
from vasa_cam.training.loss import LipLoss
from vasa_cam.training.samples import (
    Sample,
    labelled_sample,
    music_sound,
    noise_sound,
    still_sample,
    talk_sample,
    with_lead,
)
from vasa_cam.training.talk_data import Utterance, load_talk, manifest_sha256
from vasa_cam.training.targets import closed_rest, control_basis
from vasa_cam.training.teacher import taught_controls, train_teacher
from vasa_cam.training.voices import recorded_voices, synthetic_voices

Floats = npt.NDArray[np.float32]
Log = Callable[[str], None]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. crop: frames. shares: talk, recorded, synthetic, still."""

    steps: int = 2400
    batch: int = 24
    crop: int = 75
    rate: float = 2e-3
    decay: float = 1e-2
    average: float = 0.998
    teacher_steps: int = 900
    synthetic_sentences: int = 420
    still_clips: int = 90
    shares: tuple[float, float, float, float] = (0.5, 0.17, 0.23, 0.1)
    speeds: tuple[float, ...] = (1.0, 0.9, 1.1)
    lead_chance: float = 0.5
    seed: int = 11
    threads: int = 1


def build_samples(config: TrainConfig, talk: Path, speech: Path, log: Log) -> list[list[Sample]]:
    """The four groups of samples: talk, recorded, synthetic, still."""
    rng = np.random.default_rng(config.seed)
    clips = [clip for clip in load_talk(talk, "train.jsonl") if clip.phones]
    rest = closed_rest(clips)
    normal = [talk_sample(clip, rest) for clip in clips]
    varied = [
        talk_sample(clip, rest, config.speeds[1 + index % (len(config.speeds) - 1)])
        for index, clip in enumerate(clips)
    ]
    log(f"{len(clips)} tracked clips")
    teacher = train_teacher([c.phones or [] for c in clips], normal, config.teacher_steps, rng)
    log("teacher trained")

    def taught(voices: list[Utterance], trust: float) -> list[Sample]:
        group = []
        for voice in voices:
            frames = len(voice.audio) // 640
            controls = taught_controls(teacher, voice.phones, frames)
            group.append(labelled_sample(voice.audio, voice.phones, controls, trust))
        return group

    recorded = taught(recorded_voices(speech), 0.8)
    synthetic = taught(synthetic_voices(speech, rng, config.synthetic_sentences), 0.8)
    still = [
        still_sample((noise_sound, music_sound)[index % 2](rng, 6.0), 0.7)
        for index in range(config.still_clips)
    ]
    log(f"{len(recorded)} recorded, {len(synthetic)} synthetic, {len(still)} still")
    return [normal + varied, recorded, synthetic, still]


def draw_batch(
    groups: list[list[Sample]], config: TrainConfig, rng: np.random.Generator
) -> tuple[torch.Tensor, list[Sample], list[int]]:
    """Augmented features [B, 4 crop + 2, bands] with their samples and start frames."""
    rows, samples, starts = [], [], []
    for kind in rng.choice(len(groups), config.batch, p=config.shares):
        group = groups[kind]
        sample = group[int(rng.integers(len(group)))]
        if rng.random() < config.lead_chance:
            sample = with_lead(sample, int(rng.integers(1, config.crop // 2)), rng)
        start = int(rng.integers(0, max(1, len(sample.controls) - config.crop + 1)))
        power = sample.power[4 * start : 4 * (start + config.crop) + 2]
        missing = 4 * config.crop + 2 - len(power)
        if missing:
            power = np.concatenate([power, np.zeros((missing, power.shape[1]), np.float32)])
        rows.append(augmented(power, rng, MILD))
        samples.append(sample)
        starts.append(start)
    return torch.from_numpy(np.stack(rows)), samples, starts


def tensors_of(module: LipModule) -> dict[str, Floats]:
    """The tensors of a weight file."""
    tensors = {name: t.detach().numpy().copy() for name, t in module.state_dict().items()}
    tensors["opening"] = np.ascontiguousarray(control_basis()[:, 15, 1] - control_basis()[:, 5, 1])
    return tensors


def resumed(path: Path) -> tuple[LipModule, dict[str, Any]]:
    """The module of a weight file, to train on, and the file's info."""
    info = load_lip_network(path).info
    tensors = load_file(path)
    tensors.pop("opening")
    module = LipModule(dilations=tuple(info["dilations"]))
    module.load_state_dict(
        {name: torch.from_numpy(array.astype(np.float32)) for name, array in tensors.items()}
    )
    return module, info


def exported(module: LipModule, **info: Any) -> LipNetwork:
    """The module as a network for NumPy inference."""
    header = {
        "features": dataclasses.asdict(DEFAULT_FEATURES),
        "dilations": list(module.dilations),
        **info,
    }
    return network_from_tensors(tensors_of(module), header)


def save_weights(path: Path, module: LipModule, info: dict[str, Any]) -> None:
    """Write a weight file in one piece; weights are stored as float16."""
    metadata = {
        "format": WEIGHTS_FORMAT,
        "version": WEIGHTS_VERSION,
        "info": json.dumps(info, sort_keys=True),
    }
    temporary = path.with_name(f".{path.name}.new")
    tensors = {
        name: array.astype(np.float32 if name == "opening" else np.float16)
        for name, array in tensors_of(module).items()
    }
    temporary.write_bytes(save(tensors, metadata))
    os.replace(temporary, path)


def train(
    config: TrainConfig,
    groups: list[list[Sample]],
    log: Log,
    checkpoint: Callable[[LipModule], None],
    start: LipModule | None = None,
) -> LipModule:
    """Run the optimisation from `start` or from scratch; returns the weight-averaged module."""
    rng = np.random.default_rng(config.seed + 1)
    torch.manual_seed(config.seed)
    module, loss_of = start or LipModule(), LipLoss()
    module.train()
    average = copy.deepcopy(module)
    optimiser = torch.optim.AdamW(module.parameters(), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.rate, total_steps=config.steps, pct_start=0.1
    )
    losses = []
    for step in range(config.steps):
        features, samples, starts = draw_batch(groups, config, rng)
        wanted, movement, events, weight = loss_of.targets(samples, starts, config.crop)
        raw = module.raw(features)
        controls, logits = activated(raw)
        loss = loss_of.lips(controls, wanted, movement, events, weight)
        loss = loss + loss_of.events(logits, events, weight) + loss_of.alive(raw)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        keep = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for target, source in zip(average.parameters(), module.parameters(), strict=True):
                target.lerp_(source, 1.0 - keep)
        losses.append(float(loss.detach()))
        if (step + 1) % 100 == 0:
            log(f"step {step + 1} loss {np.mean(losses[-100:]):.4f}")
        if (step + 1) % 600 == 0 and step + 1 < config.steps:
            average.eval()
            checkpoint(average)
    average.eval()
    return average


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="train on from this weight file")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    parser.add_argument("--threads", type=int, default=TrainConfig.threads)
    options = parser.parse_args()
    config = TrainConfig(steps=options.steps, threads=options.threads)
    torch.set_num_threads(config.threads)
    begin = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", flush=True)

    start, earlier = resumed(options.resume) if options.resume else (None, None)
    groups = build_samples(config, options.talk, options.speech, log)

    def write(module: LipModule) -> None:
        figures = all_figures(exported(module), options.talk)
        log(json.dumps(figures))
        save_weights(
            options.output,
            module,
            {
                "config": dataclasses.asdict(config),
                "features": dataclasses.asdict(DEFAULT_FEATURES),
                "dilations": list(module.dilations),
                "data_sha256": manifest_sha256([options.talk, options.speech]),
                "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
                "training_s": round(time.monotonic() - begin),
                "metrics": figures,
                "earlier": earlier and {key: earlier[key] for key in ("config", "training_s")},
            },
        )

    write(train(config, groups, log, write, start))


if __name__ == "__main__":
    main()
