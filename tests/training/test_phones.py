"""Phones as gestures: every phoneme that a synthetic voice can speak has one."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.training.phones import (
    GESTURE_NAMES,
    GESTURES,
    SEALED,
    TUCKED,
    VOWELS,
    from_flite,
    from_ipa,
    gesture_track,
    spread_over,
    symbol_track,
)
from vasa_cam.training.practice_texts import COUNTED, ENGLISH, OTHER, counting_text
from vasa_cam.training.synthetic import ESPEAK_ENGLISH, ESPEAK_VARIANTS, Espeak


@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("aɪ", ("AY",)), ("əʊ", ("OW",)), ("tʃ", ("CH",)), ("dʒ", ("JH",)), ("ɜː", ("ER",)),
        ("oːɹ", ("AO", "R")), ("əl", ("AH", "L")), ("ᵻ", ("IH",)), ("iː", ("IY",)),
        ("øː", ("EU",)), ("œ̃", ("OE",)), ("y", ("YY",)), ("ɔ̃", ("AO",)), ("ũ", ("UW",)),
        ("pf", ("P", "F")), ("ts", ("T", "S")), ("tɕh", ("T", "SJ")), ("ts.h", ("T", "S")),
        ("tʰ", ("T",)), ("dʲ", ("D",)), ("d̻͡z̪", ("D", "Z")), ("ʁ", ("GH",)), ("β", ("BF",)),
        ("onɡ", ("OO", "NG")), ("ç", ("CC",)), ("ɯᵝ", ("UX",)), ("r̝̊", ("RR",)), ("h", ("HH",)),
        ("ʔ", ()), ("(en)", ()), ("", ()),
    ],
)  # fmt: skip
def test_ipa_names(name: str, symbols: tuple[str, ...]) -> None:
    assert from_ipa(name) == symbols


def test_a_letter_that_a_language_uses_in_its_own_way() -> None:
    assert from_ipa("y", "ru") == ("IX",)
    assert from_ipa("y", "de") == ("YY",)
    assert from_ipa("yə", "vi") == ("IX", "AH")


@pytest.mark.parametrize("name", ["☃", "a5", "t€"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(KeyError, match="not in the table"):
        from_ipa(name)


def test_unknown_flite_names_are_refused() -> None:
    assert from_flite("ax") == "AH"
    assert from_flite("ey1") == "EY"
    with pytest.raises(KeyError, match="'qq'"):
        from_flite("qq")


def test_lips_of_sounds_that_english_lacks() -> None:
    """Front rounded vowels are round, their unrounded counterparts are not, and none is sealed."""
    rounding = GESTURE_NAMES.index("round")
    for rounded, plain in (("YY", "IY"), ("EU", "EE"), ("OE", "EH"), ("UW", "UX")):
        assert GESTURES[rounded][0][rounding] >= 0.6
        assert GESTURES[plain][0][rounding] == 0.0
    assert frozenset({"B", "P", "M"}) == SEALED
    assert frozenset({"F", "V"}) == TUCKED
    for symbol in VOWELS:
        assert GESTURES[symbol][0][GESTURE_NAMES.index("vowel")] == 1.0


@pytest.mark.parametrize("language", [*ESPEAK_ENGLISH, *OTHER, *COUNTED])
def test_every_phoneme_of_the_corpus_is_mapped(
    language: str, espeak: Espeak, rng: np.random.Generator
) -> None:
    texts = OTHER.get(language, ENGLISH if language in ESPEAK_ENGLISH else ())
    for text in (*texts, *(counting_text(rng) for _ in range(6))):
        said = espeak.say(text, language)
        assert {symbol for _, _, symbol in said.phones} <= set(GESTURES)
        assert len(said.phones) > 3


def test_every_voice_variant_exists(espeak: Espeak) -> None:
    for variant in ESPEAK_VARIANTS:
        assert len(espeak.say("Hi.", f"en-us+{variant}").audio) > 1000


def test_symbols_share_a_span() -> None:
    assert spread_over(1.0, 2.0, ("AY", "ER")) == [(1.0, 1.5, "AY"), (1.5, 2.0, "ER")]
    assert spread_over(1.0, 2.0, ()) == []


def test_tracks() -> None:
    """Gestures change inside a diphthong and are silence outside; symbols fade outside."""
    phones = [(0.1, 0.3, "AY"), (0.3, 0.4, "M")]
    times = np.array([0.0, 0.1, 0.2, 0.35, 0.45, 0.6])
    track = gesture_track(phones, times)
    assert track[:, GESTURE_NAMES.index("silence")].tolist() == [1, 0, 0, 0, 1, 1]
    opened = track[:, GESTURE_NAMES.index("open")]
    assert opened[1] > opened[2] > opened[3] == 0.0
    sealed = symbol_track(phones, SEALED, times, 0.1)
    np.testing.assert_allclose(sealed, [0, 0, 0, 1, 0.5, 0], atol=1e-6)
