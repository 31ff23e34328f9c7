"""Train the voice encoder.

Command: python -m vasa_cam.training.train_encoder --talk DIR [DIR ...] --speech DIR --voices DIR
         -o FILE [--config FILE.json] [--run DIR]

1. Lip targets of the tracked speaker: coefficients fitted to landmarks (targets.py).
2. A phone-to-lips teacher learns from them; it gives targets for recordings with aligned phones and
   for synthetic voices (build_voices.py), and for sound without speech the lips rest.
3. The causal network learns all of it, with augmentation; an average of its weights is saved.

A run that was interrupted goes on when started again with the same --run folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vasa_cam.motion.encoder import (
    VoiceEncoder,
    encoder_from_tensors,
)
from vasa_cam.motion.features import DEFAULT_FEATURES
from vasa_cam.motion.weight_file import write_weights
from vasa_cam.training.augment import LIGHT, MILD, augmented
from vasa_cam.training.encoder_module import EncoderModule, activated
from vasa_cam.training.loop import Arrays, Batch, Log, LoopConfig, mixed_precision, stacked, train
from vasa_cam.training.loss import LipLoss
from vasa_cam.training.phones import GESTURE_NAMES, Phone
from vasa_cam.training.samples import (
    Sample,
    analysed,
    music_sound,
    noise_sound,
    still_sample,
    talk_sample,
    voiced_sample,
    with_lead,
)
from vasa_cam.training.talk_data import Utterance, load_talk, manifest_sha256
from vasa_cam.training.targets import closed_rests, control_basis
from vasa_cam.training.teacher import phone_rows, taught_controls, taught_teacher
from vasa_cam.training.voices import load_voices, recorded_voices

Floats = npt.NDArray[np.float32]

STILL_KINDS = frozenset({"noise", "music", "typing", "breathing", "hum"})
"""Sounds of the corpus at which the mouth rests."""


VOWEL_GESTURES = ("open", "spread", "round")
"""The gestures that are exported, in the order of MouthSound.vowels."""


@dataclass(frozen=True)
class EncoderTraining:
    """Settings of one run. crop: frames. shares: talk, recorded, synthetic, still. gestures: weight
    of the lesson about phones. light: share of tracked clips that are varied little.
    speeds: variants of each tracked clip.
    """

    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=9000))
    channels: int = 256
    hidden: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 1)
    dropout: float = 0.1
    batch: int = 24
    crop: int = 75
    teacher_steps: int = 900
    still_clips: int = 120
    shares: tuple[float, float, float, float] = (0.5, 0.12, 0.3, 0.08)
    light: float = 0.6
    gestures: float = 5.0
    trust: float = 0.8
    speeds: tuple[float, ...] = (1.0, 0.9, 1.1)
    lead_chance: float = 0.4


@dataclass(frozen=True)
class Lesson:
    """A sample with what its phones ask of the mouth, gestures: float32 [T, 14]."""

    sample: Sample
    gestures: Floats


def _gestures(phones: list[Phone], frames: int) -> Floats:
    rows = phone_rows(phones, frames).reshape(frames, -1, len(GESTURE_NAMES))
    return np.asarray(rows.mean(axis=1), np.float32)


def build_lessons(
    config: EncoderTraining, talk: list[Path], speech: Path, voices: Path, log: Log
) -> list[list[Lesson]]:
    """The four groups of lessons: talk, recorded, synthetic, still."""
    rng = np.random.default_rng(config.loop.seed)
    clips = [clip for folder in talk for clip in load_talk(folder, "train.jsonl")]
    rests = closed_rests(clips)
    tracked, plain = [], []
    for index, clip in enumerate(clips):
        for speed in (1.0, config.speeds[1 + index % (len(config.speeds) - 1)]):
            sample = talk_sample(clip, rests[clip.speaker], speed)
            phones = [(a / speed, b / speed, s) for a, b, s in clip.phones or []]
            tracked.append(Lesson(sample, _gestures(phones, len(sample.controls))))
            if speed == 1.0 and clip.phones:
                plain.append((clip.phones, sample))
    log(f"{len(clips)} tracked clips, {len(plain)} with phones")
    teacher = taught_teacher(plain, config.teacher_steps, rng)
    log("teacher trained")

    def taught(voice: Utterance, power: Floats, trust: float) -> Lesson:
        frames = len(voice.audio) // 640
        controls = taught_controls(teacher, voice.phones, frames)
        sample = voiced_sample(power, voice.phones, controls, trust)
        return Lesson(sample, _gestures(voice.phones, frames))

    recorded = [
        taught(voice, analysed(voice.audio, len(voice.audio) // 640), config.trust)
        for voice in recorded_voices(speech)
    ]
    synthetic: list[Lesson] = []
    still: list[Lesson] = []
    for voice in load_voices(voices):
        power = analysed(voice.audio, voice.frames) if voice.power is None else voice.power
        lesson = taught(voice, power, config.trust * voice.trust)
        (still if voice.kind in STILL_KINDS else synthetic).append(lesson)
    for index in range(config.still_clips):
        sample = still_sample((noise_sound, music_sound)[index % 2](rng, 6.0), 0.7)
        still.append(Lesson(sample, _gestures([], len(sample.controls))))
    log(f"{len(recorded)} recorded, {len(synthetic)} synthetic, {len(still)} still")
    return [tracked, recorded, synthetic, still]


def batches(groups: list[list[Lesson]], config: EncoderTraining, seed: int) -> Iterator[Arrays]:
    """Endless batches: augmented features [B, 4 crop + 2, bands] and their targets."""
    rng, loss = np.random.default_rng(seed), LipLoss()
    crop = config.crop
    while True:
        rows, samples, starts, gestures = [], [], [], []
        for kind in rng.choice(len(groups), config.batch, p=config.shares):
            lesson = groups[kind][int(rng.integers(len(groups[kind])))]
            sample, asked = lesson.sample, lesson.gestures
            if rng.random() < config.lead_chance:
                lead = int(rng.integers(1, crop // 2))
                sample = with_lead(sample, lead, rng)
                silence = np.zeros((lead, asked.shape[1]), np.float32)
                silence[:, 0] = 1.0
                asked = np.concatenate([silence, asked])
            start = int(rng.integers(0, max(1, len(sample.controls) - crop + 1)))
            how = LIGHT if kind == 0 and rng.random() < config.light else MILD
            rows.append(augmented(_padded(sample.power[4 * start :], 4 * crop + 2), rng, how))
            gestures.append(_padded(asked[start:], crop))
            samples.append(sample)
            starts.append(start)
        targets = loss.targets(samples, starts, crop)
        names = ("controls", "movement", "events", "weight")
        yield {
            "features": stacked(rows),
            "gestures": stacked(gestures),
            "known": np.array([[sample.known] for sample in samples], np.float32),
            **{name: target.numpy() for name, target in zip(names, targets, strict=True)},
        }


def _padded(rows: Floats, count: int) -> Floats:
    missing = count - len(rows)
    if missing <= 0:
        return rows[:count]
    return np.concatenate([rows, np.zeros((missing, rows.shape[1]), np.float32)])


class EncoderLoss:
    """Lips, events and gestures of a batch."""

    def __init__(self, config: EncoderTraining) -> None:
        self._lips, self._gestures = LipLoss(), config.gestures

    def __call__(self, module: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        with mixed_precision(batch["features"].device):
            raw, asked = module(batch["features"])
        raw, weight = raw.float(), batch["weight"]
        controls, logits = activated(raw)
        lips = self._lips.lips(
            controls, batch["controls"], batch["movement"], batch["events"], weight
        )
        known = weight * batch["known"]
        events = self._lips.events(logits, batch["events"], known)
        error = (asked.float() - batch["gestures"]).square().mean(-1)
        gestures = self._gestures * (error * (known > 0.0)).mean()
        loss = lips + events + gestures + self._lips.alive(raw)
        return loss, {"lips": float(lips.detach()), "gestures": float(gestures.detach())}


def tensors_of(module: EncoderModule) -> dict[str, Floats]:
    """The tensors of a weight file: the network's, of the gestures those of vowels, the opening."""
    tensors = {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()
    }
    rows = [GESTURE_NAMES.index(name) for name in VOWEL_GESTURES]
    for part in ("weight", "bias"):
        tensors[f"vowels.{part}"] = np.ascontiguousarray(tensors.pop(f"gestures.{part}")[rows])
    tensors["opening"] = np.ascontiguousarray(control_basis()[:, 15, 1] - control_basis()[:, 5, 1])
    return tensors


