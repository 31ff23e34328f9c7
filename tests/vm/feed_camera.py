"""Runs in the virtual machine: writes I420 frames from a file to a camera, evenly, for ever.

Usage: feed_camera.py DEVICE WIDTH HEIGHT FPS FRAMES.i420
"""

from __future__ import annotations

import sys
import time

import numpy as np

from vasa_cam.output.v4l2 import I420_FOURCC, V4l2Camera


def main() -> None:
    """Each frame is due at its own time; one that is late is sent at once, none is left out."""
    device, width, height, fps, path = sys.argv[1:]
    size = (int(width), int(height))
    frames = np.fromfile(path, np.uint8).reshape(-1, size[0] * size[1] * 3 // 2)
    camera = V4l2Camera(
        width=size[0], height=size[1], fps=float(fps), fourcc=I420_FOURCC, device=device
    )
    period_ns = round(1e9 / float(fps))
    due_ns, number = time.monotonic_ns(), 0
    while True:
        camera.send(frames[number % len(frames)])
        if number == 0:  # the reader may look
            print("feeding", flush=True)
        number += 1
        due_ns += period_ns
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)


main()
