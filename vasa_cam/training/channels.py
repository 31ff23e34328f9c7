"""What a voice goes through before it is heard: rooms, codecs, telephones, overdrive, levellers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import av
import numpy as np
import numpy.typing as npt
import soxr

from vasa_cam.training.talk_data import SAMPLE_RATE_HZ

Floats = npt.NDArray[np.float32]

_CODECS: Final[dict[str, tuple[str, str, int]]] = {
    # name: encoder, decoder, sample rate in Hz
    "opus": ("libopus", "libopus", 16000),
    "mp3": ("libmp3lame", "mp3float", 16000),
    "amr": ("libopencore_amrnb", "libopencore_amrnb", 8000),
    "g722": ("g722", "g722", 16000),
}
_BIT_RATES: Final = {
    "opus": (12000, 16000, 24000), "mp3": (32000, 48000, 64000),
    "amr": (4750, 7400, 12200), "g722": (64000,),
}  # fmt: skip
_FRAME: Final = {"amr": 160, "g722": 320}


def through_codec(audio: Floats, codec: str, bit_rate: int) -> Floats:
    """Encode and decode 16 kHz audio, float32 [n] -> [n], without the codec's delay.

    codec: opus, mp3, amr or g722. A codec that PyAV was built without leaves the audio as it is.
    """
    encoder_name, decoder_name, rate = _CODECS[codec]
    if not {encoder_name, decoder_name} <= set(av.codecs_available):
        return audio
    encoder = cast("av.AudioCodecContext", av.CodecContext.create(encoder_name, "w"))
    known = {form.name for form in encoder.codec.audio_formats or ()}
    sample_format = next(form for form in ("s16", "s16p", "fltp", "flt") if form in known)
    encoder.sample_rate, encoder.format, encoder.layout = rate, sample_format, "mono"
    encoder.bit_rate = bit_rate
    encoder.open()
    decoder = cast("av.AudioCodecContext", av.CodecContext.create(decoder_name, "r"))
    decoder.extradata = encoder.extradata
    decoder.sample_rate, decoder.layout = rate, "mono"
    heard = resampled(audio, SAMPLE_RATE_HZ, rate)
    step = encoder.frame_size or _FRAME.get(codec, 320)
    blocks, out_rate = _round_trip(encoder, decoder, heard, step, sample_format)
    return aligned(resampled(np.concatenate(blocks), out_rate, SAMPLE_RATE_HZ), audio)


def _round_trip(
    encoder: Any, decoder: Any, heard: Floats, step: int, sample_format: str
) -> tuple[list[Floats], int]:
    """Decoded blocks and their sample rate."""
    whole = np.append(heard, np.zeros(2 * step - len(heard) % step, np.float32))
    packets = []
    for start in range(0, len(whole), step):
        block = whole[None, start : start + step]
        if sample_format.startswith("s16"):
            block = (np.clip(block, -1.0, 1.0) * 32767.0).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(block, sample_format, "mono")
        frame.sample_rate, frame.pts = encoder.sample_rate, start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    blocks, rate = [np.zeros(0, np.float32)], encoder.sample_rate
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            rate = frame.sample_rate
            samples = frame.to_ndarray().reshape(-1)
            scale = 32768.0 if samples.dtype == np.int16 else 1.0
            blocks.append(samples.astype(np.float32) / np.float32(scale))
    return blocks, rate


def resampled(audio: Floats, rate: int, wanted: int) -> Floats:
    """Audio at another sample rate, float32."""
    if rate == wanted:
        return audio
    return np.asarray(soxr.resample(audio, rate, wanted), np.float32)


def aligned(late: Floats, reference: Floats, longest_s: float = 0.2) -> Floats:
    """`late` shifted to where it fits `reference` best, float32 [len(reference)]."""
    size = len(reference) + len(late)
    product = np.fft.rfft(late, size) * np.conj(np.fft.rfft(reference, size))
    fit = np.fft.irfft(product, size)[: int(longest_s * SAMPLE_RATE_HZ)]
    shift = int(np.argmax(fit))
    kept = late[shift : shift + len(reference)]
    return np.append(kept, np.zeros(len(reference) - len(kept), np.float32)).astype(np.float32)


def telephone(audio: Floats, rng: np.random.Generator) -> Floats:
    """300 to 3400 Hz with 8-bit mu-law steps, float32 [n]."""
    narrow = band_limited(audio, rng.uniform(180.0, 350.0), rng.uniform(3000.0, 3600.0))
    peak = float(np.abs(narrow).max()) + 1e-9
    law = np.sign(narrow) * np.log1p(255.0 * np.abs(narrow) / peak) / np.log(256.0)
    law = np.round(law * 127.0) / 127.0
    return np.asarray(np.sign(law) * (256.0 ** np.abs(law) - 1.0) / 255.0 * peak, np.float32)


def band_limited(audio: Floats, low_hz: float, high_hz: float) -> Floats:
    """Audio without what lies outside low_hz..high_hz (12 dB an octave below), float32 [n]."""
    spectrum = np.fft.rfft(audio)
    hz = np.fft.rfftfreq(len(audio), 1.0 / SAMPLE_RATE_HZ) + 1e-3
    spectrum *= 1.0 / (1.0 + (low_hz / hz) ** 4) / (1.0 + (hz / high_hz) ** 16)
    return np.asarray(np.fft.irfft(spectrum, len(audio)), np.float32)


def in_room(audio: Floats, rng: np.random.Generator) -> Floats:
    """The voice at some distance in a synthetic room; the direct sound keeps its time."""
    decay_s = rng.uniform(0.15, 0.8)
    count = int(SAMPLE_RATE_HZ * decay_s)
    response = rng.normal(0.0, 1.0, count) * 10.0 ** (-3.0 * np.arange(count) / count)
    # High frequencies die first: the later, the duller.
    dull = np.convolve(response, np.ones(12) / 12.0)[:count]
    late = np.linspace(0.0, 1.0, count) ** 0.5
    response = response * (1.0 - late) + 2.0 * dull * late
    response[: int(rng.uniform(0.001, 0.006) * SAMPLE_RATE_HZ)] = 0.0
    response *= 10.0 ** (rng.uniform(-14.0, 4.0) / 20.0) / np.sqrt((response**2).sum())
    for delay in rng.integers(16, 700, rng.integers(2, 7)):
        if delay < count:
            response[delay] += rng.uniform(-0.5, 0.5)
    response[0] += 1.0
    size = len(audio) + count
    wet = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)
    return np.asarray(wet[: len(audio)], np.float32)


def overdriven(audio: Floats, rng: np.random.Generator) -> Floats:
    """Too loud for its microphone: softly or hardly clipped, float32 [n]."""
    limit = float(np.percentile(np.abs(audio), rng.uniform(90.0, 98.5))) + 1e-6
    if rng.random() < 0.5:
        return np.asarray(np.tanh(audio / limit) * limit, np.float32)
    return np.asarray(np.clip(audio, -limit, limit), np.float32)


def levelled(audio: Floats, rng: np.random.Generator) -> Floats:
    """An automatic gain control: quiet parts raised, loud ones lowered, with its own delays."""
    hop = 80
    count = len(audio) // hop + 1
    padded = np.append(audio, np.zeros(count * hop - len(audio), np.float32))
    power = np.mean(padded.reshape(count, hop) ** 2, axis=1)
    level_db = 10.0 * np.log10(power + 1e-7)
    attack, release = rng.uniform(0.2, 0.7), rng.uniform(0.003, 0.03)
    followed, state = [], float(level_db.max())
    for value in level_db.tolist():
        state += (attack if value > state else release) * (value - state)
        followed.append(state)
    squeeze = rng.uniform(0.4, 0.8)
    gain_db = np.clip(-squeeze * (np.array(followed) - level_db.max()), 0.0, 24.0)
    gain = np.interp(np.arange(len(padded)) / hop, np.arange(count) + 0.5, 10.0 ** (gain_db / 20.0))
    return np.asarray((padded * gain)[: len(audio)], np.float32)


def _coded(audio: Floats, rng: np.random.Generator) -> Floats:
    codec = str(rng.choice(list(_CODECS), p=[0.5, 0.2, 0.2, 0.1]))
    return through_codec(audio, codec, int(rng.choice(_BIT_RATES[codec])))


CHANNELS: Final[dict[str, Callable[[Floats, np.random.Generator], Floats]]] = {
    "coded": _coded,
    "telephone": telephone,
    "room": in_room,
    "overdriven": overdriven,
    "levelled": levelled,
}
"""Name -> channel: (float32 [n] at 16 kHz, generator) -> float32 [n], phone times unchanged."""
