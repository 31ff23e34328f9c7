"""Phones as mouth gestures: ARPAbet symbols and a few more, what the lips do in them, and IPA.

The gesture vector is what the phone-to-lips teacher sees, so phones that are rare or missing in the
tracked speech (SH, OY, the rounded front vowels of French...) still land next to phones that it
has seen.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

Phone = tuple[float, float, str]
"""Start in seconds, end in seconds, symbol of GESTURES: ARPAbet without stress, SIL = silence."""

GESTURE_NAMES: Final = (
    "silence", "seal", "tuck", "open", "spread", "round", "funnel", "glide",
    "alveolar", "sibilant", "dental", "velar", "vowel", "voiced",
)  # fmt: skip

_VOWELS: Final[dict[str, tuple[tuple[float, float, float], ...]]] = {
    # (open, spread, round) at the start and, for diphthongs, the end of the vowel.
    "AA": ((1.0, 0.1, 0.0),),
    "AE": ((0.9, 0.5, 0.0),),
    "AH": ((0.6, 0.2, 0.0),),
    "AO": ((0.7, 0.0, 0.5),),
    "AW": ((0.9, 0.1, 0.1), (0.3, 0.0, 0.8)),
    "AY": ((0.9, 0.2, 0.0), (0.3, 0.7, 0.0)),
    "EH": ((0.65, 0.5, 0.0),),
    "ER": ((0.35, 0.0, 0.4),),
    "EY": ((0.5, 0.6, 0.0), (0.25, 0.8, 0.0)),
    "IH": ((0.35, 0.5, 0.0),),
    "IY": ((0.2, 1.0, 0.0),),
    "OW": ((0.5, 0.0, 0.7), (0.2, 0.0, 1.0)),
    "OY": ((0.6, 0.0, 0.7), (0.3, 0.7, 0.0)),
    "UH": ((0.3, 0.0, 0.6),),
    "UW": ((0.15, 0.0, 1.0),),
    # Vowels that English lacks: a, e, ø, ɨ, œ, o, ɯ, y of the IPA.
    "AF": ((0.95, 0.3, 0.0),),
    "EE": ((0.4, 0.65, 0.0),),
    "EU": ((0.35, 0.0, 0.8),),
    "IX": ((0.25, 0.5, 0.0),),
    "OE": ((0.6, 0.0, 0.6),),
    "OO": ((0.4, 0.0, 0.8),),
    "UX": ((0.25, 0.2, 0.0),),
    "YY": ((0.15, 0.0, 0.95),),
}

_CONSONANTS: Final[dict[str, dict[str, float]]] = {
    "SIL": {"silence": 1.0},
    "B": {"seal": 1.0, "voiced": 1.0},
    "P": {"seal": 1.0},
    "M": {"seal": 1.0, "voiced": 1.0},
    "F": {"tuck": 1.0},
    "V": {"tuck": 1.0, "voiced": 1.0},
    "W": {"glide": 1.0, "round": 1.0, "voiced": 1.0},
    "R": {"glide": 1.0, "round": 0.4, "open": 0.2, "voiced": 1.0},
    "Y": {"glide": 1.0, "spread": 0.6, "open": 0.1, "voiced": 1.0},
    "L": {"alveolar": 1.0, "open": 0.4, "glide": 0.5, "voiced": 1.0},
    "T": {"alveolar": 1.0},
    "D": {"alveolar": 1.0, "voiced": 1.0},
    "N": {"alveolar": 1.0, "voiced": 1.0, "open": 0.2},
    "S": {"alveolar": 1.0, "sibilant": 1.0, "spread": 0.4},
    "Z": {"alveolar": 1.0, "sibilant": 1.0, "spread": 0.4, "voiced": 1.0},
    "SH": {"sibilant": 1.0, "funnel": 1.0},
    "ZH": {"sibilant": 1.0, "funnel": 1.0, "voiced": 1.0},
    "CH": {"sibilant": 1.0, "funnel": 1.0, "alveolar": 0.5},
    "JH": {"sibilant": 1.0, "funnel": 1.0, "alveolar": 0.5, "voiced": 1.0},
    "TH": {"dental": 1.0, "open": 0.2},
    "DH": {"dental": 1.0, "open": 0.2, "voiced": 1.0},
    "K": {"velar": 1.0, "open": 0.2},
    "G": {"velar": 1.0, "open": 0.2, "voiced": 1.0},
    "NG": {"velar": 1.0, "open": 0.2, "voiced": 1.0},
    "HH": {"open": 0.4},
    # Consonants that English lacks: β, ç, ɣ or uvular r, rolled r, ɕ, x and ʑ of the IPA.
    "BF": {"seal": 0.6, "voiced": 1.0},
    "CC": {"velar": 0.5, "sibilant": 0.4, "spread": 0.5, "open": 0.1},
    "GH": {"velar": 1.0, "open": 0.35, "voiced": 1.0},
    "RR": {"alveolar": 1.0, "open": 0.3, "voiced": 1.0},
    "SJ": {"sibilant": 1.0, "funnel": 0.35, "spread": 0.2},
    "X": {"velar": 1.0, "open": 0.35},
    "ZJ": {"sibilant": 1.0, "funnel": 0.35, "spread": 0.2, "voiced": 1.0},
}

SEALED: Final = frozenset({"B", "P", "M"})
TUCKED: Final = frozenset({"F", "V"})
VOWELS: Final = frozenset(_VOWELS)


def _vector(entries: dict[str, float]) -> npt.NDArray[np.float32]:
    return np.array([entries.get(name, 0.0) for name in GESTURE_NAMES], np.float32)


def _gestures() -> dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    table = {}
    for symbol, entries in _CONSONANTS.items():
        table[symbol] = (_vector(entries), _vector(entries))
    for symbol, shapes in _VOWELS.items():
        start, end = (
            _vector({"vowel": 1.0, "voiced": 1.0, "open": o, "spread": s, "round": r})
            for o, s, r in (shapes[0], shapes[-1])
        )
        table[symbol] = (start, end)
    return table


GESTURES: Final = _gestures()
"""Symbol -> gesture vectors (float32 [14]) at the start and at the end of the phone."""

_DIPHTHONGS: Final = {
    "AY": "aɪ ai äɪ ɑɪ ɑi aɨ ɐɪ ɒɪ",
    "AW": "aʊ au äʊ ɑʊ ɑu æʊ",
    "EY": "eɪ ei ɛɪ ɛi æɪ ɜɪ əɪ",
    "OW": "oʊ ou əʊ əu ʌʊ ʌʉ ɔʊ ɔu",
    "OY": "ɔɪ ɔi oɪ oi ɔø ɔy",
    "ER": "ər əɹ ɚ ɝ",
    "AO R": "oɹ",
    "CH": "tʃ tS",
    "JH": "dʒ dZ",
    "NG": "nɡ",
}  # fmt: skip

_SINGLE: Final = {
    "AA": "ɑA", "AE": "æ", "AF": "aä", "AH": "əɐʌɜɘ", "AO": "ɔɒ", "EE": "e", "EH": "ɛε",
    "EU": "øɵ", "IH": "ɪᵻ", "IX": "ɨ", "IY": "i", "OE": "œɶ", "OO": "o", "UH": "ʊᵿ", "UW": "uʉ",
    "UX": "ɯɤ", "YY": "yʏ",
    "B": "bɓ", "BF": "βɸΦʙ", "CC": "çʝ", "D": "dɖɾɽɗ", "DH": "ð", "F": "f", "G": "ɡgɟɢɠ",
    "GH": "ɣʁʀʕ", "HH": "hħɦʜ", "K": "kqc", "L": "lɫɬɭʎɮʟ", "M": "m", "N": "nɲɳ", "NG": "ŋɴN",
    "P": "p", "R": "ɹɻ", "RR": "r", "S": "s", "SH": "ʃʂS", "SJ": "ɕ", "T": "tʈ", "TH": "θ",
    "V": "vʋⱱɱ", "W": "wɥʍ", "X": "xχX", "Y": "j", "Z": "z", "ZH": "ʒʐZ", "ZJ": "ʑ",
    "T S": "ʦ",
    "": "ʔ?",
}  # fmt: skip

_MARKS: Final = frozenset("ːˑʰʲʷˤˠˀ˞ᵝʼ\u0329\u032f\u032a\u033a\u033b\u031e\u031d\u030a\u0325"
                          "\u0308\u0303\u0306\u0361\u031f\u0320.:^[`#-\"'~*!,")  # fmt: skip

_FROM_IPA: Final = {
    **{name: symbols for symbols, names in _DIPHTHONGS.items() for name in names.split()},
    **{name: symbols for symbols, names in _SINGLE.items() for name in names},
}
# Where espeak-ng's letter means a vowel without rounding.
_UNROUNDED: Final = {"ru": ("y", "ɨ"), "pt-br": ("y", "ɨ"), "vi": ("y", "ɨ"), "ta": ("ʉ", "ɯ")}
# Mandarin and Korean names write aspiration as a plain h.
_ASPIRATED: Final = frozenset("pbtdkɡgcɟqʈɖsʂɕʃ.")
_LANGUAGE_SWITCH: Final = re.compile(r"^\([\w-]+\)?")

_FLITE: Final = {"pau": "SIL", "ax": "AH", "h#": "SIL", "ssil": "SIL", "axr": "ER", "dx": "D",
                 "el": "L", "em": "M", "en": "N", "ix": "IH"}  # fmt: skip


def from_flite(name: str) -> str:
    """flite's US English phone name -> ARPAbet; raises KeyError for an unknown name."""
    symbol = _FLITE.get(name.rstrip("012"), name.rstrip("012").upper())
    return symbol if symbol in GESTURES else _raise_unknown(name)


