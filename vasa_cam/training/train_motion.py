"""Train the motion generator.

Command: python -m vasa_cam.training.train_motion --talk DIR [DIR ...] --speech DIR --voices DIR
         --encoder FILE -o FILE [--config FILE.json] [--run DIR] [--public-encoder MODEL]

Streams of voices with lips, faces and heads are put together (motion_data.py); the transformer
learns to predict the clean window from a noised one and its conditions, with the paper's drop-out
of conditions. A run that was interrupted goes on when started again with the same --run folder.
torchrun trains on several GPUs. MODEL: a folder with a HuBERT or wav2vec 2.0 model, or its name and
commit on the hub (see public_encoder.py); the generator then hears with it, too, and needs it.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vasa_cam.motion.encoder import load_encoder
from vasa_cam.motion.generator import (
    CONDITIONS,
    Generator,
    GeneratorConfig,
    generator_from_tensors,
)
from vasa_cam.motion.idle import IdleConfig
from vasa_cam.motion.public_encoder import PUBLIC_INFO, with_public
from vasa_cam.motion.schedule import time_features
from vasa_cam.motion.weight_file import write_weights
from vasa_cam.training.generator_module import GeneratorModule
from vasa_cam.training.loop import Batch, Log, LoopConfig, mixed_precision, train
from vasa_cam.training.motion_data import (
    LipClip,
    StreamConfig,
    Streams,
    WindowConfig,
    build_streams,
    spread_and_scale,
    windows,
)
from vasa_cam.training.samples import music_sound, noise_sound, phone_events, talk_sample
from vasa_cam.training.talk_data import Utterance, load_talk, manifest_sha256
from vasa_cam.training.targets import closed_rests
from vasa_cam.training.teacher import PhoneTeacher, taught_controls, taught_teacher
from vasa_cam.training.voices import load_voices, recorded_voices

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MotionTraining:
    """Settings of one run. hours: of streams. shares: of tracked, recorded, synthetic and quiet
    streams. least_time: smallest diffusion time that is trained.
    """

    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=16000, rate=1e-3))
    model: GeneratorConfig = field(default_factory=GeneratorConfig)
    streams: StreamConfig = field(
        default_factory=lambda: StreamConfig(idle=IdleConfig(head=1.1, posture_deg=2.0, blinks=0.9))
    )
    windows: WindowConfig = field(default_factory=WindowConfig)
    hours: float = 3.0
    shares: tuple[float, float, float, float] = (0.38, 0.16, 0.34, 0.12)
    teacher_steps: int = 900
    synthetic_voices: int = 1200
    quiet_clips: int = 40
    least_time: float = 0.01


def lip_clips(
    config: MotionTraining, talk: list[Path], speech: Path, voices: Path, log: Log
) -> list[list[LipClip]]:
    """Voices with lips: tracked, recorded, synthetic, and sounds without speech."""
    rng = np.random.default_rng(config.loop.seed)
    clips = [clip for folder in talk for clip in load_talk(folder, "train.jsonl")]
    rests = closed_rests(clips)
    samples = [talk_sample(clip, rests[clip.speaker]) for clip in clips]
    tracked = [
        LipClip(clip.audio, sample.controls, sample.events if sample.known else None)
        for clip, sample in zip(clips, samples, strict=True)
    ]
    labelled = [(c.phones, s) for c, s in zip(clips, samples, strict=True) if c.phones]
    log(f"{len(clips)} tracked clips, {len(labelled)} with phones")
    teacher = taught_teacher(labelled, config.teacher_steps, rng)
    recorded = [taught_clip(voice, teacher) for voice in recorded_voices(speech)]
    corpus = load_voices(voices)
    chosen = rng.permutation(len(corpus))[: config.synthetic_voices]
    synthetic = [taught_clip(corpus[int(index)], teacher) for index in chosen]
    quiet = []
    for index in range(config.quiet_clips):
        sound = (noise_sound, music_sound)[index % 4 == 3](rng, 8.0)
        frames = len(sound) // 640
        still = np.zeros((frames, tracked[0].mouth.shape[1]), np.float32)
        quiet.append(LipClip(sound, still, np.zeros((frames, 3), np.float32)))
    log(f"{len(recorded)} recorded, {len(synthetic)} synthetic, {len(quiet)} quiet")
    return [tracked, recorded, synthetic, quiet]


def taught_clip(voice: Utterance, teacher: PhoneTeacher) -> LipClip:
    """A voice without a face, with the teacher's lips."""
    frames = len(voice.audio) // 640
    controls = taught_controls(teacher, voice.phones, frames)
    return LipClip(voice.audio[: 640 * frames], controls, phone_events(voice.phones, frames))


