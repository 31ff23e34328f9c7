"""Synthetic voices: their phone times agree with their sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vasa_cam.training.phones import VOWELS
from vasa_cam.training.synthetic import Espeak
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, Utterance

_STOPS = "A happy paper apple, upon a poppy. Take a cup of tea to the top. A baby ate a big rabbit."
_STEP = 80


def loudness_db(said: Utterance) -> np.ndarray:
    """dB below the loud parts, one a 5 ms."""
    blocks = said.audio[: len(said.audio) // _STEP * _STEP].reshape(-1, _STEP)
    level = 10.0 * np.log10((blocks**2).mean(axis=1) + 1e-9)
    return level - np.percentile(level, 95)


def around(said: Utterance, symbols: str) -> np.ndarray:
    """Loudness from 40 ms before to 60 ms after the start of stops between vowels, mean of all."""
    level = loudness_db(said)
    rows = []
    for (_, _, left), (start, _, symbol), (_, _, right) in zip(
        said.phones, said.phones[1:], said.phones[2:], strict=False
    ):
        at = round(start * SAMPLE_RATE_HZ / _STEP)
        if symbol in symbols and {left, right} <= VOWELS and 8 <= at < len(level) - 12:
            rows.append(level[at - 8 : at + 12])
    assert len(rows) >= 3
    return np.mean(rows, axis=0)


def check_order(said: Utterance) -> None:
    ends = [0.0, *(end for _, end, _ in said.phones)]
    for (start, end, _), before in zip(said.phones, ends, strict=False):
        assert before <= start + 1e-9 < end
    assert ends[-1] <= len(said.audio) / SAMPLE_RATE_HZ + 1e-4


@pytest.mark.parametrize("voice", ["en-us", "en+f2", "en-us+klatt3"])
def test_espeak_stops_start_with_their_closure(voice: str, espeak: Espeak) -> None:
    """espeak-ng itself reports P, T and K when they open, 45 ms after the lips met."""
    said = espeak.say(_STOPS, voice)
    check_order(said)
    level = around(said, "PTK")
    assert level[:6].mean() > -20.0
    assert level[9:13].mean() < -40.0


@pytest.mark.parametrize("voice", ["slt", "rms", "kal16"])
def test_flite_stops_start_with_their_closure(voice: str, flite: Callable[..., Utterance]) -> None:
    said = flite(_STOPS, voice)
    check_order(said)
    level = around(said, "PTK")
    assert level[:6].mean() > -15.0
    assert level[12:16].mean() < -30.0


def test_settings_are_heard(espeak: Espeak, flite: Callable[..., Utterance]) -> None:
    slow, fast = (espeak.say(_STOPS, "en-us", rate) for rate in (120, 220))
    assert len(slow.audio) > 1.4 * len(fast.audio)
    assert len(flite(_STOPS, "rms", 1.4).audio) > 1.25 * len(flite(_STOPS, "rms").audio)


def test_unknown_voices_are_refused(espeak: Espeak) -> None:
    """espeak-ng would go on with the voice before."""
    with pytest.raises(ValueError, match="no voice 'en-gb'"):
        espeak.say("Hello.", "en-gb")


def test_two_objects_share_the_library(espeak: Espeak) -> None:
    """Each gets its own words, whoever spoke last. (espeak-ng never says one twice the same.)"""
    words = [symbol for _, _, symbol in espeak.say("One, two.", "en-us").phones]
    other = Espeak()
    assert [symbol for _, _, symbol in other.say("One, two.", "en-us").phones] == words
    other.say("Nine hundred.", "de")
    again = espeak.say("One, two.", "en-us")
    assert [symbol for _, _, symbol in again.phones] == words
    assert 0.8 < len(again.audio) / SAMPLE_RATE_HZ < 2.0


def test_nothing_to_say(espeak: Espeak) -> None:
    assert {symbol for _, _, symbol in espeak.say("", "en-us").phones} <= {"SIL"}
