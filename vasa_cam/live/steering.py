"""What control commands change: the face's controls, and where an avatar comes from."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vasa_cam.avatar.file import Avatar, load_avatar
from vasa_cam.errors import InputError
from vasa_cam.motion.controls import Controls

AVATAR_SUFFIX: Final = ".vasa"
_ENROL_TIMEOUT_S: Final = 120.0


def steer(controls: Controls, command: Mapping[str, Any]) -> Controls:
    """The controls after a checked command: gaze, distance, emotion, expressiveness or blinks."""
    name = command["command"]
    if name == "gaze":
        return replace(controls, gaze_deg=(command["x"], command["y"]))
    if name == "distance":
        return replace(controls, distance=command["value"])
    if name == "emotion":
        return replace(controls, emotion={command["name"]: command["amount"]})
    if name == "expressiveness":
        return replace(controls, **{command["part"]: command["value"]})
    if name == "blinks":
        return replace(controls, blinks=command["value"])
    raise ValueError(f"steer: {name!r} does not change the face")


STEERING: Final = frozenset({"gaze", "distance", "emotion", "expressiveness", "blinks"})
"""Commands that `steer` takes."""


def avatar_opener(path: Path, models: Path | None = None) -> Callable[[], Avatar]:
    """What gives the avatar of a `.vasa` file, read now, or of a photo, enrolled when it is called.

    models: folder with MediaPipe's model files, None for the usual one. Raises InputError for a
    file that is missing or no avatar; what is wrong with a photo is found when it is enrolled.
    """
    if path.suffix.lower() == AVATAR_SUFFIX:
        avatar = load_avatar(path)
        return lambda: avatar
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a .vasa avatar or a photo.")
    return lambda: _enrol_elsewhere(path, models)


def _enrol_elsewhere(photo: Path, models: Path | None) -> Avatar:
    """Enrol in a process of its own: the tracker would hold up frames and stay in memory."""
    with tempfile.TemporaryDirectory(prefix="vasa-cam-") as folder:
        target = Path(folder) / f"avatar{AVATAR_SUFFIX}"
        command = [sys.executable, "-m", "vasa_cam", "enrol", str(photo.resolve())]
        command += ["-o", str(target)]
        command += [] if models is None else ["--models", str(models.resolve())]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=_ENROL_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"{photo} could not be enrolled within {_ENROL_TIMEOUT_S:.0f} s; "
                "enrol it beforehand with vasa-cam enrol."
            ) from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["the enrolment failed"]
            raise InputError(lines[-1].removeprefix("vasa-cam: "))
        return load_avatar(target)
