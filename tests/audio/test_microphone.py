"""Microphones of a real PulseAudio through PortAudio: heard, unplugged, hung, restarted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from pulse import RATE_HZ, Player, PrivatePulse, Recorder, babble
from scipy.signal import correlate

from vasa_cam.audio import AudioBlock, AudioSource, SourceLostError, audio_source, portaudio
from vasa_cam.audio.device_search import find_device
from vasa_cam.audio.microphone import MicrophoneSource
from vasa_cam.errors import InputError


def listen(source: AudioSource, seconds: float) -> list[AudioBlock]:
    """Blocks of so many seconds of sound."""
    blocks: list[AudioBlock] = []
    deadline = time.monotonic() + seconds + 30.0
    while sum(len(block.samples) for block in blocks) < seconds * source.rate_hz:
        assert time.monotonic() < deadline, f"only {len(blocks)} blocks came"
        block = source.read(0.5)
        if block is not None:
            blocks.append(block)
    return blocks


def wait_for_loss(source: AudioSource) -> str:
    """Read until the source is lost; returns what it says."""
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        try:
            source.read(0.2)
        except SourceLostError as error:
            return str(error)
    pytest.fail("the loss was not noticed")


def wait_until_back(source: AudioSource) -> None:
    """Start it again, as the daemon does, until that works."""
    deadline = time.monotonic() + 30.0
    while True:
        try:
            return source.start()
        except InputError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize("spec", ["mic:voice_in.monitor", "monitor:voice_in", "monitor", "mic"])
def test_what_is_played_is_heard(spec: str, pulse: PrivatePulse, rng: np.random.Generator) -> None:
    pulse.pactl("set-default-sink", "voice_in")
    pulse.pactl("set-default-source", "voice_in.monitor")
    words = babble(12.0, rng)
    source = audio_source(spec)
    source.start()
    judge = Recorder(pulse, "voice_in.monitor")
    player = Player(pulse, "voice_in", words)
    try:
        listen(source, 2.0)
        blocks = listen(source, 2.0)
        listen(source, 0.5)
    finally:
        for thing in (player, judge, source):
            thing.stop()
    assert (source.rate_hz, source.drops) == (RATE_HZ, 0)
    assert {len(block.samples) for block in blocks} == {480}
    # Block follows block in time, whatever the callbacks did.
    starts = np.array([block.capture_ns for block in blocks])
    assert np.abs(np.diff(starts) / 1e6 - 10.0).max() < 5.0
    heard = np.concatenate([block.samples for block in blocks]).astype(float)
    place = judge.sample_at(int(starts[0]))
    around = judge.samples[place - 4800 : place + len(heard) + 4800].astype(float)
    late = int(correlate(around, heard, "valid").argmax()) - 4800
    same = around[4800 + late : 4800 + late + len(heard)]
    assert np.corrcoef(heard, same)[0, 1] > 0.999
    # Two programs that listen to one microphone agree about when it was.
    assert abs(late) / RATE_HZ < 0.025


def test_a_named_microphone_is_lost_with_its_plug_and_comes_back(pulse: PrivatePulse) -> None:
    headset = pulse.add_sink("headset")
    source = audio_source("mic:headset.monitor")
    source.start()
    listen(source, 0.5)
    pulse.remove(headset)
    # The server itself goes on with another microphone, which nobody agreed to.
    assert "is gone" in wait_for_loss(source)
    with pytest.raises(InputError, match=r"no microphone is called 'headset.monitor'; expected"):
        source.start()
    pulse.add_sink("headset")
    wait_until_back(source)
    blocks = listen(source, 0.5)
    assert blocks[0].capture_ns < time.monotonic_ns()
    source.stop()


def test_a_quick_replug_is_a_loss_too(pulse: PrivatePulse) -> None:
    headset = pulse.add_sink("headset")
    source = audio_source("mic:headset.monitor")
    source.start()
    listen(source, 0.3)
    pulse.remove(headset)
    pulse.add_sink("headset")
    wait_for_loss(source)
    wait_until_back(source)
    listen(source, 0.3)
    source.stop()


def test_the_default_microphone_may_change(pulse: PrivatePulse) -> None:
    headset = pulse.add_sink("headset")
    pulse.pactl("set-default-source", "headset.monitor")
    source = audio_source("mic")
    source.start()
    listen(source, 0.3)
    pulse.remove(headset)
    # The server moves the stream to another one; where that takes too long, it is opened again.
    try:
        listen(source, 2.0)
    except SourceLostError:
        wait_until_back(source)
    listen(source, 0.5)
    source.stop()


def test_a_sound_server_that_dies_and_returns(pulse: PrivatePulse) -> None:
    source = audio_source("mic")
    source.start()
    listen(source, 0.3)
    pulse.kill()
    wait_for_loss(source)
    with pytest.raises(InputError):
        source.start()
    pulse.start()
    wait_until_back(source)
    listen(source, 0.3)
    source.stop()


def test_a_sound_server_that_hangs_holds_nobody_up(pulse: PrivatePulse) -> None:
    source = audio_source("mic:voice_in.monitor")
    source.start()
    listen(source, 0.3)
    pulse.signal(signal.SIGSTOP)
    try:
        wait_for_loss(source)
        started = time.monotonic()
        source.stop()
        with pytest.raises(InputError, match="restart the sound server"):
            source.start()
        # Ten seconds allow for a busy machine; a hanging server would take for ever.
        assert time.monotonic() - started < 10.0
    finally:
        pulse.signal(signal.SIGCONT)
    wait_until_back(source)
    listen(source, 0.3)
    source.stop()


def test_a_process_ends_although_the_sound_server_hangs(pulse: PrivatePulse) -> None:
    script = (
        "import os, signal, sys\nfrom vasa_cam.audio import audio_source, SourceLostError\n"
        "s = audio_source('mic'); s.start()\n"
        "os.kill(int(sys.argv[1]), signal.SIGSTOP)\n"
        "try:\n    while True: s.read(0.2)\n"
        "except SourceLostError: pass\n"
        "s.stop(); print('stopped')\n"
    )
    assert pulse.process is not None
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(pulse.process.pid)],
            env=pulse.full_environment(),
            capture_output=True,
            timeout=60,
            check=True,
        )
    finally:
        pulse.signal(signal.SIGCONT)
    assert done.stdout == b"stopped\n"


def test_a_process_that_ends_with_open_devices_ends_well(pulse: PrivatePulse) -> None:
    script = (
        "from vasa_cam.audio import audio_source\n"
        "from vasa_cam.audio.playback import VoicePlayback\n"
        "from vasa_cam.live.av_sync import DriftController\n"
        "s = audio_source('mic:voice_in.monitor'); s.start()\n"
        "p = VoicePlayback('voice_out', DriftController, delay_ms=150.0); p.start()\n"
        "for _ in range(30):\n    b = s.read(0.1)\n    b is None or p.push(b)\n"
        "raise SystemExit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=pulse.full_environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr.decode()


def test_sound_that_nobody_fetches_is_dropped_and_the_time_stays_right(
    pulse: PrivatePulse,
) -> None:
    source = MicrophoneSource("voice_in.monitor")
    source.start()
    listen(source, 0.3)
    time.sleep(3.0)
    blocks = listen(source, 0.5)
    # The ring holds two seconds; what comes now is new.
    assert source.drops > RATE_HZ
    age_ms = (time.monotonic_ns() - blocks[-1].end_ns) / 1e6
    assert -5.0 < age_ms < 300.0
    assert np.all(np.diff([block.capture_ns for block in blocks]) > 0)
    source.stop()


def test_names_that_fit_nothing_or_too_much(pulse: PrivatePulse) -> None:
    for name in ("left_mic", "right_mic"):
        pulse.pactl(
            "load-module", "module-remap-source", "master=voice_in.monitor", f"source_name={name}",
            f"source_properties=device.description={name.title()}",
        )  # fmt: skip
    assert find_device("Left_Mic", "input").server_name == "left_mic"
    assert find_device("LEFT", "input").server_name == "left_mic"
    with pytest.raises(InputError, match=r"more than one microphone: left_mic, right_mic"):
        find_device("mic", "input")
    with pytest.raises(InputError, match=r"no microphone is called 'Yeti'; expected one of: left"):
        find_device("Yeti", "input")
    # What is played is a microphone only for who says so in full.
    assert find_device("voice_in.monitor", "input").server_name == "voice_in.monitor"
    with pytest.raises(InputError, match="no microphone"):
        find_device("voice_in", "input")
    with pytest.raises(InputError, match="no microphone is called '99'"):
        find_device("99", "input")
    with pytest.raises(InputError, match=r"no sound output is called 'x'; expected one of: voice"):
        audio_source("monitor:x").start()
    index = next(row.index for row in portaudio.rows("input") if row.name == "pulse")
    assert find_device(str(index), "input").rate_hz == RATE_HZ


def test_nothing_is_left_running(pulse: PrivatePulse) -> None:
    def watchers() -> int:
        listed = subprocess.run(["pgrep", "-P", str(os.getpid()), "pactl"],
                                capture_output=True, check=False)  # fmt: skip
        return len(listed.stdout.split())

    before = watchers()
    source = audio_source("mic:voice_in.monitor")
    for _ in range(2):
        source.start()
        assert watchers() == before + 1
        source.stop()
        source.stop()
    assert watchers() == before
    with pytest.raises(SourceLostError, match="not open"):
        source.read(0.1)


def test_without_pactl_the_default_still_works(
    pulse: PrivatePulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    source = audio_source("mic")
    source.start()
    listen(source, 0.3)
    source.stop()
    with pytest.raises(InputError, match="pactl is not installed"):
        audio_source("monitor").start()


def test_streams_are_reopened_after_a_rescan(pulse: PrivatePulse) -> None:
    source = audio_source("mic:voice_in.monitor")
    source.start()
    listen(source, 0.2)
    assert portaudio.rescan(at_once=True)
    wait_for_loss(source)
    wait_until_back(source)
    listen(source, 0.2)
    # Within seconds, and while a stream is open, it is not done again.
    assert not portaudio.rescan()
    source.stop()
