"""Build a corpus of voices without faces: speech in many voices, languages and disguises.

Command: python -m vasa_cam.training.build_voices --speech DIR -o DIR [--hours H] [--seed N]

Writes to the output folder: audio.npy (int16, all utterances after one another), power_db.npy
(float16 [rows, 40], log mel powers, 4 T + 2 rows for T motion frames), voices.jsonl (what and
where each utterance is, with its phones) and info.json. Read them with voices.load_voices.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError, VasaCamError
from vasa_cam.motion.features import DEFAULT_FEATURES, decibels
from vasa_cam.training.samples import analysed
from vasa_cam.training.synthetic import Espeak, flite_version
from vasa_cam.training.talk_data import SAMPLE_RATE_HZ, manifest_sha256
from vasa_cam.training.voices import DEFAULT_PLAN, FORMAT, SAMPLES_A_FRAME, VERSION, VoiceMaker

# A worker's own maker; espeak-ng keeps global state, so there is one a process.
_MAKER: list[VoiceMaker] = []

BANDS = DEFAULT_FEATURES.bands

Made = tuple[dict[str, Any], npt.NDArray[np.int16], npt.NDArray[np.float16]]


class GrowingArray:
    """A .npy file that is written piece by piece along its first axis."""

    def __init__(self, path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> None:
        self.length = 0
        self._dtype, self._row_shape = dtype, row_shape
        self._file = path.open("wb")
        self._header_bytes = self._write_header()

    def _write_header(self) -> int:
        shape = (self.length, *self._row_shape)
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        # NumPy leaves room in the header for the first axis to grow.
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add rows [n, *row_shape]."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self.length += len(rows)

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.seek(0)
        if self._write_header() != self._header_bytes:
            raise RuntimeError("the .npy header outgrew its room")
        self._file.close()


def _start_worker(speech: Path, seed: int) -> None:
    _MAKER[:] = [VoiceMaker(speech, seed)]


def _make(job: tuple[str, int]) -> Made | str:
    """One utterance as stored, or the reason why it is left out."""
    what, index = job
    try:
        voice = _MAKER[0].speech(index) if what == "speech" else _MAKER[0].sound(index)
    except KeyError as error:
        return str(error.args[0])
    frames = voice.frames
    audio = voice.audio[: frames * SAMPLES_A_FRAME]
    whole = np.clip(np.round(audio * 32767.0), -32768, 32767).astype(np.int16)
    power = analysed(whole.astype(np.float32) / np.float32(32768.0), frames)
    record = {
        "id": f"{what}-{index}",
        "name": voice.name,
        "kind": voice.kind,
        "language": voice.language,
        "disguises": list(voice.disguises),
        "trust": voice.trust,
        "frames": frames,
        "phones": [[round(a, 4), round(b, 4), s] for a, b, s in voice.phones],
    }
    return record, whole, decibels(power).astype(np.float16)


def _made(speech: Path, seed: int, workers: int) -> Iterator[tuple[str, Made | str]]:
    """Speech without end, and a sound after every tenth, in the order of their numbers."""
    every = max(1, round(1.0 / DEFAULT_PLAN.sounds))

    def jobs() -> Iterator[tuple[str, int]]:
        for index in range(10**9):
            yield "speech", index
            if index % every == every - 1:
                yield "sound", index // every

    if workers <= 1:
        _start_worker(speech, seed)
        for job in jobs():
            yield job[0], _make(job)
        return
    stream = jobs()
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start_worker, (speech, seed)) as pool:
        while True:
            block = [next(stream) for _ in range(16 * workers)]
            for job, made in zip(block, pool.map(_make, block, chunksize=4), strict=True):
                yield job[0], made


def _show(done_s: float, wanted_s: float, began: float) -> None:
    if sys.stderr.isatty():
        share = min(1.0, done_s / wanted_s)
        bar = "#" * int(30 * share)
        took = time.monotonic() - began
        print(f"\r[{bar:30}] {done_s / 60.0:6.1f} min of speech, {took:4.0f} s", end="",
              file=sys.stderr, flush=True)  # fmt: skip


def build(speech: Path, output: Path, hours: float, seed: int, workers: int) -> dict[str, Any]:
    """Build the corpus in `output` (replaced when it exists) and return its info."""
    if not 0.0 < hours <= 200.0:
        raise InputError(f"--hours: expected more than 0 and at most 200, got {hours:g}.")
    if output.exists() and not (output / "info.json").is_file() and any(output.iterdir()):
        raise InputError(f"{output} exists and holds no voices: name another folder.")
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = output.with_name(f".{output.name}.new-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        info = _fill(fresh, speech, hours, seed, workers)
        shutil.rmtree(output, ignore_errors=True)
        os.replace(fresh, output)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return info


def _fill(folder: Path, speech: Path, hours: float, seed: int, workers: int) -> dict[str, Any]:
    """Write all files of a corpus to an empty folder and return its info."""
    began, wanted_s, speech_s = time.monotonic(), 3600.0 * hours, 0.0
    records: list[dict[str, Any]] = []
    left_out: collections.Counter[str] = collections.Counter()
    with (
        GrowingArray(folder / "audio.npy", np.dtype(np.int16), ()) as audios,
        GrowingArray(folder / "power_db.npy", np.dtype(np.float16), (BANDS,)) as powers,
    ):
        for what, made in _made(speech, seed, workers):
            if isinstance(made, str):
                left_out[made] += 1
                continue
            record, audio, power = made
            at = {"frame": audios.length // SAMPLES_A_FRAME, "row": powers.length}
            records.append(record | at)
            audios.append(audio)
            powers.append(power)
            if what == "speech":
                speech_s += len(audio) / SAMPLE_RATE_HZ
            _show(speech_s, wanted_s, began)
            if speech_s >= wanted_s:
                break
    info = {
        "format": FORMAT,
        "version": VERSION,
        "seed": seed,
        "plan": asdict(DEFAULT_PLAN),
        "speech_minutes": round(speech_s / 60.0, 2),
        "minutes": _minutes(records),
        "left_out": dict(left_out),
        "speech_sha256": manifest_sha256([speech]),
        "flite": flite_version(),
        "espeak_ng": Espeak().version,
        "build_s": round(time.monotonic() - began),
    }
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    (folder / "voices.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "info.json").write_text(json.dumps(info, indent=1, ensure_ascii=False) + "\n")
    return info


def _minutes(records: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Minutes by kind, language and disguise."""
    totals: dict[str, collections.Counter[str]] = {
        key: collections.Counter() for key in ("kind", "language", "disguise")
    }
    for record in records:
        minutes = record["frames"] / 1500.0
        totals["kind"][record["kind"]] += minutes
        totals["language"][record["language"] or "none"] += minutes
        for disguise in record["disguises"] or ["none"]:
            totals["disguise"][disguise] += minutes
    return {
        key: {name: round(value, 2) for name, value in counter.most_common()}
        for key, counter in totals.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True, help="folder of aligned recordings")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--hours", type=float, default=3.0, help="hours of speech (3)")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    options = parser.parse_args(arguments)
    try:
        info = build(options.speech, options.output, options.hours, options.seed, options.workers)
    except VasaCamError as error:
        print(f"build_voices: {error}", file=sys.stderr)
        return 2
    print(json.dumps(info, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
