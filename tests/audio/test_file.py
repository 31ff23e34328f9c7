"""Audio files: every kind people have, judged against ffmpeg's own decoding, and every bad one."""

from __future__ import annotations

import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasa_cam.audio import SPEECH_RATE_HZ, probe_audio, read_speech, stereo_blocks
from vasa_cam.errors import InputError

Ffmpeg = Callable[..., bytes]

# name of the file, ffmpeg options, signal-to-noise ratio in dB that the codec must keep
CODED = [
    ("speech.wav", [], 60.0),
    ("speech_24bit.wav", ["-c:a", "pcm_s24le"], 60.0),
    ("speech_float.wav", ["-c:a", "pcm_f32le"], 60.0),
    ("speech_8bit.wav", ["-c:a", "pcm_u8"], 25.0),
    ("speech.flac", [], 60.0),
    ("speech.mp3", ["-b:a", "192k"], 20.0),
    ("speech.m4a", ["-b:a", "192k"], 20.0),
    ("speech.ogg", ["-b:a", "192k"], 20.0),
    ("speech.opus", ["-b:a", "192k"], 15.0),
    ("speech.aiff", [], 60.0),
]


def chirp(rate_hz: int = 44_100, seconds: float = 1.0) -> np.ndarray:
    """A sweep from 100 Hz to 3 kHz, so that a shift in time or a wrong rate shows."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (100 * t + 1450 * t * t / seconds))).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """16-bit WAV by the standard library; samples float [n] or [n, channels]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def write_float_wav(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """32-bit float mono WAV, written by hand because the wave module has none."""
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<HHIIHH", 3, 1, rate_hz, rate_hz * 4, 4, 32)
    body = b"fmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(data))
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body) + len(data)) + b"WAVE" + body + data)


def snr_db(got: np.ndarray, want: np.ndarray) -> float:
    """Signal-to-noise ratio over the common length."""
    n = min(len(got), len(want))
    noise = np.mean((got[:n].astype(np.float64) - want[:n]) ** 2)
    return float(10 * np.log10(np.mean(want[:n].astype(np.float64) ** 2) / max(noise, 1e-20)))


