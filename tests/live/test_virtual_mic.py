"""The virtual microphone in a real PulseAudio: made, heard, killed, and nothing left behind."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import browser
from pulse import RATE_HZ, Player, PrivatePulse, Recorder, babble
from scipy.signal import correlate

from vasa_cam.audio import pulse as sound_server
from vasa_cam.errors import InputError
from vasa_cam.live.virtual_mic import (
    SINK_NAME,
    SOURCE_DESCRIPTION,
    SOURCE_NAME,
    VirtualMic,
    remove_stale,
)

HOLDER = (
    "import time\nfrom vasa_cam.live.virtual_mic import VirtualMic\n"
    "VirtualMic().create(); print('made', flush=True); time.sleep(120)\n"
)


def hold_in_a_process(pulse: PrivatePulse) -> subprocess.Popen[str]:
    """Another process that has made the virtual microphone and keeps it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=pulse.full_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"
    process.stdout.close()
    return process


def test_it_comes_and_goes_without_a_trace(pulse: PrivatePulse) -> None:
    before = {kind: pulse.names(kind) for kind in ("sinks", "sources", "modules")}
    defaults = [sound_server.default_device(kind) for kind in ("input", "output")]
    with VirtualMic() as microphone:
        assert microphone.sink_name in pulse.names("sinks")
        made = {one.name: one for one in sound_server.devices("input")}[SOURCE_NAME]
        assert made.description == SOURCE_DESCRIPTION
        # Browsers and Zoom list no monitors.
        assert not made.monitor
        assert defaults == [sound_server.default_device(kind) for kind in ("input", "output")]
        microphone.ensure()
        assert pulse.names("sources").count(SOURCE_NAME) == 1
    assert before == {kind: pulse.names(kind) for kind in ("sinks", "sources", "modules")}
    microphone.remove()


def test_what_is_played_to_the_sink_is_what_the_microphone_hears(
    pulse: PrivatePulse, rng: np.random.Generator
) -> None:
    words = babble(8.0, rng)
    with VirtualMic() as microphone:
        judge = Recorder(pulse, SOURCE_NAME)
        player = Player(pulse, microphone.sink_name, words)
        deadline = time.monotonic() + 30.0
        while len(judge.samples) < 6 * RATE_HZ:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for thing in (player, judge):
            thing.stop()
    likeness = []
    for start in range(RATE_HZ, 5 * RATE_HZ, RATE_HZ // 2):
        heard = judge.samples[start : start + RATE_HZ // 2].astype(float)
        if np.abs(heard).max() > 0.01:
            place = int(correlate(words.astype(float), heard, "valid").argmax())
            likeness.append(np.corrcoef(words[place : place + len(heard)], heard)[0, 1])
    # The best of them: a busy machine tears some windows.
    assert max(likeness) > 0.99


def test_what_a_killed_run_left_behind_is_removed(pulse: PrivatePulse) -> None:
    process = hold_in_a_process(pulse)
    process.kill()
    process.wait()
    assert SOURCE_NAME in pulse.names("sources")
    with VirtualMic():
        assert pulse.names("sources").count(SOURCE_NAME) == 1
        assert pulse.names("sinks").count(SINK_NAME) == 1
    assert SOURCE_NAME not in pulse.names("sources")
    assert SINK_NAME not in pulse.names("sinks")
    assert remove_stale() == 0


def test_the_microphone_of_a_run_that_lives_is_left_alone(pulse: PrivatePulse) -> None:
    process = hold_in_a_process(pulse)
    try:
        with pytest.raises(InputError, match=rf"process {process.pid} already has"):
            VirtualMic().create()
        assert SOURCE_NAME in pulse.names("sources")
    finally:
        process.kill()
        process.wait()


def test_a_restarted_sound_server_gets_it_again(pulse: PrivatePulse) -> None:
    microphone = VirtualMic()
    microphone.create()
    pulse.kill()
    with pytest.raises(InputError, match="no sound server answers"):
        microphone.ensure()
    pulse.start()
    microphone.ensure()
    assert SOURCE_NAME in pulse.names("sources")
    microphone.remove()
    assert SOURCE_NAME not in pulse.names("sources")


def test_it_never_becomes_the_default_device(pulse: PrivatePulse) -> None:
    pulse.pactl("load-module", "module-switch-on-connect", "ignore_virtual=no")
    pulse.pactl("set-default-sink", "voice_out")
    pulse.pactl("set-default-source", "voice_in.monitor")
    with VirtualMic():
        assert sound_server.default_device("output") == "voice_out"
        assert sound_server.default_device("input") == "voice_in.monitor"


def test_half_of_it_is_never_left_behind(pulse: PrivatePulse) -> None:
    pulse.pactl(
        "load-module",
        "module-remap-source",
        "master=voice_in.monitor",
        f"source_name={SOURCE_NAME}2",
    )
    before = pulse.names("modules")
    microphone = VirtualMic()
    microphone.create()
    pulse.remove(str(microphone._modules[-1]))
    microphone.ensure()
    assert pulse.names("sources").count(SOURCE_NAME) == 1
    microphone.remove()
    assert pulse.names("modules") == before


def test_without_a_sound_server_or_pactl_it_says_so(
    pulse: PrivatePulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse.kill()
    with pytest.raises(InputError, match=r"needs PulseAudio or PipeWire, and no sound server"):
        VirtualMic().create()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InputError, match=r"pactl is not installed \(Debian, Ubuntu: pulseaudio"):
        VirtualMic().create()


LISTEN = """(async () => {
  await navigator.mediaDevices.getUserMedia({audio: true});
  const devices = await navigator.mediaDevices.enumerateDevices();
  const mic = devices.find(one => one.kind === "audioinput" && one.label === NAME);
  if (!mic) return devices.map(one => one.label).join();
  const plain = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const stream = await navigator.mediaDevices.getUserMedia(
    {audio: {deviceId: {exact: mic.deviceId}, ...plain}});
  const context = new AudioContext(), analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const heard = new Float32Array(analyser.fftSize);
  for (let tries = 0; tries < 200; ++tries) {
    await new Promise(done => setTimeout(done, 50));
    analyser.getFloatTimeDomainData(heard);
    if (Math.hypot(...heard) / Math.sqrt(heard.length) > 0.01) return "heard";
  }
  return "silence";
})()"""


@pytest.fixture
def call(tmp_path: Path) -> Iterator[str]:
    """Address of a page that may use microphones, as that of a call."""
    (tmp_path / "call.html").write_text("<title>call</title>")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/call.html"
        server.shutdown()


def test_a_browser_lists_it_and_hears_what_is_said(
    pulse: PrivatePulse, call: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    """As the microphone of a call in Meet."""
    flags = ("--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required")
    with VirtualMic() as microphone, browser(tmp_path / "profile", *flags) as page:
        player = Player(pulse, microphone.sink_name, babble(60.0, rng))
        try:
            page.go(call)
            assert page.value(LISTEN.replace("NAME", repr(SOURCE_DESCRIPTION))) == "heard"
        finally:
            player.stop()
