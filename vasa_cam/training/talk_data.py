"""Readers of the tracked talking data (folder `talk`) and of speech with phone times (`speech`)."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.training.phones import Phone

Floats = npt.NDArray[np.float32]

SAMPLE_RATE_HZ = 16000


@dataclass(frozen=True)
class TalkClip:
    """One recording with its face track at 25 Hz.

    audio: float32 [640 T] at 16 kHz. landmarks: float32 [T, 60, 3] in inter-ocular distances, our
    axes (y down, z away). scores: float32 [T, 52] tracker scores. pose: float32 [T, 6], our axes
    (radians, inter-ocular distances). phones: None where no alignment exists. speaker: who it is.
    """

    name: str
    audio: Floats
    landmarks: Floats
    scores: Floats
    pose: Floats
    phones: list[Phone] | None
    speaker: str = ""


@dataclass(frozen=True)
class Utterance:
    """Speech with phone times and no face. audio: float32 [n] at 16 kHz."""

    name: str
    audio: Floats
    phones: list[Phone]


def decode_flac(data: bytes) -> Floats:
    """Mono 16-bit FLAC bytes -> float32 [n] in -1..1; raises ValueError on another format."""
    with av.open(io.BytesIO(data)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
    samples = np.concatenate([block.reshape(-1) for block in blocks])
    if samples.dtype != np.int16:
        raise ValueError(f"expected 16-bit mono FLAC, got {samples.dtype}")
    return samples.astype(np.float32) / 32768.0


def _phones(record: dict[str, Any]) -> list[Phone] | None:
    entries = record.get("phones")
    return None if entries is None else [(float(a), float(b), str(s)) for a, b, s in entries]


def read_index(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl index; InputError when it is missing."""
    if not path.is_file():
        raise InputError(f"{path} is missing: give the folder that holds it (see its README).")
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def load_talk(folder: Path, index: str) -> list[TalkClip]:
    """All clips of folder/index (for example train.jsonl, val.jsonl or wild.jsonl)."""
    records = read_index(folder / index)
    arrays: dict[str, dict[str, npt.NDArray[Any]]] = {}
    members: dict[str, dict[str, bytes]] = {}
    clips = []
    for record in records:
        shard = str(record["shard"])
        if shard not in arrays:
            with np.load(folder / f"{shard}.npz", allow_pickle=False) as archive:
                arrays[shard] = {key: archive[key] for key in ("bs", "pose", "lm")}
            with tarfile.open(folder / f"{shard}.flac.tar") as tar:
                members[shard] = {
                    member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
                    for member in tar.getmembers()
                    if member.isfile()
                }
        clips.append(_clip(record, arrays[shard], members[shard]))
    return clips


def _clip(
    record: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], members: dict[str, bytes]
) -> TalkClip:
    rows = slice(record["start"], record["start"] + record["n_frames"])
    flip = np.array([1.0, -1.0, -1.0], np.float32)
    pose = arrays["pose"][rows].astype(np.float32) * np.tile(flip, 2)
    pose[:, 3:] /= float(record["iod_cm"])
    return TalkClip(
        name=str(record["id"]),
        audio=decode_flac(members[str(record["audio"]).split(":")[1]]),
        landmarks=arrays["lm"][rows].astype(np.float32) * flip,
        scores=arrays["bs"][rows].astype(np.float32),
        pose=pose,
        phones=_phones(record),
        speaker=str(record.get("speaker", "")),
    )


def load_speech(folder: Path) -> list[Utterance]:
    """The aligned recordings of folder/speech.jsonl."""
    utterances = []
    for record in read_index(folder / "speech.jsonl"):
        phones = _phones(record)
        if phones:
            audio = decode_flac((folder / str(record["audio"])).read_bytes())
            utterances.append(Utterance(str(record["id"]), audio, phones))
    return utterances


def speech_texts(folder: Path) -> list[str]:
    """The transcripts of folder/speech.jsonl, in order."""
    return [str(record["text"]) for record in read_index(folder / "speech.jsonl")]


def manifest_sha256(folders: list[Path]) -> str:
    """sha256 over the index files' bytes: which data a model was trained on."""
    digest = hashlib.sha256()
    for folder in folders:
        for index in sorted(folder.glob("*.jsonl")):
            digest.update(index.read_bytes())
    return digest.hexdigest()
