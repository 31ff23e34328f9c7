"""Phones as mouth gestures: ARPAbet symbols, what the lips do in them, and espeak-ng's symbols.

The gesture vector is what the phone-to-lips teacher sees, so phones that are rare or missing in the
tracked speech (SH, OY, W at word ends...) still land next to phones that it has seen.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Phone = tuple[float, float, str]
"""Start in seconds, end in seconds, ARPAbet symbol without stress (SIL = silence)."""

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

ESPEAK_TO_ARPABET: Final[dict[str, str]] = {
    "@": "AH", "@2": "AH", "@5": "AH", "3": "ER", "3:": "ER", "@L": "AH L", "a": "AE", "aa": "AE",
    "a#": "AH", "A:": "AA", "A@": "AA R", "A": "AA", "E": "EH", "E2": "EH", "e@": "EH R", "e": "EH",
    "I": "IH", "I2": "IH", "I#": "IH", "i": "IY", "i:": "IY", "i@": "IH AH", "i@3": "IH R",
    "0": "AA", "0#": "AA", "02": "AO", "O": "AO", "O:": "AO", "O@": "AO R", "o@": "AO R",
    "O2": "AO", "o:": "OW", "V": "AH", "U": "UH", "U@": "UH R", "u:": "UW", "u": "UW",
    "aI": "AY", "eI": "EY", "OI": "OY", "aU": "AW", "oU": "OW", "aI@": "AY AH", "aI3": "AY ER",
    "aU@": "AW AH", "b": "B",
    "d": "D", "f": "F", "g": "G", "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N",
    "N": "NG", "p": "P", "r": "R", "r-": "R", "s": "S", "S": "SH", "t": "T", "T": "TH",
    "D": "DH", "v": "V",
    "w": "W", "z": "Z", "Z": "ZH", "tS": "CH", "dZ": "JH", "t#": "D", "t2": "T", "?": "SIL",
    "l-": "L", "n-": "N", "m-": "M", "_": "SIL", "_:": "SIL", "_!": "SIL", "_|": "SIL",
    "_^_": "SIL", ";": "Y", "w#": "W", "z#": "Z", "x": "K", "@-": "AH", "D#": "DH", "T2": "TH",
}  # fmt: skip
"""espeak-ng's English phoneme names -> one or two ARPAbet symbols."""

_FLITE: Final = {"pau": "SIL", "ax": "AH", "h#": "SIL", "ssil": "SIL", "axr": "ER", "dx": "D",
                 "el": "L", "em": "M", "en": "N", "ix": "IH"}  # fmt: skip


def from_flite(name: str) -> str:
    """flite's US English phone name -> ARPAbet; raises KeyError for an unknown name."""
    symbol = _FLITE.get(name.rstrip("012"), name.rstrip("012").upper())
    return symbol if symbol in GESTURES else _raise_unknown(name)


def _raise_unknown(name: str) -> str:
    raise KeyError(f"phone {name!r} is not in the table")


def from_espeak(start_s: float, end_s: float, name: str) -> list[Phone]:
    """One espeak-ng phoneme event -> one or two phones that share its span."""
    symbols = ESPEAK_TO_ARPABET[name].split()
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
