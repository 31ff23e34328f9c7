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
from vasa_cam.training.phones import Phone, from_flite, from_ipa, spread_over
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance

Floats = npt.NDArray[np.float32]

FLITE_VOICES = ("slt", "rms", "awb", "kal16", "kal")
ESPEAK_ENGLISH = (
    "en-us", "en", "en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
    "en-gb-x-rp",
)  # fmt: skip
ESPEAK_VARIANTS = (
    "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "klatt",
    "klatt2", "klatt3", "klatt4", "klatt5", "klatt6", "adam", "Alex", "Alicia", "Andrea", "Andy",
    "anika", "Annie", "antonio", "AnxiousAndy", "aunty", "belinda", "benjamin", "boris", "caleb",
    "croak", "david", "Denis", "Diogo", "ed", "edward", "edward2", "Gene", "Gene2", "grandma",
    "grandpa", "gustave", "Henrique", "Hugo", "iven", "iven2", "iven3", "iven4", "Jacky", "john",
    "kaukovalta", "Lee", "linda", "marcelo", "Marco", "Mario", "max", "Michael", "michel",
    "Miguel", "mike", "Mr serious", "Nguyen", "norbert", "pablo", "paul", "pedro", "quincy",
    "RicishayMax", "RicishayMax2", "RicishayMax3", "rob", "robert", "sandro", "shelby", "steph",
    "steph2", "steph3", "Storm", "travis", "victor", "whisper", "whisperf", "zac",
)  # fmt: skip
"""espeak-ng's voice variants without the ones that are meant to sound like machines."""
ESPEAK_VOICES = tuple(f"{language}+{variant}" for language in ("en-us", "en", "en-gb-x-rp")
                      for variant in ESPEAK_VARIANTS[:20])  # fmt: skip

# slt's labels lie this much before the sound that they name.
_FLITE_EARLY_S = {"slt": 0.01}
# espeak-ng reports a voiceless stop when it opens; the closure before it lasts this long at most
# where another sound comes before it, and this long after a pause.
_LONGEST_CLOSURE_S = 0.1
_PAUSED_CLOSURE_S = 0.07
_SHORTEST_PAUSE_S = 0.06
_QUIET_DB = -34.0
_STEP_S = 0.005
_VOICELESS_STOPS = frozenset({"P", "T", "K", "CH"})
_PHONEME_EVENT = 7
_AUDIO_RETRIEVAL = 2
_PHONEME_EVENTS_IN_IPA = 1 | 2
_UTF8 = 1


def flite_say(
    text: str,
    voice: str,
    stretch: float = 1.0,
    pitch_hz: float | None = None,
    pitch_spread_hz: float | None = None,
) -> Utterance:
    """Speak text with flite; stretch > 1 is slower.

    pitch_hz, pitch_spread_hz: mean and standard deviation of the pitch (None: the voice's own).
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-psdur"]
        if pitch_hz is not None:
            command += ["--setf", f"int_f0_target_mean={pitch_hz}"]
        if pitch_spread_hz is not None:
            command += ["--setf", f"int_f0_target_stddev={pitch_spread_hz}"]
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
    total, start = len(samples) / rate, 0.0
    for name, text_end in ends:
        end = min(total, float(text_end) + _FLITE_EARLY_S.get(voice, 0.0))
        if end > start:
            phones.append((start, end, from_flite(name)))
        start = end
    return Utterance(f"flite-{voice}", _to_16k(samples, rate), phones)


def flite_version() -> str:
    """The version that the flite command states."""
    done = subprocess.run(["flite", "--version"], capture_output=True, check=False)
    found = re.search(r"version: *(\S+)", (done.stdout + done.stderr).decode(errors="replace"))
    return found[1] if found else "unknown"


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
    """espeak-ng's library; objects share its global state, so use one thread a process."""

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
        self._rate = self._library.espeak_Initialize(
            _AUDIO_RETRIEVAL, 0, None, _PHONEME_EVENTS_IN_IPA
        )
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._callback = _Callback(self._take)

    @property
    def version(self) -> str:
        """The library's version."""
        return str(self._library.espeak_Info(None).decode())

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

    def say(
        self,
        text: str,
        voice: str,
        words_a_minute: int = 165,
        pitch: int = 50,
        pitch_range: int = 50,
    ) -> Utterance:
        """Speak text; pitch and pitch_range 0..99 as espeak-ng's -p. voice: language+variant.

        KeyError on a phoneme that is not in the table, ValueError on an unknown voice.
        """
        self._samples.clear()
        self._events.clear()
        self._library.espeak_SetSynthCallback(self._callback)  # another object may have set its own
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((1, words_a_minute), (3, pitch), (4, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._samples or [np.zeros(0, np.int16)])
        phones = self._phones(samples, voice.split("+", maxsplit=1)[0])
        return Utterance(f"espeak-{voice}", _to_16k(samples, self._rate), phones)

    def _phones(self, samples: npt.NDArray[np.int16], language: str) -> list[Phone]:
        total = len(samples) / self._rate
        spans: list[tuple[float, float, tuple[str, ...]]] = []
        starts = [at / self._rate for at, _ in self._events]
        for start, end, (_, name) in zip(starts, [*starts[1:], total], self._events, strict=True):
            symbols = from_ipa(name, language)
            if end <= start:
                continue
            if symbols:
                spans.append((start, end, symbols))
            elif spans and (spans[-1][2] == ("SIL",) or end - start < _SHORTEST_PAUSE_S):
                spans[-1] = (spans[-1][0], end, spans[-1][2])
            else:
                spans.append((start, end, ("SIL",)))
        spans = with_closures(spans, quiet_steps(samples, self._rate))
        return [phone for span in spans for phone in spread_over(*span)]


def quiet_steps(samples: npt.NDArray[np.int16], rate: int) -> npt.NDArray[np.bool_]:
    """Which steps of 5 ms are far quieter than the loud ones."""
    hop = round(rate * _STEP_S)
    count = len(samples) // hop
    blocks = samples[: count * hop].reshape(count, hop).astype(np.float32)
    power = np.mean((blocks - blocks.mean(axis=1, keepdims=True)) ** 2, axis=1)
    if count == 0:
        return np.zeros(0, bool)
    loud = float(np.percentile(power, 95))
    return np.asarray(power < loud * 10.0 ** (_QUIET_DB / 10.0))


def with_closures(
    spans: list[tuple[float, float, tuple[str, ...]]], quiet: npt.NDArray[np.bool_]
) -> list[tuple[float, float, tuple[str, ...]]]:
    """Spans whose voiceless stops begin where the mouth closed: the silence before the burst.

    spans: start s, end s, symbols. quiet: bool, one per 5 ms.
    """
    moved = list(spans)
    for index in range(1, len(moved)):
        start, end, symbols = moved[index]
        before, _, earlier = moved[index - 1]
        if symbols[0] not in _VOICELESS_STOPS:
            continue
        if earlier == ("SIL",):
            closure = _PAUSED_CLOSURE_S
        else:
            step = min(len(quiet), int(start / _STEP_S))
            first = step
            while first > 0 and (quiet[first - 1] or first > step - 1):
                first -= 1
            closure = min(_LONGEST_CLOSURE_S, start - first * _STEP_S)
        begin = max(start - closure, before + 0.5 * (start - before))
        moved[index - 1] = (before, begin, earlier)
        moved[index] = (begin, end, symbols)
    return moved
