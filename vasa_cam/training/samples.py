"""Training samples: audio analysed once, lip targets at 25 Hz, and what to trust in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from vasa_cam.motion.features import DEFAULT_FEATURES, mel_power
from vasa_cam.motion.lips import CONTROLS, SAMPLES_A_FRAME
from vasa_cam.training.phones import SEALED, TUCKED, Phone, symbol_track
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, TalkClip
from vasa_cam.training.targets import aperture, clip_movement, fit_controls, predicted_movement

Floats = npt.NDArray[np.float32]

RATE_HZ = 25.0
_CLOSED_IOD = 0.03


@dataclass(frozen=True)
class Sample:
    """One clip for training.

    power: float32 [4 T + 2, bands] mel band powers. controls: float32 [T, 16]. movement: float32
    [T, 144] landmark movement (48 landmarks, x y z). events: float32 [T, 3] seal, tuck, speech.
    trust: weight of its lip error. known: whether its phones are, so that events and gestures may
    be learnt from it.
    """

    power: Floats
    controls: Floats
    movement: Floats
    events: Floats
    trust: float = 1.0
    known: bool = True

    def __post_init__(self) -> None:
        if len(self.power) != 4 * len(self.controls) + 2:
            raise ValueError(f"Sample: {len(self.power)} features, {len(self.controls)} frames")


def analysed(audio: Floats, frames: int) -> Floats:
    """Mel powers for `frames` lip frames, float32 [4 frames + 2, bands]; padded with silence."""
    config = DEFAULT_FEATURES
    before = np.zeros(config.window - config.hop, np.float32)
    total = len(before) + (4 * frames + 2) * config.hop
    padded = np.concatenate([before, audio, np.zeros(total, np.float32)])[:total]
    return mel_power(padded.astype(np.float32))


def with_lead(sample: Sample, frames: int, rng: np.random.Generator) -> Sample:
    """The sample after `frames` frames of its own room tone, lips at rest.

    Recordings start a fixed time before the first word; without this a network learns that time
    from the start of its input.
    """
    quiet = np.argsort(sample.power.sum(axis=1))[: max(8, len(sample.power) // 12)]
    tone = sample.power[rng.choice(quiet, 4 * frames)]

    def resting(rows: Floats) -> Floats:
        return np.concatenate([np.zeros((frames, rows.shape[1]), np.float32), rows])

    return Sample(
        np.concatenate([tone, sample.power]),
        resting(sample.controls),
        resting(sample.movement),
        resting(sample.events),
        sample.trust,
        sample.known,
    )


def _resampled_rows(rows: Floats, factor: float) -> Floats:
    """Rows played `factor` times faster, by linear interpolation."""
    count = int(len(rows) / factor)
    at = np.minimum(np.arange(count) * factor, len(rows) - 1.001)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    return np.asarray(rows[low] * (1.0 - part) + rows[low + 1] * part, np.float32)


def _faster(phones: list[Phone], factor: float) -> list[Phone]:
    return [(a / factor, b / factor, s) for a, b, s in phones]


def phone_events(phones: list[Phone], frames: int, lead_s: float = 0.02) -> Floats:
    """Seal, tuck and speech at every frame from phone times alone, float32 [frames, 3]."""
    times = np.arange(frames) / RATE_HZ
    led = [(a - lead_s, b - 0.5 * lead_s, s) for a, b, s in phones]
    voiced = frozenset({s for _, _, s in phones} - {"SIL"})
    return np.stack(
        [
            symbol_track(led, SEALED, times, 0.02),
            symbol_track(led, TUCKED, times, 0.02),
            symbol_track(led, voiced, times, 0.1),
        ],
        axis=1,
    )


def talk_sample(clip: TalkClip, rest: Floats, factor: float = 1.0) -> Sample:
    """A tracked clip, `factor` times faster (and higher).

    Seals are B, P and M where the tracked lips did close. Without phones nothing is known but that
    somebody speaks.
    """
    movement = clip_movement(clip, rest)
    controls = fit_controls(movement)
    gap = aperture(clip.landmarks[:, :20])
    audio, phones = clip.audio, clip.phones or []
    if factor != 1.0:
        audio = np.asarray(
            soxr.resample(audio, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ), np.float32
        )
        phones = _faster(phones, factor)
        movement, controls, gap = (_resampled_rows(x, factor) for x in (movement, controls, gap))
    frames = len(controls)
    flat = movement.reshape(frames, -1)
    if clip.phones is None:
        events = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (frames, 1))
        return Sample(analysed(audio, frames), controls, flat, events, known=False)
    times = np.arange(frames) / RATE_HZ
    events = phone_events(phones, frames)
    near = symbol_track(phones, SEALED, times, 0.07) > 0.0
    events[:, 0] = near & (gap < _CLOSED_IOD)
    return Sample(analysed(audio, frames), controls, flat, events)


def voiced_sample(power: Floats, phones: list[Phone], controls: Floats, trust: float) -> Sample:
    """A voice without a face: controls float32 [T, 16] come from the phone-to-lips teacher.

    power: float32 [4 T + 2, bands], as `analysed` gives it.
    """
    frames = len(controls)
    movement = predicted_movement(controls).reshape(frames, -1)
    return Sample(power, controls, movement, phone_events(phones, frames), trust)


def still_sample(audio: Floats, trust: float) -> Sample:
    """Sound without speech: the lips rest."""
    frames = len(audio) // SAMPLES_A_FRAME
    controls = np.zeros((frames, len(CONTROLS)), np.float32)
    movement = predicted_movement(controls).reshape(frames, -1)
    events = np.zeros((frames, 3), np.float32)
    return Sample(analysed(audio, frames), controls, movement, events, trust)


def noise_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """Coloured noise with clicks and thumps, or nothing at all, float32 [16000 seconds]."""
    count = int(seconds * SAMPLE_RATE_HZ)
    if rng.random() < 0.12:
        return np.zeros(count, np.float32)
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, count))
    hz = np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE_HZ) + 20.0
    spectrum *= (hz / 500.0) ** rng.uniform(-1.6, 0.3)
    sound = np.fft.irfft(spectrum, count)
    sound *= 10.0 ** (rng.uniform(-85.0, -25.0) / 20.0) / (np.std(sound) + 1e-9)
    for at in rng.integers(0, count - 4000, rng.integers(0, 12)):
        length = int(rng.integers(60, 3000))
        hit = rng.normal(0.0, 1.0, length) * np.exp(-np.arange(length) / (0.2 * length))
        sound[at : at + length] += hit * 10.0 ** (rng.uniform(-45.0, -15.0) / 20.0)
    return sound.astype(np.float32)


def music_sound(rng: np.random.Generator, seconds: float) -> Floats:
    """Chords, a bass line and a drum, float32 [16000 seconds]: tonal sound that is not speech."""
    count = int(seconds * SAMPLE_RATE_HZ)
    sound = np.zeros(count)
    beat = int(SAMPLE_RATE_HZ * 60.0 / rng.uniform(70.0, 150.0))
    root_hz = 110.0 * 2.0 ** (rng.integers(0, 12) / 12.0)
    brightness = rng.uniform(0.8, 2.2)
    for start in range(0, count - 800, beat):
        length = min(count - start, int(beat * rng.uniform(0.6, 2.0)))
        t = np.arange(length) / SAMPLE_RATE_HZ
        envelope = np.exp(-t * rng.uniform(0.6, 6.0)) * np.minimum(1.0, t * 100.0)
        for step in rng.choice([0, 3, 4, 5, 7, 9, 10, 12, 16, 19], rng.integers(1, 5), False):
            note_hz = root_hz * 2.0 ** (step / 12.0)
            for harmonic in range(1, 9):
                loudness = harmonic**-brightness
                phase = rng.uniform(0, 6.3)
                sound[start : start + length] += (
                    loudness * envelope * np.sin(6.2832 * note_hz * harmonic * t + phase)
                )
        if rng.random() < 0.6:
            hit = rng.normal(0.0, 1.0, min(2400, length)) * np.exp(-t[:2400] * 40.0)
            sound[start : start + len(hit)] += hit
    sound *= 10.0 ** (rng.uniform(-45.0, -15.0) / 20.0) / (np.std(sound) + 1e-9)
    return sound.astype(np.float32)
