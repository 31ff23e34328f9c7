"""The commands around the live avatar, as processes: what one gets wrong, and what is right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pytest
from command_line import run_cli

import vasa_cam
from vasa_cam.live.config import LiveConfig
from vasa_cam.live.config_file import parse_config

SPEECH = Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac"))
PATIENCE_S = 60.0
# A machine without camera, microphone and browser: the picture goes into a file.
ALONE = ("--no-webcam", "--no-preview", "--size", "128x128", "--fps", "25")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime folder of this test's own, so that no daemon of the machine is met."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def _live(folder: Path, runtime: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`vasa-cam live ARGUMENTS`, once it can be controlled; stopped the hard way if need be."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vasa_cam", "live", *arguments],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(Path(vasa_cam.__file__).parents[1]),
            "XDG_RUNTIME_DIR": str(runtime),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        give_up = time.monotonic() + PATIENCE_S
        while not (runtime / "vasa-cam" / "control.json").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def _assert_refused(done: subprocess.CompletedProcess[str], says: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("vasa-cam: "), done.stderr
    assert says in lines[0], lines[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["live", "--source", "radio"], "'radio' is not a source"),
        (["live", "--source", "file:none.wav"], "none.wav"),
        (["live", "--source", "mic:no such microphone"], "microphone"),
        (["live", "--fps", "500"], "video.fps must be 1 to 60"),
        (["live", "--size", "129x128"], "must be even"),
        (["live", "--size", "big"], "'big' is not understood"),
        (["live", "--background", "none.png", "--no-webcam"], "none.png"),
        (["live", "--weights", "nowhere", "--no-webcam", "--source", "silence"], "encoder weights"),
        (["live", "--style", "none.csv", "--no-webcam", "--source", "silence"], "none.csv"),
        (["live", "--panic", "hide"], "one of freeze, photo, black, real-camera"),
        (["live", "--config", "none.toml"], "none.toml"),
        (["live", "--config", "bad.toml"], "did you mean fps?"),
        (["live", "--port", "99999"], "0 to 65535"),
        (["live", "none.vasa"], "none.vasa"),
        (["live", "--record", "talk.avi", "--no-webcam"], "talk.avi"),
        (["live", "--record", "nowhere/talk.mp4", "--no-webcam"], "nowhere"),
        (["live", "--metrics", "nowhere/m.jsonl", "--no-webcam", "--source", "silence"], "nowhere"),
        (["live", "--no-webcam", "--no-preview"], "there is no output"),
        (["live", "--virtual-mic", "--voice-out", "3", "--no-webcam"], "either --virtual-mic or"),
        (["live", "--voice-out", "no such output", "--no-webcam"], "output"),
        (["live", "--source", "ws", *ALONE, "--record", "a.mp4"], "preview server"),
        (["ctl", "pause"], "vasa-cam live is not running"),
        (["ctl", "gase", "1", "2"], "did you mean gaze?"),
        (["ctl", "gaze", "10"], "gaze needs y"),
        (["ctl", "gaze", "10", "-5", "3"], "gaze takes X Y"),
        (["ctl", "gaze", "10", "up"], "y must be a number"),
        (["ctl", "gaze", "90", "-5"], "x must be -35 to 35"),
        (["ctl", "emotion", "bored"], "one of neutral"),
        (["ctl", "mirror", "maybe"], "must be on or off"),
        (["ctl", "stop", "now"], "stop takes no arguments"),
        (["config"], "vasa-cam config --show"),
        (["config", "bad.toml"], "did you mean fps?"),
        (["config", "none.toml", "--show"], "none.toml"),
        (["doctor", "--config", "bad.toml"], "did you mean fps?"),
        (["install-service", "none.vasa", "--dry-run"], "none.vasa"),
        (["install-service", "--config", "bad.toml", "--dry-run"], "did you mean fps?"),
        (["install-service", "--uninstall"], "no service to remove"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, runtime: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "bad.toml").write_text("[video]\nfsp = 30\n")
    config_home = tmp_path / "config"
    done = run_cli(
        *arguments, cwd=folder, XDG_RUNTIME_DIR=str(runtime), XDG_CONFIG_HOME=str(config_home)
    )
    _assert_refused(done, says)
    assert "Traceback" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["bad.toml"]


def test_what_config_shows_is_what_live_reads(tmp_path: Path) -> None:
    shown = run_cli("config", "--show", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert parse_config(shown.stdout) == LiveConfig()
    for words in ("fps = 40  # [frames a second, 1 to 60]", "[ms, 2 to 100]", "[degrees,"):
        assert words in shown.stdout
    (tmp_path / "my.toml").write_text("[video]\nfps = 25\n")
    mine = run_cli("config", "my.toml", "--show", cwd=tmp_path)
    assert parse_config(mine.stdout).video.fps == 25
    assert "good" in run_cli("config", "my.toml", cwd=tmp_path).stdout


@pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="this machine has a camera")
def test_a_missing_camera_is_told_once(tmp_path: Path, runtime: Path) -> None:
    arguments = ("--source", "silence", "--size", "128x128", "--seconds", "2", "--no-tui")
    done = run_cli("live", *arguments, cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no virtual camera") == 1, done.stderr
    assert "preview: http://127.0.0.1:" in done.stderr + done.stdout


def test_devices_and_doctor_say_what_there_is(tmp_path: Path, runtime: Path) -> None:
    listed = run_cli("devices", "--json", cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime))
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    assert set(found) == {"sound", "sound_problem", "sound_server", "cameras"}
    plain = run_cli("devices", cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime))
    for words in ("Microphones", "Outputs", "Cameras"):
        assert words in plain.stdout

    told = run_cli("doctor", "--json", "--no-listen", cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime))
    findings = {one["name"]: one for one in json.loads(told.stdout)}
    assert findings["native core"]["state"] == "good"
    assert "ms a frame" in findings["drawing"]["found"]
    for one in findings.values():
        # Either nothing is to be done, or it is said what.
        assert (one["remedy"] == "") == (one["state"] == "good"), one
        assert "check broke" not in one["found"], one
    usable = all(one["state"] != "bad" for one in findings.values())
    assert told.returncode == (0 if usable else 3)


def test_the_service_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    avatar = tmp_path / 'my "50 %" $HOME avatar.vasa'
    source = resources.files("vasa_cam") / "assets" / "astronaut.vasa"
    with resources.as_file(source) as built_in:
        avatar.write_bytes(built_in.read_bytes())
    done = run_cli("install-service", avatar.name, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f'"{sys.executable}" "-m" "vasa_cam" "live" "--no-tui"' in done.stdout
    assert 'my \\"50 %%\\" $$HOME avatar.vasa"' in done.stdout
    verify = subprocess.run(
        ["sh", "-c", "command -v systemd-analyze"], capture_output=True, check=False
    )
    if verify.returncode != 0:
        pytest.skip("systemd-analyze is not installed (Debian/Ubuntu: apt-get install systemd)")
    unit = tmp_path / "vasa-cam.service"
    unit.write_text(done.stdout)
    checked = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in checked.stderr.splitlines() if "vasa-cam.service" in line]
    assert complaints == [] and checked.returncode == 0, checked.stderr


def test_live_is_controlled_recorded_and_stopped(tmp_path: Path, runtime: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    arguments = (*ALONE, "--source", f"file:{SPEECH}", "--loop", "--record", "talk.mp4")
    weights = ("--weights", str(Path(vasa_cam.__file__).parent / "motion" / "weights"))
    with _live(
        tmp_path, runtime, *arguments, *weights, "--metrics", "m.jsonl", "--no-tui"
    ) as process:
        for words in (["gaze", "10", "-5"], ["emotion", "happy", "0.6"], ["pause"], ["panic"]):
            done = run_cli("ctl", *words, cwd=tmp_path, **environment)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
        status = json.loads(run_cli("ctl", "--json", "status", cwd=tmp_path, **environment).stdout)
        assert status["state"]["paused"] and status["state"]["panic"] == "photo"
        assert not status["state"]["motion_problem"]
        table = run_cli("ctl", "status", cwd=tmp_path, **environment)
        assert "recording" in table.stdout and "p95" in table.stdout
        refused = run_cli("ctl", "background", "none.png", cwd=tmp_path, **environment)
        _assert_refused(refused, "none.png")
        second = run_cli("live", *ALONE, "--record", "b.mp4", cwd=tmp_path, **environment)
        _assert_refused(second, f"running already (process {process.pid}); stop it")
        time.sleep(1.0)
        asked = time.monotonic()
        assert run_cli("ctl", "stop", cwd=tmp_path, **environment).returncode == 0
        out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        assert time.monotonic() - asked < PATIENCE_S
    assert "control: vasa-cam ctl" in errors and "Traceback" not in errors
    assert out == ""
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"talk.mp4", "m.jsonl"}
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert lines[-1]["counters"]["frames_shown"] > 0
    assert not (runtime / "vasa-cam" / "control.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_playable_file(
    number: signal.Signals, tmp_path: Path, runtime: Path
) -> None:
    import av

    arguments = (*ALONE, "--source", "silence", "--record", "talk.mkv", "--no-tui")
    with _live(tmp_path, runtime, *arguments) as process:
        time.sleep(1.5)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0 and "Traceback" not in errors, errors
    with av.open(str(tmp_path / "talk.mkv")) as file:
        assert sum(1 for _ in file.decode(video=0)) > 5


def test_live_needs_neither_torch_nor_mediapipe_nor_opencv(tmp_path: Path, runtime: Path) -> None:
    program = (
        "import sys; from vasa_cam.cli.app import main\n"
        f"sys.argv[1:] = {['live', '--no-webcam', '--source', 'silence', '--seconds', '2']}\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print([name for name in ('torch', 'mediapipe', 'cv2', 'scipy') if name in sys.modules])\n"
        "print('aiohttp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(Path(vasa_cam.__file__).parents[1]),
            "XDG_RUNTIME_DIR": str(runtime),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    # The second line: it really ran, preview and all.
    assert done.stdout.splitlines() == ["[]", "True"]


def test_a_killed_one_leaves_nothing_in_the_way(tmp_path: Path, runtime: Path) -> None:
    arguments = (*ALONE, "--source", "silence", "--record", "talk.mkv", "--no-tui")
    with _live(tmp_path, runtime, *arguments) as process:
        process.kill()
        process.wait()
    done = run_cli("ctl", "status", cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime))
    _assert_refused(done, "is not running")
    again = run_cli(
        "live", *arguments, "--seconds", "1", cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime)
    )
    assert again.returncode == 0, again.stderr
