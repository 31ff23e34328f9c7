"""Voices without faces: every synthetic and aligned voice as phones with audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr

from vasa_cam.training.synthetic import ESPEAK_VOICES, FLITE_VOICES, Espeak, flite_say
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance, load_speech, speech_texts

PRACTICE_TEXTS = (
    "Maybe my mum and papa built a big blue boat, but Bob put the map above the lamp.",
    "Very few five-foot waves ever leave the valley before half past five.",
    "We would choose a room with a view of the moon, you know, over the low road.",
    "Please keep these three green sheets and read each piece in peace.",
    "How now, our brown house stood out loud on the south ground.",
    "Stop. Wait a moment! No, really? Yes, of course, why not.",
    "The boy enjoyed the noisy toy, and pointed at the oil in the soil.",
    "She should wash each fresh fish at the shallow shore, and judge the large orange.",
    "Father Arthur parked his car far from the calm palm garden.",
    "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve.",
    "Hello everybody, welcome to the meeting. Can you hear me? I think we can begin.",
    "Thank you very much for coming; I will be brief, and then we can open the floor.",
)


def faster(utterance: Utterance, factor: float) -> Utterance:
    """The same voice played `factor` times faster: higher pitch, shorter phones."""
    audio = np.asarray(
        soxr.resample(utterance.audio, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ), np.float32
    )
    phones = [(a / factor, b / factor, s) for a, b, s in utterance.phones]
    return Utterance(utterance.name, audio, phones)


def recorded_voices(folder: Path) -> list[Utterance]:
    """The aligned recordings, each also a little faster and a little slower."""
    utterances = load_speech(folder)
    varied = [faster(u, (0.9, 1.12)[i % 2]) for i, u in enumerate(utterances)]
    return utterances + varied


def synthetic_voices(folder: Path, rng: np.random.Generator, count: int) -> list[Utterance]:
    """`count` sentences spoken by flite and espeak-ng voices of random rate and pitch."""
    texts = [*PRACTICE_TEXTS, *speech_texts(folder)]
    espeak = Espeak()
    utterances = []
    for index in range(count):
        text = texts[index % len(texts)]
        if index % 5 < 2:
            voice = str(rng.choice(FLITE_VOICES))
            pitch_hz = float(rng.uniform(85.0, 230.0)) if rng.random() < 0.5 else None
            spoken = flite_say(text, voice, float(rng.uniform(0.85, 1.3)), pitch_hz)
            factor = float(rng.uniform(0.9, 1.2))
            utterances.append(faster(spoken, factor))
        else:
            voice = str(rng.choice(ESPEAK_VOICES))
            rate, pitch = int(rng.integers(130, 210)), int(rng.integers(25, 80))
            utterances.append(espeak.say(text, voice, rate, pitch))
    return utterances
