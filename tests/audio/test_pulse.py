"""What pactl prints is understood, and who would hear an echo is warned."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pulse import PrivatePulse

from vasa_cam.audio import pulse as sound_server
from vasa_cam.audio.echo import echo_warning, feedback_problem
from vasa_cam.audio.pulse import PulseError, PulseWatch

# As PipeWire 1.0 and PulseAudio 16 write them, shortened to what matters and what could confuse.
LAPTOP_SINKS = """Sink #48
\tState: SUSPENDED
\tName: alsa_output.pci-0000_00_1f.3.analog-stereo
\tDescription: Built-in Audio Analog Stereo
\tDriver: PipeWire
\tMonitor Source: alsa_output.pci-0000_00_1f.3.analog-stereo.monitor
\tProperties:
\t\tmedia.class = "Audio/Sink"
\t\tdevice.class = "sound"
\t\tdevice.description = "Built-in Audio: the \\"good\\" one"
\tPorts:
\t\tanalog-output-speaker: Speakers (type: Speaker, priority: 10000, not available)
\t\tanalog-output-headphones: Headphones (type: Headphones, priority: 9900, available)
\tActive Port: {port}
\tFormats:
\t\tpcm

Sink #61
\tState: RUNNING
\tName: bluez_output.AA_BB_CC
\tDescription: WH-1000XM4
\tDriver: PipeWire
\tMonitor Source: bluez_output.AA_BB_CC.monitor
\tProperties:
\t\tdevice.form_factor = "headset"
\tActive Port: headset-output

Sink #62
\tName: alsa_output.usb-Generic_Monitor.hdmi
\tDescription: DELL U2720Q
\tDriver: module-alsa-card.c
\tActive Port: hdmi-output-0

Sink #63
\tName: cable
\tDescription: VB cable
\tDriver: PipeWire
"""


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pactl that prints what a laptop's would; `port` beside it says what is plugged in."""
    (tmp_path / "sinks").write_text(LAPTOP_SINKS)
    (tmp_path / "port").write_text("analog-output-speaker")
    program = tmp_path / "pactl"
    program.write_text(
        "#!/bin/sh\n"
        f'cd "{tmp_path}"\n'
        'case "$*" in\n'
        '  "list sinks") sed "s/{port}/$(cat port)/" sinks ;;\n'
        '  info) printf "Server Name: x\\nDefault Sink: alsa_output.pci-0000_00_1f.3.'
        'analog-stereo\\nDefault Source: none\\n" ;;\n'
        "  *) echo No such entity >&2; exit 1 ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_devices_are_read_from_what_pactl_prints(laptop: Path) -> None:
    sinks = sound_server.devices("output")
    assert [sink.index for sink in sinks] == [48, 61, 62, 63]
    first = sinks[0]
    assert first.name == "alsa_output.pci-0000_00_1f.3.analog-stereo"
    assert first.description == "Built-in Audio Analog Stereo"
    assert first.monitor_name == first.name + ".monitor"
    assert (first.port, first.driver) == ("analog-output-speaker", "PipeWire")
    assert first.properties["device.class"] == "sound"
    assert sinks[1].properties == {"device.form_factor": "headset"}
    assert sound_server.default_device("output") == first.name
    with pytest.raises(PulseError, match="pactl list: No such entity"):
        sound_server.devices("input")


def test_loudspeakers_are_warned_of(laptop: Path) -> None:
    for name in (None, "Built-in Audio Analog Stereo", "DELL U2720Q"):
        warning = echo_warning(name)
        assert warning is not None and "use headphones" in warning
    assert "DELL U2720Q looks like loudspeakers" in str(echo_warning("DELL U2720Q"))


def test_headphones_and_virtual_cables_are_not(laptop: Path) -> None:
    for name in ("WH-1000XM4", "bluez_output.AA_BB_CC", "cable"):
        assert echo_warning(name) is None
    (laptop / "port").write_text("analog-output-headphones")
    assert echo_warning(None) is None


def test_without_a_sound_server_names_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert echo_warning(None) is None
    assert echo_warning("CABLE Input (VB-Audio Virtual Cable)") is None
    assert echo_warning("BlackHole 2ch") is None
    assert echo_warning("Headphones (Realtek)") is None
    assert echo_warning("Speakers (Realtek)") is not None


def test_null_sinks_make_no_sound(pulse: PrivatePulse) -> None:
    assert echo_warning("voice_out") is None
    assert echo_warning(None) is None


def test_a_voice_that_would_go_round_for_ever(pulse: PrivatePulse) -> None:
    pulse.pactl("set-default-sink", "voice_out")
    for source in ("monitor", "monitor:voice_out", "mic:voice_out.monitor"):
        for output in (None, "voice_out"):
            assert "go round for ever" in str(feedback_problem(source, output))
        assert feedback_problem(source, "voice_in") is None
    for source in ("mic", "mic:voice_in.monitor", "silence", "ws", "monitor:voice_in"):
        assert feedback_problem(source, "voice_out") is None


def test_a_watch_counts_plugs_and_ends_with_its_server(pulse: PrivatePulse) -> None:
    watch = PulseWatch()
    deadline = time.monotonic() + 30.0
    modules: list[str] = []
    # Until pactl has subscribed nothing is counted, so it is told again.
    while watch.count == 0 and time.monotonic() < deadline:
        modules.append(pulse.add_sink(f"sink{len(modules)}"))
        time.sleep(0.2)
    assert watch.count > 0 and watch.alive
    before = watch.count
    pulse.remove(modules[0])
    while watch.count == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert watch.count > before
    before = watch.count
    pulse.kill()
    while watch.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    watch.close()
    watch.close()
    assert not watch.alive and watch.count > before
