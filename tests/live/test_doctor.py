"""Devices and doctor against a sound server of our own and a made-up folder of devices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli
from pulse import PrivatePulse

from vasa_cam.live import devices, doctor
from vasa_cam.live.config import LiveConfig
from vasa_cam.live.doctor import Finding, examine, judge_level


def test_devices_of_a_sound_server_are_listed_with_their_roles(pulse: PrivatePulse) -> None:
    found = {one.name: one for one in devices.server_devices() or []}
    assert found["voice_in"].direction == "output" and not found["voice_in"].monitor
    assert found["voice_in.monitor"].direction == "input" and found["voice_in.monitor"].monitor
    assert sum(one.default for one in found.values()) == 2
    assert "pulse" in (devices.sound_server() or "").lower()
    names = [one.name for one in devices.sound_devices()]
    assert "pulse" in names


def test_the_command_lists_them_too(pulse: PrivatePulse, tmp_path: Path) -> None:
    done = run_cli("devices", cwd=tmp_path, **pulse.environment)
    assert done.returncode == 0, done.stderr
    assert "voice_in.monitor" in done.stdout and "default" in done.stdout


def test_cameras_are_found_by_their_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that are no video devices after all, or may not be opened: told, never a traceback."""
    for number, name in ((10, "vasa_cam"), (2, "Integrated Camera")):
        node = tmp_path / "class" / f"video{number}"
        node.mkdir(parents=True)
        (node / "name").write_text(f"{name}\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "video2").write_bytes(b"no device")
    monkeypatch.setattr(devices, "_VIDEO_CLASS", tmp_path / "class")
    monkeypatch.setattr(devices, "_DEV", tmp_path / "dev")
    found = devices.cameras()
    assert [(one.name, Path(one.path).name) for one in found] == [
        ("Integrated Camera", "video2"),
        ("vasa_cam", "video10"),
    ]
    assert all(one.problem for one in found)


def test_levels_of_a_microphone(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 1, 16_000).astype(np.float32)
    for samples, state, says in (
        (0 * noise, "note", "unmute it"),
        (1e-4 * noise, "note", "turn its level up"),
        (0.05 * noise, "good", ""),
        (np.clip(noise, -1, 1), "note", "turn its level down"),
    ):
        finding = judge_level("mic", samples)
        assert finding.state == state and says in finding.remedy, finding


def test_the_microphone_is_really_listened_to(pulse: PrivatePulse) -> None:
    """A null sink's monitor is silent, and doctor says so."""
    config = LiveConfig()
    config = replace(config, audio=replace(config.audio, source="mic:voice_in.monitor"))
    findings = {one.name: one for one in examine(config)}
    assert "pure silence" in findings["microphone"].found
    assert findings["sound server"].state == "good"
    assert {one.state for one in findings.values()} <= {"good", "note"}


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise RuntimeError("a defect")

    monkeypatch.setattr(doctor, "_clock", broken)
    findings = {one.name: one for one in examine(listen=False)}
    assert findings["clock"].state == "bad" and "a defect" in findings["clock"].found


def test_exit_codes_of_doctor(pulse: PrivatePulse, tmp_path: Path) -> None:
    good = run_cli("doctor", "--json", cwd=tmp_path, **pulse.environment)
    assert good.returncode == 0, good.stdout
    assert [one["name"] for one in json.loads(good.stdout)][:2] == ["Python", "native core"]
    nothing = {"XDG_RUNTIME_DIR": str(tmp_path), "PULSE_SERVER": f"unix:{tmp_path}/none"}
    bad = run_cli("doctor", "--no-listen", cwd=tmp_path, **nothing)
    assert bad.returncode in (0, 3)
    assert ("bad " in bad.stdout) == (bad.returncode == 3)
