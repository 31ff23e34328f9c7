"""Writes training clips in the layout that `talk_data.load_talk` reads; resumable, whole or not.

One shard a video: `<shard>.npz` (motion), `<shard>.flac.tar` (sound) and `parts/<shard>.jsonl`
(records), which comes last and so says that the shard is complete. The indexes `train.jsonl`,
`val.jsonl` and `weak.jsonl` are the parts put together.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.files import replace_file
from vasa_cam.motion.space import ARKIT_NAMES, INDEX
from vasa_cam.training.face_clips import LANDMARKS, SAMPLES_A_FRAME, FaceClip, PreparedVideo
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ

Floats = npt.NDArray[np.float32]

SCORE_NAMES: Final = ("_neutral", *sorted(name for name in ARKIT_NAMES if name != "tongueOut"))
"""Columns of the array `bs`: the tracker's names in its own order."""

INDEXES: Final = ("train", "val", "weak")


@dataclass(frozen=True)
class Source:
    """A video file: its path, a name for its shard, and the sha256 of its bytes."""

    path: Path
    shard: str
    sha256: str


def source_of(video: Path) -> Source:
    """Name and checksum of a video; InputError when it cannot be read."""
    if not video.is_file():
        kind = "is not a file" if video.exists() else "does not exist"
        raise InputError(f"{video} {kind}; expected a video of a face.")
    digest = hashlib.sha256()
    try:
        with video.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{video} cannot be read: {error.strerror}.") from error
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", video.stem).strip("_")[:60] or "video"
    return Source(video, f"{name}_{digest.hexdigest()[:8]}", digest.hexdigest())


def encode_flac(audio: Floats) -> bytes:
    """Mono 16 kHz audio, float32 [n], as 16-bit FLAC."""
    import av

    samples = np.clip(np.round(audio * 32768.0), -32768, 32767).astype(np.int16)
    target = io.BytesIO()
    with av.open(target, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.format = "s16"
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        for block in (frame, None):
            container.mux(stream.encode(block))
    return target.getvalue()


class TalkFolder:
    """The output folder. settings: whatever the clips depend on; another value redoes a video."""

    def __init__(self, folder: Path, settings: dict[str, Any], val_share: float) -> None:
        try:
            (folder / "parts").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder} cannot be made or written: {error.strerror}; choose another output."
            ) from error
        self._folder, self._settings, self._val_share = folder, settings, val_share

    def done(self, source: Source) -> dict[str, Any] | None:
        """What an earlier run wrote about this very video, with these settings."""
        path = self._folder / "parts" / f"{source.shard}.json"
        if not path.is_file():
            return None
        record: dict[str, Any] = json.loads(path.read_text())
        return record if record.get("settings") == self._settings else None

    def refuse(self, source: Source, reason: str) -> None:
        """Note that a video is not usable, so that the next run need not track it again."""
        self._finish(source, {"refused": reason, "records": []})

    def add(self, source: Source, video: PreparedVideo, speaker: str) -> list[dict[str, Any]]:
        """Write the shard of a video; returns its index records."""
        records, start = [], 0
        for number, clip in enumerate(video.clips):
            record = _record(source, video, clip, number, start) | {"speaker": speaker}
            record["split"] = self._split(source) if video.sync.strong else "weak"
            records.append(record)
            start += len(clip.scores)
        with replace_file(self._folder / f"{source.shard}.npz") as path, path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **_arrays(video.clips, records))
        with replace_file(self._folder / f"{source.shard}.flac.tar") as path:
            _write_tar(
                path,
                [(f"{r['id']}.flac", c.audio) for r, c in zip(records, video.clips, strict=True)],
            )
        self._finish(source, {"records": records})
        return records

    def _split(self, source: Source) -> str:
        drawn = int(hashlib.md5(source.shard.encode(), usedforsecurity=False).hexdigest(), 16)
        return "val" if drawn % 1000 < 1000.0 * self._val_share else "train"

    def _finish(self, source: Source, result: dict[str, Any]) -> None:
        whole = {"source": source.path.name, "sha256": source.sha256, "settings": self._settings}
        with replace_file(self._folder / "parts" / f"{source.shard}.json") as path:
            path.write_text(json.dumps(whole | result) + "\n")
        self._write_indexes()

    def _write_indexes(self) -> None:
        records: dict[str, list[dict[str, Any]]] = {name: [] for name in INDEXES}
        for part in sorted((self._folder / "parts").glob("*.json")):
            for record in json.loads(part.read_text())["records"]:
                records[record["split"]].append(record)
        for name, entries in records.items():
            with replace_file(self._folder / f"{name}.jsonl") as path:
                path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        meta = {
            "blendshape_names": list(SCORE_NAMES),
            "landmark_indices": list(LANDMARKS),
            "fps": 25,
            "sample_rate": SAMPLE_RATE_HZ,
        }
        with replace_file(self._folder / "meta.json") as path:
            path.write_text(json.dumps(meta) + "\n")


def _record(
    source: Source, video: PreparedVideo, clip: FaceClip, number: int, start: int
) -> dict[str, Any]:
    name = f"{source.shard}_{number:03d}"
    frames = len(clip.scores)
    return {
        "id": name,
        "shard": source.shard,
        "start": start,
        "n_frames": frames,
        "n_samples": frames * SAMPLES_A_FRAME,
        "audio": f"{source.shard}.flac.tar:{name}.flac",
        "audio_valid_s": round(clip.audio_valid_s, 3),
        "text": None,
        "words": None,
        "words_source": None,
        "phones": None,
        "iod_cm": round(clip.iod_cm, 4),
        "origin_cm": [round(value, 3) for value in clip.origin_cm],
        "tracked": round(float(clip.tracked.mean()), 4),
        "valid": round(float(clip.valid.mean()), 4),
        "source_path": source.path.name,
        "source_sha256": source.sha256,
        "source_start_s": round(clip.start_s, 3),
        "source_fps": round(video.fps, 3),
        "source_size": list(video.size_px),
        "iod_px": round(clip.iod_px, 1),
        "mouth_px": round(clip.mouth_px, 1),
        "audio_late_ms_measured": round(1000.0 * video.sync.late_s),
        "sync_r": round(video.sync.correlation, 3),
        "audio_shift_applied_ms": round(1000.0 * video.sync.late_s) if video.sync.strong else 0,
    }


def _arrays(
    clips: tuple[FaceClip, ...], records: list[dict[str, Any]]
) -> dict[str, npt.NDArray[Any]]:
    columns = [INDEX[name] for name in SCORE_NAMES[1:]]
    scores = np.concatenate([clip.scores for clip in clips])
    tracker = np.concatenate([np.zeros((len(scores), 1), np.float32), scores[:, columns]], axis=1)
    return {
        "bs": tracker.astype(np.float16),
        "pose": np.concatenate([clip.pose for clip in clips]),
        "lm": np.concatenate([clip.landmarks for clip in clips]).astype(np.float16),
        "tracked": np.concatenate([clip.tracked for clip in clips]),
        "valid": np.concatenate([clip.valid for clip in clips]),
        "start": np.array([record["start"] for record in records], np.int32),
        "length": np.array([record["n_frames"] for record in records], np.int32),
        "ids": np.array([record["id"] for record in records]),
    }


def _write_tar(path: Path, sounds: list[tuple[str, Floats]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, audio in sounds:
            data = encode_flac(audio)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
