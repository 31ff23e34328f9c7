"""How well tracking returns what was rendered: the table of docs/tracking.md.

`python -m vasa_cam.training.track_round_trip AVATAR.vasa ... [--models DIR]` renders each avatar
with every coefficient and head axis swept alone, then with all of them at once as in lively talk,
tracks the video and compares. Scores of several avatars are averaged.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
import typer

from vasa_cam.avatar.file import load_avatar
from vasa_cam.avatar.track import track_video
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import ARKIT_NAMES, COEFFICIENTS, INDEX, neutral
from vasa_cam.output.file import VideoFile, VideoFileConfig
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

Floats = npt.NDArray[np.float32]

RATE_HZ: Final = 25
SIDE_PX: Final = 512
REST_FRAMES: Final = 10
SWEEP_FRAMES: Final = 12
AXIS_FRAMES: Final = 20
TALK_FRAMES: Final = 250

_AXES: Final = {"rx": 0.2, "ry": 0.3, "rz": 0.25, "tx": 0.3, "ty": 0.2, "tz": 0.5}
# Coefficient, or stem of a pair: height and speed (Hz) of its random movement in talk.
_TALK: Final = {
    "jawOpen": (0.2, 3.0),
    "mouthFunnel": (0.25, 2.5),
    "mouthPucker": (0.25, 2.0),
    "mouthRollLower": (0.15, 3.0),
    "mouthSmile": (0.3, 0.7),
    "mouthStretch": (0.2, 2.0),
    "mouthLowerDown": (0.25, 2.5),
    "mouthUpperUp": (0.2, 2.5),
    "mouthPress": (0.2, 2.5),
    "browInnerUp": (0.3, 0.7),
    "browOuterUp": (0.3, 0.6),
    "browDown": (0.2, 0.6),
}
_TALK_AXES: Final = (0.06, 0.1, 0.05, 0.08, 0.05, 0.15)
_BLINK: Final = (0.4, 1.0, 1.0, 0.7, 0.4, 0.1)
_BLINKS_AT: Final = (30, 95, 160, 215)


def script(rng: np.random.Generator) -> Floats:
    """The motion that is rendered, float32 [T, 58]: rest, single sweeps, head axes, talk."""
    parts = [neutral(REST_FRAMES)]
    bump = 0.8 * np.sin(np.pi * (np.arange(SWEEP_FRAMES) + 0.5) / SWEEP_FRAMES)
    for name, k in INDEX.items():
        sweep = neutral(SWEEP_FRAMES)
        sweep[:, k] = 0.6 * bump if name == "mouthClose" else bump
        if name in ("mouthClose", "tongueOut"):  # both mean nothing with a closed jaw
            sweep[:, INDEX["jawOpen"]] = 0.6 * bump
        parts.append(sweep)
    for k, height in enumerate(_AXES.values()):
        sweep = neutral(AXIS_FRAMES)
        sweep[:, COEFFICIENTS + k] = height * np.sin(
            2 * np.pi * np.arange(AXIS_FRAMES) / AXIS_FRAMES
        )
        parts.append(sweep)
    return np.concatenate([*parts, _talk(rng)])


def _talk(rng: np.random.Generator) -> Floats:
    frames = neutral(TALK_FRAMES)
    for stem, (height, speed_hz) in _TALK.items():
        wave = np.clip(_wander(rng, height, speed_hz), 0, 1)
        for side, share in (("", 1.0), ("Left", 1.0), ("Right", 0.9)):
            if stem + side in INDEX:
                frames[:, INDEX[stem + side]] = share * wave
    close = np.clip(_wander(rng, 0.3, 3.0), 0, 1)
    frames[:, INDEX["mouthClose"]] = np.minimum(close, frames[:, INDEX["jawOpen"]])
    across, up = np.repeat(rng.uniform(-0.5, 0.5, (TALK_FRAMES // 25, 2)), 25, axis=0).T
    for side, sign in (("Left", 1), ("Right", -1)):
        for start in _BLINKS_AT:
            frames[start : start + len(_BLINK), INDEX[f"eyeBlink{side}"]] = _BLINK
        for name, value in (
            ("Out", sign * across),
            ("In", -sign * across),
            ("Up", up),
            ("Down", -up),
        ):
            frames[:, INDEX[f"eyeLook{name}{side}"]] = np.clip(value, 0, 1)
    for k, height in enumerate(_TALK_AXES):
        frames[:, COEFFICIENTS + k] = _wander(rng, height, 0.6)
    return frames


def _wander(rng: np.random.Generator, height: float, speed_hz: float) -> npt.NDArray[np.float64]:
    """Smooth random movement of standard deviation `height`, slower than about `speed_hz`."""
    reach = 40
    width = RATE_HZ / (2 * np.pi * speed_hz)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    noise = rng.standard_normal(TALK_FRAMES + 2 * reach)
    return height * np.convolve(noise, kernel / np.sqrt((kernel**2).sum()), "valid")


def round_trip(avatar: Path, motion: Floats, models: Path | None) -> Floats:
    """Render and track: the motion that comes back, float32 [T, 58]."""
    renderer = LayeredRenderer(RenderConfig(SIDE_PX, SIDE_PX))
    state = renderer.prepare(load_avatar(avatar))
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        with VideoFile(VideoFileConfig(film, (SIDE_PX, SIDE_PX), Fraction(RATE_HZ))) as video:
            for frame in motion:
                video.write(renderer.render(state, frame))
        return track_video(film, models).motion.frames


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's r; 0 when the second never moves, NaN when the first does not."""
    if a.std() < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1]) if b.std() > 1e-6 else 0.0


def compare(truth: Floats, seen: Floats) -> dict[str, tuple[float, float, float]]:
    """Name -> r swept alone, slope of that, r in talk; two lip measures are in talk only."""
    rows = {}
    talk = slice(len(truth) - TALK_FRAMES, len(truth))
    start = REST_FRAMES
    names = [*ARKIT_NAMES, *_AXES]
    for k, name in enumerate(names):
        length = SWEEP_FRAMES if k < COEFFICIENTS else AXIS_FRAMES
        x, y = truth[start : start + length, k], seen[start : start + length, k]
        slope = float(x @ y / (x @ x))
        rows[name] = (correlation(x, y), slope, correlation(truth[talk, k], seen[talk, k]))
        start += length
    offsets = load_face_model().offsets
    for name, high, low, axis in (("lip gap", 13, 14, 1), ("mouth width", 61, 291, 0)):
        shift = offsets[:, low, axis] - offsets[:, high, axis]
        a, b = truth[talk, :COEFFICIENTS] @ shift, seen[talk, :COEFFICIENTS] @ shift
        rows[name] = (float("nan"), float(np.polyfit(a, b, 1)[0]), correlation(a, b))
    return rows


def main(
    avatars: Annotated[list[Path], typer.Argument(help="Avatars to render.")],
    models: Annotated[
        Path | None, typer.Option(help="Folder with MediaPipe's model files.")
    ] = None,
) -> None:
    """Print the round trip's table, mean over the avatars, as Markdown."""
    motion = script(np.random.default_rng(5))
    tables = [compare(motion, round_trip(avatar, motion, models)) for avatar in avatars]
    typer.echo("| what | r alone | slope alone | r in talk |\n|---|---|---|---|")
    for name in tables[0]:
        values = np.mean([table[name] for table in tables], axis=0)
        cells = ["-" if np.isnan(value) else f"{value:.2f}" for value in values]
        typer.echo(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    typer.run(main)
