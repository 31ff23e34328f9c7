"""Which public models are opened, from where, and what is said about those that are not."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_speech_models import tiny_models

import vasa_cam
from vasa_cam.errors import InputError, MissingDependencyError
from vasa_cam.motion.encoder import packaged_encoder
from vasa_cam.motion.generator import packaged_generator
from vasa_cam.motion.public_encoder import PUBLIC_INFO, check_fits, load_public_encoder
from vasa_cam.motion.voice import VoiceStream

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each family."""
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.mark.neural
def test_models_that_cannot_be_used_are_told(models: dict[str, Path], tmp_path: Path) -> None:
    import torch

    pickled = tmp_path / "pickled"
    shutil.copytree(models["Hubert"], pickled)
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no model.safetensors.*never read"):
        load_public_encoder(pickled)

    damaged = tmp_path / "damaged"
    shutil.copytree(models["Hubert"], damaged)
    (damaged / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(InputError, match="could not be read"):
        load_public_encoder(damaged)

    for changes, words in (
        ({"num_hidden_layers": 6}, r"does not fit its config.json \(32 tensors are missing"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 1]}, "steps of 160 samples: expected 320"),
        ({"model_type": "wavlm"}, "is a wavlm: expected one of hubert, wav2vec2"),
        ({"hidden_size": None}, "could not be read|does not fit"),
    ):
        changed = tmp_path / words[:8].replace("|", "")
        shutil.copytree(models["Hubert"], changed, dirs_exist_ok=True)
        config = json.loads((changed / "config.json").read_text())
        (changed / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(InputError, match=words):
            load_public_encoder(changed)


@pytest.mark.neural
def test_a_folder_of_the_hubs_cache_tells_name_and_commit(
    models: dict[str, Path], tmp_path: Path
) -> None:
    cached = tmp_path / "models--some--hubert" / "snapshots" / COMMIT
    shutil.copytree(models["Hubert"], cached)
    public = load_public_encoder(cached).public
    assert (public["name"], public["revision"]) == ("some/hubert", COMMIT)
    plain = load_public_encoder(models["Hubert"]).public
    assert (plain["name"], plain["revision"]) == ("Hubert", None)
    assert plain["sha256"] == public["sha256"]


class _Hub(BaseHTTPRequestHandler):
    """The two answers of the hub that a download needs, for one repository."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        """Say how large a file is and of which commit."""
        self._answer()

    def do_GET(self) -> None:
        """Send a file."""
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        self.asked.append(f"{self.command} {self.path}")
        owner, name, resolve, commit, file = self.path.strip("/").split("/")
        path = self.folder / file
        if (owner, name, resolve, commit) != ("some", "hubert", "resolve", COMMIT) or (
            not path.is_file()
        ):
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return b""
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{len(body):040x}"')
        self.end_headers()
        return body

    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


@pytest.mark.neural
def test_a_model_of_the_hub_is_fetched_once_and_never_as_a_pickle(
    models: dict[str, Path], tmp_path: Path
) -> None:
    folder, asked = tmp_path / "hub", list[str]()
    shutil.copytree(models["Hubert"], folder)
    (folder / "pytorch_model.bin").write_bytes(b"never")
    handler = type("Hub", (_Hub,), {"folder": folder, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = (
        "from vasa_cam.motion.public_encoder import load_public_encoder\n"
        f"print(load_public_encoder('some/hubert@{COMMIT}').public)"
    )

    def run() -> subprocess.CompletedProcess[str]:
        here = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": str(Path(vasa_cam.__file__).parents[1]),
        }
        return subprocess.run(
            [sys.executable, "-c", program], env=os.environ | here, cwd=tmp_path,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    try:
        first = run()
        assert first.returncode == 0, first.stderr
        assert f"'name': 'some/hubert', 'revision': '{COMMIT}'" in first.stdout
        assert {line.rsplit("/", 1)[1] for line in asked} == {"config.json", "model.safetensors"}
        asked.clear()
        assert run().stdout == first.stdout
        assert asked == []
        shutil.rmtree(tmp_path / "cache")
        (folder / "model.safetensors").unlink()
        assert "holds no model.safetensors" in run().stderr
        assert not any("pytorch_model" in line for line in asked)
    finally:
        server.shutdown()
        server.server_close()
    shutil.rmtree(tmp_path / "cache")
    assert "could not be fetched" in run().stderr


def test_a_name_without_its_commit_is_refused(tmp_path: Path) -> None:
    for place in ("facebook/hubert-base-ls960", f"hubert@{COMMIT}", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="neither a folder nor a name on the hub"):
            load_public_encoder(place)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json"):
        load_public_encoder(tmp_path)


def test_without_transformers_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]}
    config = {"model_type": "hubert", "num_hidden_layers": 12, "hidden_size": 768, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"vasa-cam\[volume\]"):
        load_public_encoder(tmp_path)


def test_weights_say_what_they_were_trained_with() -> None:
    public = {"name": "some/hubert", "revision": COMMIT, "sha256": "ab" * 32, "layer": 9}
    packaged = packaged_generator()
    check_fits(packaged_encoder(), packaged)
    needy = dataclasses.replace(packaged, info={PUBLIC_INFO: public})
    sentence = f"public encoder some/hubert@{COMMIT} .sha256 of its weights abab.* none was given"
    with pytest.raises(InputError, match=sentence):
        VoiceStream(generator=needy)
    other = dataclasses.replace(
        packaged, config=dataclasses.replace(packaged.config, audio_size=99)
    )
    with pytest.raises(InputError, match="expects 99 numbers a frame of sound"):
        VoiceStream(generator=other)
