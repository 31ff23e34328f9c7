"""The corpus of voices: built by its command, read back, the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.errors import InputError
from vasa_cam.training.build_voices import main
from vasa_cam.training.phones import GESTURES
from vasa_cam.training.samples import analysed
from vasa_cam.training.talk_data import Utterance
from vasa_cam.training.voices import load_voices

# Both are needed by the builder.
pytestmark = pytest.mark.usefixtures("espeak", "flite")

_HOURS = "0.03"


@pytest.fixture(scope="module")
def corpus(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices") / "corpus"
    assert main(["--speech", str(speech), "-o", str(folder), "--hours", _HOURS]) == 0
    return folder


def test_what_is_stored_comes_back(corpus: Path) -> None:
    voices = load_voices(corpus)
    assert len(voices) == len(voices.records) > 15
    speech_s = 0.0
    for voice in voices:
        assert isinstance(voice, Utterance)
        assert voice.audio.dtype == np.float32
        assert len(voice.audio) == 640 * voice.frames
        assert 0.01 < float(np.abs(voice.audio).max()) <= 1.0 or voice.kind == "noise"
        assert {symbol for _, _, symbol in voice.phones} <= set(GESTURES)
        assert voice.phones[-1][1] <= len(voice.audio) / 16000 + 0.05
        if voice.language:
            speech_s += len(voice.audio) / 16000
        else:
            assert voice.trust == float(voice.kind not in ("laughing", "coughing"))
        assert voice.power is not None
        expected = analysed(voice.audio, voice.frames)
        assert voice.power.shape == expected.shape == (4 * voice.frames + 2, 40)
        # Stored in steps of at most 0.06 dB, down to -100 dB.
        np.testing.assert_allclose(voice.power, np.maximum(expected, 1e-10), rtol=0.02)
    assert 3600 * float(_HOURS) <= speech_s < 3600 * float(_HOURS) + 40
    assert voices.info["speech_minutes"] == pytest.approx(speech_s / 60, abs=0.01)
    assert voices.info["left_out"] == {}
    assert [v.name for v in voices[2:4]] == [voices[2].name, voices[3].name]


def test_variety(corpus: Path) -> None:
    records = load_voices(corpus).records
    assert {"flite", "espeak", "recorded"} <= {record["kind"] for record in records}
    assert len({record["language"] for record in records}) >= 5
    assert len({record["name"] for record in records}) > 0.6 * len(records)
    disguises = {name for record in records for name in record["disguises"]}
    assert "moved" in disguises
    assert len(disguises) >= 3


def test_workers_change_nothing(corpus: Path, speech: Path, tmp_path: Path) -> None:
    """The plan is the seed's; only espeak-ng speaks a little differently every time."""
    again = tmp_path / "again"
    again.mkdir()  # an empty folder is taken
    arguments = ["--speech", str(speech), "-o", str(again), "--hours", _HOURS, "--workers", "2"]
    assert main(arguments) == 0
    first, second = load_voices(corpus), load_voices(again)
    assert abs(len(first) - len(second)) <= 2
    for one, other, record in zip(first, second, first.records, strict=False):
        assert (one.name, one.kind, one.language, one.disguises) == (
            other.name, other.kind, other.language, other.disguises
        ), record["id"]  # fmt: skip
        if one.kind != "espeak":
            np.testing.assert_array_equal(one.audio, other.audio)
            assert one.phones == other.phones
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


@pytest.mark.parametrize("hours", ["0", "-1", "1000", "nan"])
def test_bad_hours(
    hours: str, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--speech", str(speech), "-o", str(tmp_path / "v"), f"--hours={hours}"]) == 2
    assert "--hours: expected more than 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_other_folders_are_not_overwritten(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert main(["--speech", str(speech), "-o", str(tmp_path), "--hours", "0.01"]) == 2
    assert "holds no voices" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_missing_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--speech", str(tmp_path), "-o", str(tmp_path / "v"), "--hours", "0.01"]) == 2
    assert "speech.jsonl is missing" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_folders_without_voices(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no voices"):
        load_voices(tmp_path)
    info = json.loads((corpus / "info.json").read_text())
    (tmp_path / "info.json").write_text(json.dumps(info | {"version": 99}))
    with pytest.raises(InputError, match="another version"):
        load_voices(tmp_path)
