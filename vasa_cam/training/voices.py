"""Voices without faces: synthetic and recorded speech with phone times, in many disguises.

A corpus is planned by a seed alone: utterance number k has the same words, voice and disguises
whatever else is built. (espeak-ng itself speaks a little differently every time.) It is stored
analysed (see build_voices.py) and read back with `load_voices`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.training.channels import CHANNELS
from vasa_cam.training.other_sounds import RESTING, UNKNOWN, other_sound
from vasa_cam.training.practice_texts import COUNTED, OTHER, english_text, other_text
from vasa_cam.training.synthetic import (
    ESPEAK_ENGLISH,
    ESPEAK_VARIANTS,
    FLITE_VOICES,
    Espeak,
    flite_say,
)
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance, load_speech, speech_texts
from vasa_cam.training.vocoder import faster, moved_formants, sung, whispered

Floats = npt.NDArray[np.float32]

FORMAT: Final = "vasa-cam voices"
VERSION: Final = 1
SAMPLES_A_FRAME: Final = 640


@dataclass(frozen=True)
class Voice(Utterance):
    """An utterance and what is known about it.

    kind: flite, espeak, recorded, or a sound's name. language: espeak-ng's code, "" for sounds.
    disguises: what was done to it. trust: 0 where the lips are not known. power: float32
    [4 T + 2, 40] mel band powers as `samples.analysed` gives them, for T = len(audio) / 640.
    """

    kind: str = ""
    language: str = ""
    disguises: tuple[str, ...] = ()
    trust: float = 1.0
    power: Floats | None = None

    @property
    def frames(self) -> int:
        """Motion frames (25 Hz) that the audio lasts."""
        return len(self.audio) // SAMPLES_A_FRAME


@dataclass(frozen=True)
class VoicePlan:
    """Shares of utterances (they need not sum to 1) and chances of disguises.

    sounds: share of the speech time that is added as sounds without speech.
    """

    flite: float = 0.28
    english: float = 0.34
    foreign: float = 0.26
    recorded: float = 0.12
    moved: float = 0.35
    whispered: float = 0.05
    sung: float = 0.07
    channel: float = 0.3
    sounds: float = 0.1


DEFAULT_PLAN: Final = VoicePlan()


class VoiceMaker:
    """Makes utterance number k of a plan. speech: the folder of aligned recordings."""

    def __init__(self, speech: Path, seed: int, plan: VoicePlan = DEFAULT_PLAN) -> None:
        self._recordings = load_speech(speech)
        self._texts = tuple(speech_texts(speech))
        self._espeak = Espeak()
        self._seed, self._plan = seed, plan

    def speech(self, index: int) -> Voice:
        """Speech number `index`; KeyError when a phoneme of it has no gesture."""
        rng = np.random.default_rng([self._seed, 1, index])
        plan = self._plan
        shares = np.array([plan.flite, plan.english, plan.foreign, plan.recorded])
        kind = int(rng.choice(4, p=shares / shares.sum()))
        if kind == 0:
            spoken, name, language = self._flite(rng), "flite", "en-us"
        elif kind < 3:
            language = str(rng.choice([*OTHER, *OTHER, *COUNTED] if kind == 2 else ESPEAK_ENGLISH))
            spoken, name = self._say(rng, language, kind == 2), "espeak"
        else:
            spoken = self._recordings[int(rng.integers(len(self._recordings)))]
            name, language = "recorded", "en-us"
        return disguised(spoken, rng, plan, name, language)

    def sound(self, index: int) -> Voice:
        """Sound number `index`."""
        rng = np.random.default_rng([self._seed, 2, index])
        kinds = [*RESTING, *UNKNOWN]
        kind = kinds[index % len(kinds)]
        made = other_sound(rng, kind, float(rng.uniform(5.0, 8.0)))
        return Voice(made.name, made.audio, made.phones, kind, "", (), float(kind in RESTING))

    def _flite(self, rng: np.random.Generator) -> Utterance:
        voice = str(rng.choice(FLITE_VOICES))
        pitch_hz = float(rng.uniform(80.0, 240.0)) if rng.random() < 0.6 else None
        spread_hz = float(rng.uniform(5.0, 40.0)) if rng.random() < 0.5 else None
        text = english_text(rng, self._texts)
        return flite_say(text, voice, float(rng.uniform(0.75, 1.4)), pitch_hz, spread_hz)

    def _say(self, rng: np.random.Generator, language: str, foreign: bool) -> Utterance:
        text = other_text(rng, language) if foreign else english_text(rng, self._texts)
        variant = str(rng.choice(ESPEAK_VARIANTS)) if rng.random() < 0.92 else ""
        voice = f"{language}+{variant}" if variant else language
        rate = int(rng.integers(105, 235))
        return self._espeak.say(
            text, voice, rate, int(rng.integers(15, 90)), int(rng.integers(10, 95))
        )


def disguised(
    spoken: Utterance, rng: np.random.Generator, plan: VoicePlan, kind: str, language: str
) -> Voice:
    """The utterance after a random choice of disguises, at a random level."""
    # Choices are drawn apart from noise, whose amount depends on the audio's length.
    choices, noise = rng.spawn(2)
    used: list[str] = []
    drawn = choices.random()
    if drawn < plan.sung:
        spoken, used = sung(spoken, noise), ["sung"]
    elif drawn < plan.sung + plan.whispered:
        quiet = whispered(spoken.audio, noise)
        spoken, used = Utterance(spoken.name, quiet, spoken.phones), ["whispered"]
    if choices.random() < plan.moved or kind == "recorded":
        spoken = _moved(spoken, choices)
        used.append("moved")
    audio = spoken.audio
    if choices.random() < plan.channel:
        channel = str(choices.choice(list(CHANNELS)))
        audio = CHANNELS[channel](audio, noise)
        used.append(channel)
    level = float(np.sqrt(np.percentile(audio**2, 98.0))) + 1e-6
    gain = 10.0 ** (choices.uniform(-26.0, -9.0) / 20.0) / level
    audio = np.clip(
        audio * np.float32(min(gain, 0.99 / (float(np.abs(audio).max()) + 1e-6))), -1, 1
    )
    frames = max(1, round(len(audio) / SAMPLES_A_FRAME))
    whole = np.zeros(frames * SAMPLES_A_FRAME, np.float32)
    whole[: min(len(whole), len(audio))] = audio[: len(whole)]
    phones = [p for p in spoken.phones if p[0] < len(whole) / SAMPLE_RATE_HZ]
    return Voice(spoken.name, whole, phones, kind, language, tuple(used))


def _moved(spoken: Utterance, rng: np.random.Generator) -> Utterance:
    """Another throat: pitch and formants 0.8 to 1.25 times as high, apart from each other."""
    speed = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    spoken = faster(spoken, speed)
    formants = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    return Utterance(spoken.name, moved_formants(spoken.audio, formants / speed), spoken.phones)


class VoiceCorpus(Sequence[Voice]):
    """A built corpus; audio and powers stay on disk (memory-mapped) until a voice is asked for."""

    def __init__(self, folder: Path) -> None:
        info = folder / "info.json"
        if not info.is_file():
            raise InputError(
                f"{folder} holds no voices: expected info.json; build them with "
                "python -m vasa_cam.training.build_voices."
            )
        self.info: dict[str, Any] = json.loads(info.read_text())
        if self.info.get("format") != FORMAT or self.info.get("version") != VERSION:
            raise InputError(f"{info} is of another version: build the voices again.")
        self.records: list[dict[str, Any]] = [
            json.loads(line) for line in (folder / "voices.jsonl").read_text().splitlines()
        ]
        self._audio = np.load(folder / "audio.npy", mmap_mode="r")
        self._decibels = np.load(folder / "power_db.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Voice: ...
    @overload
    def __getitem__(self, index: slice) -> list[Voice]: ...
    def __getitem__(self, index: int | slice) -> Voice | list[Voice]:
        """Voice number `index`, read from disk."""
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        record = self.records[index]
        frames, first, row = record["frames"], record["frame"], record["row"]
        samples = self._audio[first * SAMPLES_A_FRAME : (first + frames) * SAMPLES_A_FRAME]
        rows = self._decibels[row : row + 4 * frames + 2].astype(np.float32)
        return Voice(
            name=record["name"],
            audio=samples.astype(np.float32) / np.float32(32768.0),
            phones=[(float(a), float(b), str(s)) for a, b, s in record["phones"]],
            kind=record["kind"],
            language=record["language"],
            disguises=tuple(record["disguises"]),
            trust=float(record["trust"]),
            power=np.asarray(10.0 ** (rows / 10.0), np.float32),
        )

    def __iter__(self) -> Iterator[Voice]:
        return (self[index] for index in range(len(self)))


def load_voices(folder: Path) -> VoiceCorpus:
    """The voices that build_voices wrote to a folder; InputError when there are none."""
    return VoiceCorpus(folder)


def recorded_voices(folder: Path) -> list[Utterance]:
    """The aligned recordings, each also a little faster and a little slower."""
    utterances = load_speech(folder)
    varied = [faster(u, (0.9, 1.12)[i % 2]) for i, u in enumerate(utterances)]
    return utterances + varied