@pytest.mark.parametrize(("name", "options", "floor_db"), CODED)
def test_every_kind_of_file_gives_the_same_speech_at_the_same_time(
    tmp_path: Path, ffmpeg: Ffmpeg, name: str, options: list[str], floor_db: float
) -> None:
    source = tmp_path / "source.wav"
    write_wav(source, np.stack([chirp(), chirp()], axis=1), 44_100)
    path = tmp_path / name
    ffmpeg("-i", source, *options, path)
    speech = read_speech(path)
    # ffmpeg's plain "-ac 1" adds 3 dB to float output; the mean is said outright.
    mean = ["-af", "pan=mono|c0=.5*c0+.5*c1", "-ar", str(SPEECH_RATE_HZ)]
    judge = np.frombuffer(ffmpeg("-i", source, *mean, "-f", "f32le", "-"), "<f4")
    assert speech.dtype == np.float32
    assert abs(len(speech) - SPEECH_RATE_HZ) <= 0.05 * SPEECH_RATE_HZ
    assert snr_db(speech, judge) > floor_db - 1.0


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 48_000, 96_000, 192_000])
def test_any_rate_becomes_16_khz(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "speech.wav"
    write_wav(path, chirp(rate_hz), rate_hz)
    speech = read_speech(path)
    assert abs(len(speech) - SPEECH_RATE_HZ) <= 2
    # The edges hold the resampler's ringing; the middle must be the same sweep.
    assert snr_db(speech[800:-800], chirp(SPEECH_RATE_HZ)[800:-800]) > 45.0


def test_stereo_is_averaged_for_speech_and_kept_for_the_video(tmp_path: Path) -> None:
    left, right = chirp(16_000), 0.25 * chirp(16_000)[::-1]
    path = tmp_path / "stereo.wav"
    write_wav(path, np.stack([left, right], axis=1), 16_000)
    assert snr_db(read_speech(path), (left + right) / 2) > 60.0
    both = np.concatenate(list(stereo_blocks(path)))
    assert both.shape == (16_000, 2)
    assert snr_db(both[:, 0], left) > 60.0
    assert snr_db(both[:, 1], right) > 60.0


def test_mono_keeps_its_level_on_both_channels(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    write_wav(path, chirp(16_000), 16_000)
    both = np.concatenate(list(stereo_blocks(path)))
    assert np.array_equal(both[:, 0], both[:, 1])
    assert snr_db(both[:, 0], chirp(16_000)) > 60.0


def test_stereo_blocks_can_change_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    write_wav(path, chirp(11_025), 11_025)
    both = np.concatenate(list(stereo_blocks(path, 48_000)))
    assert abs(len(both) - 48_000) <= 5
    assert snr_db(both[2400:-2400, 1], chirp(48_000)[2400:-2400]) > 40.0


def test_six_channels_are_mixed_down(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "surround.flac"
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=1:r=48000", "-ac", "6", path)
    assert probe_audio(path).channels == 6
    assert len(read_speech(path)) == SPEECH_RATE_HZ
    assert read_speech(path).std() > 0.02


def test_the_sound_of_a_video_is_read(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    source, path = tmp_path / "source.wav", tmp_path / "clip.mp4"
    write_wav(source, chirp(), 44_100)
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-i", source, "-shortest", path)
    info = probe_audio(path)
    assert (info.rate_hz, info.channels, info.codec) == (44_100, 1, "aac")
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert snr_db(read_speech(path), chirp(SPEECH_RATE_HZ)) > 15.0


def test_a_damaged_middle_is_left_out_not_fatal(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    source, path = tmp_path / "source.wav", tmp_path / "speech.mp3"
    write_wav(source, chirp(seconds=2.0), 44_100)
    ffmpeg("-i", source, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    path.write_bytes(bytes(data))
    assert len(read_speech(path)) > SPEECH_RATE_HZ


def refuse(path: Path, *words: str) -> None:
    """Reading must raise one InputError sentence that names the file and holds the words."""
    with pytest.raises(InputError) as caught:
        read_speech(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_bad_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("Dear diary, this is not a sound.")
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(1).bytes(4000))
    write_wav(tmp_path / "empty.wav", np.zeros(0, np.float32), 16_000)
    refuse(tmp_path / "zero.wav", "0 bytes")
    refuse(tmp_path / "text.wav", "not a sound file")
    refuse(tmp_path / "noise.mp3", "not a sound file")
    refuse(tmp_path / "empty.wav", "no sample")
    refuse(tmp_path / "missing.wav", "does not exist")
    refuse(tmp_path, "not a file")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    samples = chirp(16_000)
    samples[4_000] = value
    write_float_wav(tmp_path / "bad.wav", samples, 16_000)
    refuse(tmp_path / "bad.wav", "not finite")
    with pytest.raises(InputError, match="not finite"):
        list(stereo_blocks(tmp_path / "bad.wav"))


def test_a_float_file_in_integer_units_is_refused(tmp_path: Path) -> None:
    write_float_wav(tmp_path / "scaled.wav", chirp(16_000) * 32_767, 16_000)
    refuse(tmp_path / "scaled.wav", "-1..1 is expected")


def test_a_float_file_a_little_over_full_scale_is_clipped(tmp_path: Path) -> None:
    write_float_wav(tmp_path / "loud.wav", chirp(16_000) * 3, 16_000)
    assert np.abs(read_speech(tmp_path / "loud.wav")).max() == 1.0


def test_a_video_without_sound_is_refused(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "silent.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", path)
    refuse(path, "no audio stream")


def test_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "odd.wav", chirp(16_000), 16_000)
    data = bytearray((tmp_path / "odd.wav").read_bytes())
    data[20:22] = struct.pack("<H", 0x7A7A)  # a format tag nobody has
    (tmp_path / "odd.wav").write_bytes(bytes(data))
    refuse(tmp_path / "odd.wav")


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    write_wav(tmp_path / "target.wav", chirp(16_000), 16_000)
    concat = tmp_path / "list.wav"
    concat.write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'target.wav'}'\n")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ntarget.wav\n#EXT-X-ENDLIST\n"
    )
    refuse(concat, "not a sound file")
    refuse(playlist, "not a sound file")


def test_a_name_that_looks_like_an_address_is_a_file_name(tmp_path: Path) -> None:
    refuse(Path("http://127.0.0.1:9/speech.wav"), "does not exist")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1), flips=st.integers(1, 60), cut=st.floats(0.0, 1.0))
def test_a_damaged_wav_is_read_or_refused_never_worse(
    tmp_path: Path, seed: int, flips: int, cut: float
) -> None:
    path = tmp_path / "fuzz.wav"
    write_float_wav(path, chirp(8_000, 0.1), 8_000)
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for position in rng.integers(0, min(len(data), 120), flips):
        data[position] = rng.integers(0, 256)
    path.write_bytes(bytes(data[: int(len(data) * cut)]))
    try:
        speech = read_speech(path)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert np.isfinite(speech).all()
