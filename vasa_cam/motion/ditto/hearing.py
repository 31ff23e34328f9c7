"""What Ditto's generator hears: 1024 numbers a frame of a streaming HuBERT large.

The released weights were trained with one particular export of that encoder, which holds the state
of a first chunk inside (`hubert_streaming_fix_kv.onnx`): other weights of HuBERT large give other
numbers, so that file must come from the user. It is run by onnxruntime.

The sound is heard in windows of 6480 samples, 200 ms apart: 3 frames before, 5 that are given, and
2 frames and 80 samples after.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError, MissingDependencyError
from vasa_cam.motion.ditto.condition import SOUND_SIZE

Floats = npt.NDArray[np.float32]

FRAME_SAMPLES: Final = 640
BEFORE, GIVEN, AFTER = 3, 5, 2
WINDOW_SAMPLES: Final = (BEFORE + GIVEN + AFTER) * FRAME_SAMPLES + 80

Hearing = Callable[[Floats], Floats]
"""Takes a window of sound, float32 [6480]; gives its five frames, float32 [5, 1024]."""


def middle_frames(states: Floats) -> Floats:
    """The five frames that a window gives, float32 [5, n], of its states [20, n], two a frame."""
    kept = states[-2 * (GIVEN + AFTER) : -2 * AFTER]
    return np.asarray((kept[0::2] + kept[1::2]) / 2, np.float32)


def open_hearing(path: Path) -> Hearing:
    """The user's ONNX file of the encoder. Raises InputError when it is none.

    Raises MissingDependencyError without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "Ditto hears through onnxruntime: pip install onnxruntime."
        ) from error
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: expected hubert_streaming_fix_kv.onnx of Ditto's download."
        )
    try:
        session = onnxruntime.InferenceSession(str(path), providers=_providers(onnxruntime))
        name = session.get_inputs()[0].name
    except Exception as error:
        raise InputError(
            f"{path} could not be opened as an ONNX network ({error}): download it again."
        ) from error

    def hear(window: Floats) -> Floats:
        states = np.asarray(session.run(None, {name: window[None]})[0], np.float32)
        states = states.reshape(-1, states.shape[-1])
        if states.shape != (2 * (BEFORE + GIVEN + AFTER), SOUND_SIZE):
            raise InputError(
                f"{path} gives {list(states.shape)} numbers for a window, expected "
                f"[20, {SOUND_SIZE}]: use hubert_streaming_fix_kv.onnx of Ditto's download."
            )
        return middle_frames(states)

    return hear


def _providers(onnxruntime: Any) -> list[str]:
    """CUDA where onnxruntime has it, and the CPU."""
    known = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [name for name in known if name in onnxruntime.get_available_providers()]