def exported(module: EncoderModule, **info: Any) -> VoiceEncoder:
    """The module as an encoder for NumPy inference."""
    header = {
        "features": dataclasses.asdict(DEFAULT_FEATURES),
        "dilations": list(module.dilations),
        **info,
    }
    return encoder_from_tensors(tensors_of(module), header)


def save_weights(path: Path, module: EncoderModule, info: dict[str, Any]) -> None:
    """Write a weight file in one piece; weights are stored as float16."""
    tensors = {
        name: array.astype(np.float32 if name == "opening" else np.float16)
        for name, array in tensors_of(module).items()
    }
    write_weights(path, "encoder", tensors, info)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", type=Path, nargs="+", required=True)
    for name in ("speech", "voices"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="JSON with settings of EncoderTraining")
    parser.add_argument("--run", type=Path, help="folder of the run's state (OUTPUT.run)")
    options = parser.parse_args()
    config = read_config(options.config)
    begin = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", flush=True)

    torch.set_num_threads(config.loop.threads)
    groups = build_lessons(config, options.talk, options.speech, options.voices, log)
    torch.manual_seed(config.loop.seed)
    module = EncoderModule(
        hidden=config.hidden,
        channels=config.channels,
        dilations=config.dilations,
        dropout=config.dropout,
    )

    def write(average: nn.Module, step: int) -> None:
        info = {
            "config": dataclasses.asdict(config),
            "steps": step,
            "features": dataclasses.asdict(DEFAULT_FEATURES),
            "dilations": list(config.dilations),
            "data_sha256": manifest_sha256([*options.talk, options.speech, options.voices]),
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "training_s": round(time.monotonic() - begin),
        }
        assert isinstance(average, EncoderModule)
        save_weights(options.output, average, info)

    run = options.run or options.output.with_suffix(".run")
    train(
        module, lambda seed: batches(groups, config, seed), EncoderLoss(config), config.loop, run,
        log, write,
    )  # fmt: skip


def read_config(path: Path | None) -> EncoderTraining:
    """The settings, with what a JSON file says in place of the defaults."""
    settings = json.loads(path.read_text()) if path else {}
    loop = LoopConfig(**{**dataclasses.asdict(EncoderTraining().loop), **settings.pop("loop", {})})
    for name in ("dilations", "shares", "speeds"):
        if name in settings:
            settings[name] = tuple(settings[name])
    return EncoderTraining(loop=loop, **settings)


if __name__ == "__main__":
    main()