class MotionLoss:
    """|X_0 - H(X_t, t, C)|^2 in units of the window's scale; t uniform."""

    def __init__(self, config: MotionTraining) -> None:
        self._least = config.least_time
        self._time_size = config.model.time_size

    def __call__(self, module: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        target = batch["target"]
        count = len(target)
        time = self._least + (1.0 - self._least) * torch.rand(count)
        angle = (time * (np.pi / 2)).to(target.device)[:, None, None]
        noised = torch.cos(angle) * target + torch.sin(angle) * torch.randn_like(target)
        rows = torch.from_numpy(time_features(time.numpy(), self._time_size)).to(target.device)
        with mixed_precision(target.device):
            clean = module(noised, rows, *conditions_of(batch))
        error = (clean.float() - target).square()
        # Rare large movements (blinks, gaze shifts) must not drown everything else.
        error = torch.where(error < 25.0, error, 10.0 * error.clamp(min=1e-6).sqrt() - 25.0)
        per_window = error.mean(dim=(1, 2))
        late = per_window[time < 0.3].mean() if (time < 0.3).any() else per_window.mean()
        return per_window.mean(), {"late": float(late.detach())}


def conditions_of(batch: Batch) -> tuple[Batch, Batch]:
    """What is given and what is present, by condition."""
    given = {name: batch[name] for name in CONDITIONS}
    return given, {name: batch[f"has_{name}"] for name in CONDITIONS}


def tensors_of(module: GeneratorModule, spread: Floats, scale: Floats) -> dict[str, Floats]:
    """The tensors of a weight file."""
    tensors = {
        name: tensor.detach().float().cpu().numpy().copy()
        for name, tensor in module.state_dict().items()
    }
    return {**tensors, "spread": spread, "scale": scale}


def exported(module: GeneratorModule, spread: Floats, scale: Floats, **info: Any) -> Generator:
    """The module as a generator for use without torch."""
    header = {"config": dataclasses.asdict(module.config), **info}
    return generator_from_tensors(tensors_of(module, spread, scale), header)


def save_weights(
    path: Path, module: GeneratorModule, spread: Floats, scale: Floats, info: dict[str, Any]
) -> None:
    """Write a weight file in one piece; weights are stored as float16."""
    tensors = {
        name: tensor if name in ("spread", "scale") else tensor.astype(np.float16)
        for name, tensor in tensors_of(module, spread, scale).items()
    }
    header = {"config": dataclasses.asdict(module.config), **info}
    write_weights(path, "generator", tensors, header)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", type=Path, nargs="+", required=True)
    for name in ("speech", "voices", "encoder"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="JSON with settings of MotionTraining")
    parser.add_argument("--run", type=Path, help="folder of the run's state (OUTPUT.run)")
    parser.add_argument("--public-encoder", help="HuBERT or wav2vec 2.0: folder, or NAME@COMMIT")
    options = parser.parse_args()
    config = read_config(options.config)
    begin = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", flush=True)

    torch.set_num_threads(config.loop.threads)
    encoder = with_public(load_encoder(options.encoder), options.public_encoder)
    model = dataclasses.replace(config.model, audio_size=encoder.audio_size)
    config = dataclasses.replace(config, model=model)
    groups = lip_clips(config, options.talk, options.speech, options.voices, log)
    streams: Streams = build_streams(
        groups, config.shares, encoder, config.hours, config.streams, config.loop.seed
    )
    spread, scale = spread_and_scale(streams, config.model.window)
    log(f"{len(streams.channels)} frames in {len(streams.first) - 1} streams")
    torch.manual_seed(config.loop.seed)
    module = GeneratorModule(config.model)

    def write(average: nn.Module, step: int) -> None:
        assert isinstance(average, GeneratorModule)
        info = {
            "training": dataclasses.asdict(config),
            "steps": step,
            "data_sha256": manifest_sha256([*options.talk, options.speech, options.voices]),
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "training_s": round(time.monotonic() - begin),
            PUBLIC_INFO: encoder.public,
        }
        save_weights(options.output, average, spread, scale, info)

    train(
        module,
        lambda seed: windows(streams, spread, scale, config.model.previous, config.windows, seed),
        MotionLoss(config), config.loop, options.run or options.output.with_suffix(".run"), log,
        write,
    )  # fmt: skip


def read_config(path: Path | None) -> MotionTraining:
    """The settings, with what a JSON file says in place of the defaults."""
    settings: dict[str, Any] = json.loads(path.read_text()) if path else {}
    default = MotionTraining()
    parts = {}
    for name in ("loop", "model", "windows"):
        parts[name] = dataclasses.replace(getattr(default, name), **settings.pop(name, {}))
    streams = settings.pop("streams", {})
    idle = dataclasses.replace(default.streams.idle, **streams.pop("idle", {}))
    parts["streams"] = dataclasses.replace(default.streams, idle=idle, **streams)
    return dataclasses.replace(default, **parts, **settings)


if __name__ == "__main__":
    main()
