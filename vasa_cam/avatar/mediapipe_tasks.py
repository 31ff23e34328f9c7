"""MediaPipe Tasks, started late and quietly.

MediaPipe brings OpenCV; both need libGL, libEGL and libGLESv2 from the system, which bare servers
lack, and both take a second to import. So they are imported here, when a photo is enrolled or a
video tracked, and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import MissingDependencyError

U8 = npt.NDArray[np.uint8]


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what C++ code writes to file descriptor 2 to nowhere; Python's own stderr included.

    MediaPipe logs its start-up from C++ before any logging option is read.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all: nothing to silence
        yield
        return
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def _explained(error: BaseException) -> MissingDependencyError:
    if isinstance(error, ModuleNotFoundError):
        return MissingDependencyError(
            f"The Python package {error.name} is missing; install it with: pip install mediapipe"
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return MissingDependencyError(
        f"MediaPipe cannot start ({reason}); on Debian or Ubuntu install its system libraries "
        "with: apt-get install libgl1 libegl1 libgles2 libglib2.0-0"
    )


def load_cv2() -> ModuleType:
    """OpenCV, as mediapipe brings it. Raises MissingDependencyError naming what to install."""
    try:
        import cv2
    except (ImportError, OSError) as error:
        raise _explained(error) from error
    return cv2


def load_tasks() -> tuple[Any, Any]:
    """The modules (mediapipe, mediapipe.tasks.python.vision).

    Raises MissingDependencyError naming the Debian packages when a system library is missing.
    """
    try:
        with quiet_stderr():
            import mediapipe
            from mediapipe.tasks.python import vision
    except (ImportError, OSError) as error:
        raise _explained(error) from error
    return mediapipe, vision


def task_image(rgb: U8) -> Any:
    """uint8 [H, W, 3] as MediaPipe's image type."""
    mediapipe, _ = load_tasks()
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
