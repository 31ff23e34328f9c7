"""Make what `vasa-cam demo` ships: `python -m vasa_cam.training.build_demo_assets`.

- `assets/demo_speech.flac`: a sentence spoken by flite's voice "slt" (Debian and Ubuntu package
  flite; free speech synthesiser, its voices may be used for anything).
- `assets/astronaut.vasa`: scikit-image's astronaut, a NASA photograph of Eileen Collins in the
  public domain, enrolled. Needs scikit-image (extra `test`) and MediaPipe's model files.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, cast

import numpy as np
import numpy.typing as npt
import typer

from vasa_cam.audio import SPEECH_RATE_HZ, read_speech
from vasa_cam.errors import MissingDependencyError
from vasa_cam.files import replace_file

VOICE: Final = "slt"
SPEECH: Final = (
    "Hello! I was a photo a moment ago. My lips meet for mum, pub and bump, go round for you and "
    "over, and touch my teeth for five fine voices."
)
"""Closures (m b p), open and round vowels, lip on teeth (f v): what a mouth has to do."""

_PEAK: Final = 0.7
ASSETS: Final = Path(__file__).parents[1] / "assets"


def build_speech(path: Path) -> None:
    """Speak SPEECH with flite into a 16 kHz mono FLAC file whose peak is at 0.7.

    Raises MissingDependencyError without flite.
    """
    flite = shutil.which("flite")
    if flite is None:
        raise MissingDependencyError("flite is missing; install it with: apt-get install flite")
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "speech.wav"
        subprocess.run([flite, "-voice", VOICE, "-t", SPEECH, "-o", str(spoken)], check=True)
        speech = read_speech(spoken)
    scaled = np.rint(speech * (_PEAK * 32767 / np.abs(speech).max())).astype(np.int16)
    _write_flac(path, scaled)


def _write_flac(path: Path, samples: npt.NDArray[np.int16]) -> None:
    """16-bit mono FLAC of int16 [N] at the speech rate."""
    import av

    with replace_file(path) as temporary:
        options = {"fflags": "+bitexact"}
        with av.open(str(temporary), "w", format="flac", options=options) as container:
            stream = container.add_stream("flac", rate=SPEECH_RATE_HZ)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate = SPEECH_RATE_HZ
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def build_avatar_file(path: Path, models: Path | None) -> None:
    """Enrol scikit-image's astronaut. Raises MissingDependencyError without scikit-image."""
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-image is missing; install it with: pip install scikit-image"
        ) from error
    from PIL import Image

    from vasa_cam.avatar.enrolment import enrol
    from vasa_cam.avatar.file import save_avatar
    from vasa_cam.avatar.portrait import PortraitOptions

    # Typed by hand: scikit-image says nothing about what its pictures are.
    astronaut = cast("Callable[[], npt.NDArray[np.uint8]]", data.astronaut)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "astronaut.png"
        Image.fromarray(astronaut()).save(photo)
        save_avatar(path, enrol(photo, PortraitOptions(models_dir=models)))


def main(
    models: Annotated[
        Path | None, typer.Option(help="Folder with MediaPipe's model files.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = ASSETS,
    speech_only: Annotated[bool, typer.Option(help="Leave the avatar as it is.")] = False,
) -> None:
    """Build the demo's voice and avatar."""
    build_speech(out / "demo_speech.flac")
    if not speech_only:
        build_avatar_file(out / "astronaut.vasa", models)


if __name__ == "__main__":
    typer.run(main)
