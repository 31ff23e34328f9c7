"""Turn face videos into training clips.

Command: python -m vasa_cam.training.prepare VIDEO... -o DIR

Every video is tracked, cut into shots of one frontal face, its sound moved onto its lips, and
resampled to 25 Hz. DIR then holds what train_encoder and train_motion read: shards of motion and
sound, train.jsonl and val.jsonl. Videos whose sound cannot be placed are listed in weak.jsonl and
not trained on. A second run goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from vasa_cam.cli.progress import frame_progress
from vasa_cam.cli.stopping import stop_signals_interrupt
from vasa_cam.errors import InputError, VasaCamError
from vasa_cam.training.face_clips import DEFAULT_PREPARE, PrepareConfig, prepare_video
from vasa_cam.training.talk_writer import TalkFolder, source_of

_KINDS: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v"})


@dataclass(frozen=True)
class Prepared:
    """What a run did. clips: how many can be trained on; weak: how many cannot be placed."""

    videos: int
    clips: int
    weak: int
    minutes: float
    refused: tuple[str, ...]


def videos_in(paths: Sequence[Path]) -> list[Path]:
    """The videos that the paths name; a folder stands for all videos in it and below."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in _KINDS)
            if not inside:
                raise InputError(f"{path} holds no video; expected {', '.join(sorted(_KINDS))}.")
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def prepare(
    videos: Sequence[Path],
    output: Path,
    models_dir: Path | None = None,
    config: PrepareConfig = DEFAULT_PREPARE,
    speaker: str | None = None,
    val_share: float = 0.05,
) -> Prepared:
    """Prepare videos into a folder, leaving out what an earlier run has done.

    speaker: who is seen, the shard's own name when None. Unusable videos are named in the result.
    """
    folder = TalkFolder(output, {**asdict(config), "speaker": speaker}, val_share)
    refused, clips, weak, frames = [], 0, 0, 0
    for number, video in enumerate(videos, 1):
        source = source_of(video)
        earlier = folder.done(source)
        if earlier is not None:
            records = earlier["records"]
            if "refused" in earlier:
                refused.append(str(earlier["refused"]))
        else:
            try:
                with frame_progress(f"{number} of {len(videos)}: {video.name}") as progress:
                    tracked = prepare_video(video, models_dir, config, progress)
                records = folder.add(source, tracked, speaker or source.shard)
            except InputError as error:
                folder.refuse(source, str(error))
                refused.append(str(error))
                continue
        usable = [record for record in records if record["split"] != "weak"]
        clips, weak = clips + len(usable), weak + len(records) - len(usable)
        frames += sum(record["n_frames"] for record in usable)
    return Prepared(len(videos), clips, weak, frames / 1500.0, tuple(refused))


def main(arguments: list[str] | None = None) -> int:
    """Command line entry: 0, or 2 when nothing usable came out, with one sentence a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path, help="videos, or folders of videos")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--models", type=Path, help="folder with MediaPipe's model files")
    parser.add_argument("--speaker", help="who is seen in all of them (else: one a video)")
    parser.add_argument("--val", type=float, default=0.05, help="share for validation (0.05)")
    parser.add_argument("--several", action="store_true", help="take videos with several faces")
    options = parser.parse_args(arguments)
    config = replace(DEFAULT_PREPARE, several_faces=options.several)
    try:
        with stop_signals_interrupt():
            result = prepare(
                videos_in(options.videos),
                options.output,
                options.models,
                config,
                options.speaker,
                options.val,
            )
    except VasaCamError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("prepare: stopped; run it again to go on.", file=sys.stderr)
        return 130
    for reason in result.refused:
        print(f"left out: {reason}", file=sys.stderr)
    print(
        f"{options.output}: {result.clips} clips ({result.minutes:.1f} min) of "
        f"{result.videos - len(result.refused)} videos; {result.weak} clips with weak sync"
    )
    return 0 if result.clips or result.weak else 2


if __name__ == "__main__":
    sys.exit(main())
