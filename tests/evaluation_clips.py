"""Clips with a known answer, for tests of the evaluation's figures."""

from __future__ import annotations

import numpy as np

from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import INDEX, Motion, neutral
from vasa_cam.training.evaluation_data import EvalClip, speech_span, spoken
from vasa_cam.training.phones import Phone
from vasa_cam.training.signals import runs
from vasa_cam.training.talk_data import TalkClip


def motion_with_gap(opening: np.ndarray) -> Motion:
    """A jaw that opens the lips by `opening`, inter-ocular distances."""
    frames = neutral(len(opening))
    frames[:, INDEX["jawOpen"]] = opening / lip_opening()[INDEX["jawOpen"]]
    return Motion(frames)


def clip_of(
    opening: np.ndarray,
    phones: list[Phone] | None = None,
    person: str = "p1",
    speech: np.ndarray | None = None,
) -> EvalClip:
    """A clip whose real face opens the lips by `opening`; everything is speech without phones."""
    count = len(opening)
    audio = np.zeros(640 * count, np.float32)
    talk = TalkClip(
        "clip", audio, np.zeros((count, 60, 3), np.float32), np.zeros((count, 52), np.float32),
        np.zeros((count, 6), np.float32), phones,
    )  # fmt: skip
    if speech is None:
        speech = np.ones(count, bool) if phones is None else spoken(phones, count)
    real_gap = np.asarray(opening, np.float64)
    return EvalClip(
        "val", person, talk, motion_with_gap(opening), real_gap, np.zeros(count),
        speech_span(speech), runs(~speech), True,
    )  # fmt: skip