def _raise_unknown(name: str) -> str:
    raise KeyError(f"phone {name!r} is not in the table")


def from_ipa(name: str, language: str = "") -> tuple[str, ...]:
    """espeak-ng's IPA name of a phoneme -> the symbols whose gestures it has, one after the other.

    Length, aspiration, tone and nasality move no lip and are dropped. A pause, a glottal stop and a
    change of language give no symbol. language: espeak-ng's code, for the few that use a letter in
    their own way. Raises KeyError for a name with an unknown letter.
    """
    if _LANGUAGE_SWITCH.match(name):
        return ()
    if language in _UNROUNDED:
        name = name.replace(*_UNROUNDED[language])
    letters = "".join(c for c in name.replace("ɜː", "ɝ") if c not in _MARKS)
    symbols: list[str] = []
    at = 0
    while at < len(letters):
        if letters[at] == "h" and at > 0 and letters[at - 1] in _ASPIRATED:
            at += 1
            continue
        pair = letters[at : at + 2]
        taken = pair if len(pair) == 2 and pair in _FROM_IPA else letters[at]
        plain = taken if taken in _FROM_IPA else unicodedata.normalize("NFD", taken)[0]
        if plain not in _FROM_IPA:
            raise KeyError(f"phoneme {name!r} is not in the table")
        symbols += _FROM_IPA[plain].split()
        at += len(taken)
    return tuple(symbols)


