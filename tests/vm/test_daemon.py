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

# Software emulation takes minutes for each: `make soak`, not `make test`.
pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.soak]

SIDE = 256
LIMIT_S = 1500
UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER, NOSE = 13, 14, 61, 291, 1

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
  until grep -q "^$1" live.log; do
    kill -0 $daemon 2>/dev/null || fail "it has ended"
    sleep 1
  done
}}
light() {{ # light SOURCE SIDE: the program with a jaw that follows the loudness
  printf '[audio]\\nsource = "%s"\\nblock_ms = 40\\n[video]\\nwidth_px = %s\\nheight_px = %s
fps = 10\\n[outputs]\\npreview = false\\nwebcam_device = "/dev/video10"\\n' "$1" $2 $2 >live.toml
  : >live.log
  {python} light_live.py live.toml >live.log 2>&1 &
  daemon=$!
  started started
}}
look() {{ # look NAME COUNT: reads frames from the camera as any program does
  timeout 300 v4l2-ctl -d /dev/video10 --stream-mmap=2 --stream-count=$2 \\
    --stream-to=/dev/shm/look.i420 >look.log 2>&1 || fail "$(tail -3 look.log)"
  mv /dev/shm/look.i420 $1.i420
}}
finish() {{ # finish NAME: what it says about itself; the end
  vasa_cam ctl --json status >$1.json
  vasa_cam ctl stop
  wait $daemon || fail "it ended with $?"
}}
"""

# The network needs half a minute for a second of speech there: a picture that moves now and then.
WITH_THE_NETWORK = """
: >live.log
vasa_cam live --no-tui --no-preview --size {side}x{side} --fps 2 --source file:speech.wav --loop \\
  --webcam-device /dev/video10 >live.log 2>&1 &
daemon=$!
started control:
vasa_cam devices >devices.txt
vasa_cam doctor --no-listen --json >doctor.json
look network {count}
finish network
exit 0
"""

# The other end of the kernel's sound cable, through ALSA alone.
FROM_SOUND_CARD = """
light "mic:Loopback: PCM (hw:0,1)" {side}
(while :; do
  aplay -q -D plughw:Loopback,0,0 -f S16_LE -r 48000 -c 2 speech48.raw
done) 2>aplay.log &
player=$!
look card {count}
kill $player
finish card
exit 0
"""

LATENCY = """
# Long fragments: emulation serves no short ones in time.
buffers="rate=48000 tsched=0 fragments=4 fragment_size=19200"
pulseaudio -n --daemonize=yes --exit-idle-time=-1 --disallow-exit --realtime=no \\
  -L "module-native-protocol-unix auth-anonymous=1" \\
  -L "module-alsa-sink device=hw:Loopback,0,0 sink_name=cable_in $buffers" \\
  -L "module-alsa-source device=hw:Loopback,1,0 source_name=cable_out $buffers" ||
  fail "no sound server"
light mic:cable_out 128
sleep 15
vasa_cam latency --json --config live.toml --against loudness \\
  --play cable_in --listen mic:cable_out >latency.json 2>latency.log ||
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


def _run(machine: VirtualMachine, share: Path, what: str, count: int = 0) -> str:
    script = (START + what).format(
        package=Path(vasa_cam.__file__).parents[1],
        python=sys.executable,
        repository=REPOSITORY,
        side=SIDE,
        count=count,
    )
    run = machine.run(script, share, LIMIT_S)
    assert run.exit_code == 0, run.log
    assert "Traceback" not in run.log
    return run.log


def _track(raw: Path, models: Path) -> np.ndarray:
    """Landmarks float32 [T, 478, 2] of the frames in a raw file; a face is in every one."""
    video = raw.with_suffix(".mkv")
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    command += ["-s", f"{SIDE}x{SIDE}", "-r", "10", "-i", str(raw), "-c:v", "ffv1", str(video)]
    subprocess.run(command, check=True)
    points = find_faces(video, models).landmarks_px
    assert np.isfinite(points).all()
    return points[..., :2]


def test_the_whole_program_feeds_the_camera(
    machine: VirtualMachine, share: Path, shared: Path
) -> None:
    _run(machine, share, WITH_THE_NETWORK, count=160)
    status = json.loads((share / "network.json").read_text())
    print({key: status[key] for key in ("hops_ms", "delay_ms", "counters")})
    assert status["state"]["motion"] == "voice" and status["state"]["motion_problem"] == ""
    assert status["state"]["drawing_way"] == 0 and status["source"]["problem"] == ""
    assert [one["name"] for one in status["sinks"]] == ["webcam"]
    points = _track(share / "network.i420", shared / "models")
    # It is the same face all the time, and neither head nor lips keep still.
    assert 0.3 < points[:, NOSE].std(axis=0).max() < 12
    assert _opening(points).std() > 0.01
    devices = (share / "devices.txt").read_text()
    assert "/dev/video10" in devices and "vasa_cam" in devices and "Loopback" in devices
    doctor = {one["name"]: one for one in json.loads((share / "doctor.json").read_text())}
    assert "/dev/video11" in doctor["webcam"]["found"] + doctor["webcam"]["remedy"], doctor


def test_a_sound_card_moves_the_lips(machine: VirtualMachine, share: Path, shared: Path) -> None:
    _run(machine, share, FROM_SOUND_CARD, count=100)
    status = json.loads((share / "card.json").read_text())
    print({key: status[key] for key in ("hops_ms", "delay_ms", "counters")})
    assert status["source"]["problem"] == "" and "Loopback" in status["source"]["name"]
    opening = _opening(_track(share / "card.i420", shared / "models"))
    assert opening.min() < 0.06 and opening.max() > 0.15, opening.round(2)
    # Speech, not one long vowel: it opens and closes again and again.
    assert np.count_nonzero(np.diff(opening > np.median(opening))) >= 6, opening.round(2)


def _opening(points: np.ndarray) -> np.ndarray:
    """How far the lips are apart, in widths of the mouth."""
    width = np.linalg.norm(points[:, LEFT_CORNER] - points[:, RIGHT_CORNER], axis=1)
    return np.linalg.norm(points[:, UPPER_LIP] - points[:, LOWER_LIP], axis=1) / width


def test_the_latency_is_measured_on_real_devices(machine: VirtualMachine, share: Path) -> None:
    _run(machine, share, LATENCY)
    report = json.loads((share / "latency.json").read_text())
    print(report)
    assert report["follows"] > 0.62
    # Emulation takes its time; a sum without look-ahead and delay would be less than this.
    assert 60 < report["picture_ms"] < 3000


def test_the_camera_output_passes_its_own_tests(machine: VirtualMachine, share: Path) -> None:
    log = _run(machine, share, OUTPUT_TESTS)
    assert " passed" in log and " failed" not in log, log
    print(log[-300:])
