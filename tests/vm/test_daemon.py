"""The whole program on real devices: sound card and camera are the kernel's, nothing is ours.

The virtual machine is slow, so the picture is small and its rate low; what is judged is that the
avatar is there and moves, by a face tracker on this machine, and that the latency can be measured.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from virtual_machine import REPOSITORY, VirtualMachine

import vasa_cam
from vasa_cam.avatar.video_faces import find_faces

pytestmark = [pytest.mark.vm, pytest.mark.slow]

SIDE = 256
FRAMES = 60
LIMIT_S = 1500
UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER = 13, 14, 61, 291

START = """
set -u
export PYTHONPATH={package} PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/run/tmp/h
# Emulated wide vectors are slower than none.
export VASA_CAM_SIMD=baseline
cd /mnt
vasa_cam() {{ {python} -m vasa_cam "$@"; }}
fail() {{
  echo "$1"
  cat live.log
  exit 1
}}
started() {{ # started WORD: returns when the daemon has said it
  until grep -q "$1" live.log; do
    kill -0 $daemon 2>/dev/null || fail "it has ended"
    sleep 1
  done
}}
look() {{ # look NAME: reads frames from the camera as any program does
  timeout 300 v4l2-ctl -d /dev/video10 --stream-mmap=2 --stream-count={frames} \\
    --stream-to=/dev/shm/look.i420 >look.log 2>&1 || fail "$(tail -3 look.log)"
  mv /dev/shm/look.i420 $1.i420
}}
finish() {{ # finish NAME: what it says about itself; the end
  vasa_cam ctl --json status >$1.json
  vasa_cam ctl stop
  wait $daemon || fail "it ended with $?"
}}
"""

FROM_FILE_AND_MICROPHONE = """
live() {{
  : >live.log
  vasa_cam live --no-tui --no-preview --size {side}x{side} --fps 10 "$@" >live.log 2>&1 &
  daemon=$!
  started control:
}}
live --source file:speech.wav --loop
vasa_cam devices >devices.txt
vasa_cam doctor --no-listen --json >doctor.json
look file
finish file
# The other end of the kernel's sound cable, through ALSA alone.
(while :; do aplay -q -D hw:Loopback,0,0 -f S16_LE -r 48000 -c 2 speech48.raw; done) &
player=$!
live --source "mic:Loopback PCM (hw:0,1)"
look microphone
finish microphone
kill $player
exit 0
"""

LATENCY = """
cat >live.toml <<TOML
[audio]
source = "mic:cable_out"
[video]
width_px = {side}
height_px = {side}
fps = 10
[outputs]
preview = false
[voice]
virtual_mic = true
TOML
pulseaudio -n --daemonize=yes --exit-idle-time=-1 --disallow-exit --realtime=no \\
  -L "module-native-protocol-unix auth-anonymous=1" \\
  -L "module-alsa-sink device=hw:Loopback,0,0 sink_name=cable_in rate=48000 tsched=0" \\
  -L "module-alsa-source device=hw:Loopback,1,0 source_name=cable_out rate=48000 tsched=0" ||
  fail "no sound server"
: >live.log
{python} light_live.py live.toml >live.log 2>&1 &
daemon=$!
started started
sleep 20
vasa_cam latency --json --play cable_in --listen mic:cable_out >latency.json 2>latency.log ||
  fail "$(cat latency.log)"
finish latency-status
exit 0
"""

OUTPUT_TESTS = """
cd {repository}/tests
exec {python} -m pytest -q -p no:cacheprovider --basetemp=/run/tmp/b output/test_v4l2.py
"""


@pytest.fixture
def share(tmp_path: Path, ffmpeg: Callable[..., bytes]) -> Path:
    """The folder that the machine sees, with speech in it."""
    source = resources.files("vasa_cam") / "assets" / "demo_speech.flac"
    with resources.as_file(source) as speech:
        ffmpeg("-i", speech, tmp_path / "speech.wav")
        shutil.copy(REPOSITORY / "tests" / "vm" / "light_live.py", tmp_path)
        ffmpeg("-i", speech, "-f", "s16le", "-ar", 48_000, "-ac", 2, tmp_path / "speech48.raw")
    return tmp_path


def _run(machine: VirtualMachine, share: Path, what: str) -> str:
    script = (START + what).format(
        package=Path(vasa_cam.__file__).parents[1],
        python=sys.executable,
        repository=REPOSITORY,
        side=SIDE,
        frames=FRAMES,
    )
    run = machine.run(script, share, LIMIT_S)
    assert run.exit_code == 0, run.log
    return run.log


def _assert_a_talking_face(raw: Path, models: Path) -> None:
    """A face tracker finds one face in every frame, and its lips open and close."""
    video = raw.with_suffix(".mkv")
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    command += ["-s", f"{SIDE}x{SIDE}", "-r", "10", "-i", str(raw), "-c:v", "ffv1", str(video)]
    subprocess.run(command, check=True)
    faces = find_faces(video, models)
    points = faces.landmarks_px
    assert np.isfinite(points).all() and len(points) > FRAMES // 2
    width = np.linalg.norm(points[:, LEFT_CORNER] - points[:, RIGHT_CORNER], axis=1)
    opening = np.linalg.norm(points[:, UPPER_LIP] - points[:, LOWER_LIP], axis=1) / width
    assert opening.min() < 0.06 and opening.max() > 0.12, opening.round(2)
    assert opening.std() > 0.02


def test_from_a_file_and_from_a_sound_card_to_a_camera(
    machine: VirtualMachine, share: Path, shared: Path
) -> None:
    log = _run(machine, share, FROM_FILE_AND_MICROPHONE)
    for name in ("file", "microphone"):
        _assert_a_talking_face(share / f"{name}.i420", shared / "models")
        status = json.loads((share / f"{name}.json").read_text())
        assert status["state"]["motion_problem"] == "" and status["source"]["problem"] == ""
        assert [one["name"] for one in status["sinks"]] == ["webcam"]
        print(name, {key: status[key] for key in ("hops_ms", "delay_ms", "cpu_cores")})
    devices = (share / "devices.txt").read_text()
    assert "/dev/video10" in devices and "vasa_cam" in devices and "Loopback" in devices
    doctor = {one["name"]: one for one in json.loads((share / "doctor.json").read_text())}
    assert "/dev/video11" in doctor["webcam"]["found"] + doctor["webcam"]["remedy"], doctor
    assert "Traceback" not in log


def test_the_latency_is_measured_on_real_devices(machine: VirtualMachine, share: Path) -> None:
    _run(machine, share, LATENCY)
    report = json.loads((share / "latency.json").read_text())
    print(report)
    assert report["follows"] > 0.62
    # Emulation takes its time; a sum without look-ahead and delay would be less than this.
    assert 100 < report["picture_ms"] < 3000
    assert 100 < report["voice_ms"] < 3000


def test_the_camera_output_passes_its_own_tests(machine: VirtualMachine, share: Path) -> None:
    log = _run(machine, share, OUTPUT_TESTS)
    assert " passed" in log and " failed" not in log, log
    print(log[-300:])
