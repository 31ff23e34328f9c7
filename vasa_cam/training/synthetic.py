"""Synthetic voices with exact phone times: flite (command line) and espeak-ng (its library)."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import subprocess
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from vasa_cam.errors import MissingDependencyError
from vasa_cam.training.phones import ESPEAK_TO_ARPABET, Phone, from_espeak, from_flite
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance

Floats = npt.NDArray[np.float32]

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
ESPEAK_VOICES = (
    "en-us", "en-us+f1", "en-us+f2", "en-us+f3", "en-us+f4", "en-us+f5", "en-us+m1", "en-us+m3",
    "en-us+m4", "en-us+m7", "en-gb", "en-gb-x-rp+f2", "en-gb+m5", "en-us+linda", "en-us+steph",
    "en-us+antonio", "en-us+michael", "en-us+grandma", "en-us+adam", "en-us+anika",
)  # fmt: skip

# espeak-ng reports a phoneme's start about this much after its sound begins.
_ESPEAK_LATE_S = 0.025
_PHONEME_EVENT = 7
_AUDIO_RETRIEVAL = 2
_PHONEME_EVENTS = 1
_UTF8 = 1


def flite_say(
    text: str, voice: str, stretch: float = 1.0, pitch_hz: float | None = None
) -> Utterance:
    """Speak text with flite; stretch > 1 is slower. pitch_hz: mean pitch (None: its own)."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-psdur"]
        if pitch_hz is not None:
            command += ["--setf", f"int_f0_target_mean={pitch_hz}"]
        try:
            done = subprocess.run(
                [*command, "-t", text, "-o", str(target)], capture_output=True, check=True
            )
        except FileNotFoundError as error:
            raise MissingDependencyError(
                "flite was not found: install the system package flite."
            ) from error
        with wave.open(str(target)) as reader:
            rate = reader.getframerate()
            samples = np.frombuffer(reader.readframes(reader.getnframes()), np.int16)
    ends = re.findall(r"([a-z#_]+\d?):([\d.]+)", (done.stdout + done.stderr).decode())
    phones: list[Phone] = []
    start = 0.0
    for name, end in ends:
        phones.append((start, float(end), from_flite(name)))
        start = float(end)
    return Utterance(f"flite-{voice}", _to_16k(samples, rate), phones)


def _to_16k(samples: npt.NDArray[np.int16], rate: int) -> Floats:
    audio = samples.astype(np.float32) / 32768.0
    if rate != SAMPLE_RATE_HZ:
        audio = np.asarray(soxr.resample(audio, rate, SAMPLE_RATE_HZ), np.float32)
    return audio


class _Identifier(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass
class Espeak:
    """espeak-ng's library, one speaker at a time (it keeps global state)."""

    _library: ctypes.CDLL = field(init=False)
    _rate: int = field(init=False)
    _callback: Callable[..., int] = field(init=False)
    _samples: list[npt.NDArray[np.int16]] = field(default_factory=list)
    _events: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise MissingDependencyError(
                "espeak-ng was not found: install the system package libespeak-ng1."
            ) from error
        self._rate = self._library.espeak_Initialize(_AUDIO_RETRIEVAL, 0, None, _PHONEME_EVENTS)
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if count > 0 and samples:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != 0:
            if events[index].type == _PHONEME_EVENT:
                name = events[index].id.string.decode("utf-8", "replace")
                self._events.append((events[index].sample, name))
            index += 1
        return 0

    def say(self, text: str, voice: str, words_a_minute: int = 165, pitch: int = 50) -> Utterance:
        """Speak text; pitch 0..99 as espeak-ng's -p. KeyError on a phoneme not in the table."""
        self._samples.clear()
        self._events.clear()
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(1, words_a_minute, 0)
        self._library.espeak_SetParameter(3, pitch, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._samples)
        return Utterance(f"espeak-{voice}", _to_16k(samples, self._rate), self._phones(samples))

    def _phones(self, samples: npt.NDArray[np.int16]) -> list[Phone]:
        total = len(samples) / self._rate
        starts = [max(0.0, at / self._rate - _ESPEAK_LATE_S) for at, _ in self._events]
        phones: list[Phone] = []
        for index, (_, name) in enumerate(self._events):
            end = starts[index + 1] if index + 1 < len(starts) else total
            if name and end > starts[index]:
                if name not in ESPEAK_TO_ARPABET:
                    raise KeyError(f"espeak-ng phoneme {name!r} is not in the table")
                phones.extend(from_espeak(starts[index], end, name))
        return phones
