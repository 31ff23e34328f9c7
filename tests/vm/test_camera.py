"""The camera output on real loopback cameras: an even 40 frames a second, again and again.

The virtual machine is too slow to draw at that rate, so the frames are drawn here beforehand.
"""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from virtual_machine import REPOSITORY, VirtualMachine

import vasa_cam
from vasa_cam.avatar.file import load_avatar
from vasa_cam.motion.space import INDEX, neutral
from vasa_cam.ops import pixel
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

pytestmark = [pytest.mark.vm, pytest.mark.slow]

SIZES = ((512, 512), (1280, 720))
FRAMES = 20
FPS = 40.0
LIMIT_S = 1200
WARM_UP = 20
# Sequence number, size and time of each frame that v4l2-ctl got from the driver.
_FRAME = re.compile(r"^cap dqbuf: .* seq: +(\d+) bytesused: (\d+) ts: ([\d.]+)", re.MULTILINE)

SCRIPT = """
set -u
export PYTHONPATH={package} PYTHONDONTWRITEBYTECODE=1
cd /mnt
feed() {{ # feed DEVICE WIDTH HEIGHT: returns once frames come
  mkfifo /run/ready
  {python} feed_camera.py "$1" "$2" "$3" {fps} "frames-$2x$3.i420" >/run/ready 2>"feeder.err" &
  feeder=$!
  read -r word </run/ready
  rm /run/ready
  [ "$word" = feeding ] || {{ cat feeder.err; exit 1; }}
}}
end() {{ # end SIGNAL
  kill "-$1" "$feeder"
  wait "$feeder" 2>/dev/null
}}
look() {{ # look NAME DEVICE COUNT [MORE]
  name=$1 device=$2 count=$3
  shift 3
  timeout 300 v4l2-ctl -d "$device" --verbose --stream-mmap=2 --stream-count="$count" "$@" \\
    >"$name.txt" 2>&1 || {{ tail -3 "$name.txt"; exit 1; }}
}}
steady() {{ # steady NAME: whether that look was within half a frame a second
  awk '/^cap dqbuf/ {{ sub(/.* seq: */, ""); if (++n <= {warm_up}) next
    if (n == {warm_up} + 1) {{ first = $1; from = $5 }}
    last = $1; to = $5 }}
    END {{ rate = (last - first) / (to - from); exit !(rate > 39.5 && rate < 40.5) }}' "$1.txt"
}}
for device in /dev/video10 /dev/video11; do
  number=${{device#/dev/video}}
  for size in "512 512" "1280 720"; do
    set -- $size
    feed $device $1 $2
    # Emulation on a busy machine stumbles; short looks are taken again, long ones are not.
    for attempt in {attempts}; do
      look rate-$number-$1x$2 $device {count}
      steady rate-$number-$1x$2 && break
    done
    end TERM
    feed $device $1 $2
    look again-$number-$1x$2 $device 40 --stream-to=/dev/shm/again.i420
    mv /dev/shm/again.i420 again-$number-$1x$2.i420
    end KILL
    feed $device $1 $2
    timeout 300 ffmpeg -v error -f v4l2 -i $device -fps_mode passthrough \\
      -frames:v 12 -f rawvideo -pix_fmt yuv420p \\
      -y /dev/shm/killed.i420 || exit 1
    mv /dev/shm/killed.i420 killed-$number-$1x$2.i420
    end KILL
  done
done
exit 0
"""


def _draw_frames(width: int, height: int) -> np.ndarray:
    """The built-in avatar opens its mouth: uint8 [FRAMES, H * 3 / 2, W]."""
    renderer = LayeredRenderer(RenderConfig(width, height))
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        state = renderer.prepare(load_avatar(path))
    motion = neutral(FRAMES)
    motion[:, INDEX["jawOpen"]] = np.linspace(0.0, 0.6, FRAMES)
    return np.stack([pixel(renderer.render(state, one), "i420") for one in motion])


def _place(frames: np.ndarray, one: np.ndarray) -> tuple[int, bool]:
    """Which frame was read, and whether whole: uint8 [FRAMES, rows, W], [rows, W].

    The driver has two buffers: a reader that looks at one for longer than a frame lasts sees the
    next but one being written over it, a slower one even the one after that. So every row is one
    of a frame that was written, except where a write was just going on.
    """
    same = (frames == one).all(axis=2)  # [FRAMES, rows]
    strange = np.count_nonzero(~same.any(axis=0))
    assert strange <= 4, f"{strange} rows were read that nobody wrote"
    rows = same.sum(axis=1)
    return int(rows.argmax()), int(rows.max()) == len(one)


def _assert_follows(frames: np.ndarray, read: np.ndarray) -> None:
    """What was read are the frames that were written, in their order.

    A reader that stumbles misses frames, sees some torn, or finds a newer one where the one that it
    was given has been overwritten, and the next seems a step back. That must stay the exception.
    """
    places = [_place(frames, one) for one in read]
    steps = np.diff([number for number, _ in places]) % FRAMES
    forward = (steps >= 1) & (steps < FRAMES / 2)
    assert 1 <= np.median(steps) <= 3, places
    assert forward.mean() >= 0.6, places
    assert np.mean([whole for _, whole in places]) >= 0.5, places


def _check(machine: VirtualMachine, folder: Path, seconds: int, attempts: str) -> None:
    drawn = {}
    for width, height in SIZES:
        frames = _draw_frames(width, height)
        frames.tofile(folder / f"frames-{width}x{height}.i420")
        drawn[width, height] = frames
    program = REPOSITORY / "tests" / "vm" / "feed_camera.py"
    (folder / "feed_camera.py").write_bytes(program.read_bytes())
    script = SCRIPT.format(
        package=Path(vasa_cam.__file__).parents[1],
        python=sys.executable,
        fps=FPS,
        count=round(seconds * FPS) + WARM_UP,
        warm_up=WARM_UP,
        attempts=attempts,
    )
    run = machine.run(script, folder, LIMIT_S)
    assert run.exit_code == 0, run.log
    for camera in (10, 11):
        for (width, height), frames in drawn.items():
            name = f"{camera}-{width}x{height}"
            seen = _FRAME.findall((folder / f"rate-{name}.txt").read_text())
            assert len(seen) == round(seconds * FPS) + WARM_UP
            assert {int(size) for _, size, _ in seen} == {width * height * 3 // 2}
            times_s = np.array([float(time_s) for _, _, time_s in seen[WARM_UP:]])
            numbers = np.array([int(number) for number, _, _ in seen[WARM_UP:]])
            rate = (numbers[-1] - numbers[0]) / (times_s[-1] - times_s[0])
            print(f"{name}: {rate:.2f} frames a second, {len(seen)} read")
            assert abs(rate - FPS) <= 0.5, f"{name}: {rate:.2f} frames a second"
            for kind in ("again", "killed"):
                raw = np.fromfile(folder / f"{kind}-{name}.i420", np.uint8)
                _assert_follows(frames, raw.reshape(-1, *frames.shape[1:]))


def test_frames_come_evenly_through_stop_restart_and_kill(
    machine: VirtualMachine, tmp_path: Path
) -> None:
    _check(machine, tmp_path, seconds=6, attempts="1 2 3 4")


@pytest.mark.soak
def test_frames_come_evenly_for_a_minute(machine: VirtualMachine, tmp_path: Path) -> None:
    _check(machine, tmp_path, seconds=60, attempts="1")