def spread_over(start_s: float, end_s: float, symbols: tuple[str, ...]) -> list[Phone]:
    """Symbols that share a span equally, as phones."""
    edges = np.linspace(start_s, end_s, len(symbols) + 1)
    return [(float(a), float(b), s) for a, b, s in zip(edges, edges[1:], symbols, strict=False)]


def gesture_track(phones: list[Phone], times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Gesture vectors at the given times, float32 [T, 14]; silence outside the phones."""
    track = np.zeros((len(times_s), len(GESTURE_NAMES)), np.float32)
    track[:, 0] = 1.0
    for start, end, symbol in phones:
        inside = np.flatnonzero((times_s >= start) & (times_s < end))
        first, last = GESTURES[symbol]
        along = ((times_s[inside] - start) / max(end - start, 1e-6)).astype(np.float32)[:, None]
        track[inside] = first * (1.0 - along) + last * along
    return track


def symbol_track(
    phones: list[Phone], symbols: frozenset[str], times_s: npt.NDArray[np.float64], soft_s: float
) -> npt.NDArray[np.float32]:
    """1 inside phones of the given set, falling to 0 linearly over soft_s outside, float32 [T]."""
    track = np.zeros(len(times_s), np.float32)
    for start, end, symbol in phones:
        if symbol in symbols:
            outside = np.maximum(start - times_s, times_s - end)
            value = np.clip(1.0 - outside / soft_s, 0.0, 1.0).astype(np.float32)
            np.maximum(track, value, out=track)
    return track
