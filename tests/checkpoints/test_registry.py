"""Models are added whole or not at all, from files that are what they should be."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import Calls, random_state, save_as_torch_does
from command_line import run_cli

from vasa_cam.checkpoints import architecture
from vasa_cam.checkpoints.reading import read_checkpoint
from vasa_cam.checkpoints.recognise import recognise
from vasa_cam.checkpoints.registry import (
    add_model,
    check_name,
    choose_parts,
    find_model,
    list_models,
    verify_model,
)
from vasa_cam.errors import InputError

WIDTH = 16
OPTIONS = {"n_motions": 100, "lr": 1e-4, "exp_name": "head", "use_indicator": False}


def generator_state(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """JoyVASA's generator with narrow tokens, and the buffers that its files have."""
    state = random_state(architecture.joyvasa(WIDTH, 73, 10), rng)
    state["diffusion_sched.betas"] = np.zeros(51, np.float32)
    return state


def template(rng: np.random.Generator) -> dict[str, Any]:
    values: dict[str, Any] = {
        f"{what}_exp": rng.normal(size=(1, 63)).astype(np.float32) for what in ("mean", "std")
    }
    for what in ("min", "max"):
        sizes = {"scale": 1, "t": 3, "pitch": 1, "yaw": 1, "roll": 1, "lip": 4}
        values |= {f"{what}_{key}": rng.normal(size=(1, size)) for key, size in sizes.items()}
    return values


@pytest.fixture
def joyvasa(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A folder as JoyVASA's download, small."""
    folder = tmp_path / "download"
    (folder / "generator").mkdir(parents=True)
    save_as_torch_does(folder / "generator" / "a.pt", generator_state(rng), "model", OPTIONS)
    (folder / "b.pkl").write_bytes(pickle.dumps(template(rng), 4))
    return folder


def parts_of(folder: Path) -> dict[str, dict[str, Any]]:
    return choose_parts([part for p in sorted(folder.rglob("*.p*")) for part in recognise(p)])


def add_joyvasa(folder: Path, registry: Path, **options: Any) -> Any:
    parts = parts_of(folder)["joyvasa"]
    return add_model("joyvasa", "joyvasa", parts, "here", folder=registry, **options)


def test_what_was_added_is_found_again(
    joyvasa: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    registry = tmp_path / "models"
    add_joyvasa(joyvasa, registry)
    assert [model.name for model in list_models(registry)] == ["joyvasa"]
    model = find_model("joyvasa", "joyvasa", registry)
    assert (model.source, model.revision) == ("here", None)
    facts = model.facts["generator"]
    assert {k: facts[k] for k in ("width", "motion_width", "previous", "window")} == {
        "width": WIDTH, "motion_width": 73, "previous": 10, "window": 100,
    }  # fmt: skip
    assert facts["audio_encoder"] is False
    assert facts["options"] == OPTIONS
    written = read_checkpoint(joyvasa / "generator" / "a.pt", "options").value["model"]
    kept = model.tensors("generator")
    assert set(written) - set(kept) == {"denoising_net.TE.pe", "diffusion_sched.betas"}
    for key, array in kept.items():
        np.testing.assert_array_equal(array, written[key].array())
    assert model.tensors("template")["mean_exp"].shape == (63,)
    assert model.tensors("template")["min_t"].dtype == np.float32
    for file, problem, report in verify_model(model):
        assert problem == "" and report is not None and report.fits
        path = model.folder / file.name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
        source = next(p for p in joyvasa.rglob(file.source))
        assert hashlib.sha256(source.read_bytes()).hexdigest() == file.source_sha256
    assert {p.name for p in registry.iterdir()} == {"joyvasa"}


def test_damage_is_verified(joyvasa: Path, tmp_path: Path) -> None:
    model = add_joyvasa(joyvasa, tmp_path / "models")
    path = model.path("template")
    whole = path.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-4], b""):
        path.write_bytes(damaged)
        problems = {file.part: problem for file, problem, _ in verify_model(model)}
        assert "not the file that was added" in problems["template"]
        assert problems["generator"] == ""
    path.unlink()
    assert (
        "cannot be read" in {f.part: problem for f, problem, _ in verify_model(model)}["template"]
    )


def test_models_that_are_not_complete_or_do_not_fit_leave_nothing(
    joyvasa: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    registry = tmp_path / "models"
    (joyvasa / "b.pkl").rename(tmp_path / "b.pkl")
    with pytest.raises(InputError, match="not complete: template is missing"):
        add_joyvasa(joyvasa, registry)
    (tmp_path / "b.pkl").rename(joyvasa / "b.pkl")
    state = generator_state(rng)
    del state["null_audio_feat"]
    state["denoising_net.motion_dec.0.bias"] = np.zeros(9, np.float32)
    save_as_torch_does(joyvasa / "generator" / "a.pt", state, "model", OPTIONS)
    with pytest.raises(InputError, match=r"null_audio_feat.*expected \[8\], got \[9\]"):
        add_joyvasa(joyvasa, registry)
    state = generator_state(rng)
    state["denoising_net.motion_dec.0.bias"][3] = np.nan
    save_as_torch_does(joyvasa / "generator" / "a.pt", state, "model", OPTIONS)
    with pytest.raises(InputError, match=r"motion_dec\.0\.bias holds values that are not finite"):
        add_joyvasa(joyvasa, registry)
    assert not registry.exists() or not list(registry.iterdir())


def test_a_name_is_taken_once(joyvasa: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    registry = tmp_path / "models"
    add_joyvasa(joyvasa, registry)
    with pytest.raises(InputError, match="a model joyvasa already"):
        add_joyvasa(joyvasa, registry)
    other = template(rng)
    (joyvasa / "b.pkl").write_bytes(pickle.dumps(other, 4))
    model = add_joyvasa(joyvasa, registry, replace=True)
    np.testing.assert_array_equal(model.tensors("template")["mean_exp"], other["mean_exp"][0])
    assert {p.name for p in registry.iterdir()} == {"joyvasa"}
    for name in ("../x", "", ".hidden", "a/b", "a" * 65, "x\n"):
        with pytest.raises(InputError, match="not a name for a model"):
            check_name(name, registry, replace=True)
        with pytest.raises(InputError, match="there is no model"):
            find_model(name, folder=registry)
    with pytest.raises(InputError, match="of the family joyvasa: expected one of liveportrait"):
        find_model("joyvasa", "liveportrait", registry)


def test_two_models_in_two_folders_are_not_mixed(joyvasa: Path, rng: np.random.Generator) -> None:
    (joyvasa / "other").mkdir()
    (joyvasa / "other" / "b.pkl").write_bytes(pickle.dumps(template(rng), 4))
    with pytest.raises(InputError, match="two models of the family joyvasa"):
        parts_of(joyvasa)


def test_stitching_networks_are_found_in_any_arrangement(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    from safetensors.numpy import save_file

    state = random_state(architecture.stitching(), rng)
    names = {"stitching": "retarget_shoulder", "lip": "retarget_mouth", "eye": "retarget_eye"}
    for link in ("_module.", ".module.", "."):
        flat = {k.replace(f"{n}.", f"{names[n]}{link}", 1): v
                for k, v in state.items() for n in (k.split(".")[0],)}  # fmt: skip
        save_file(flat, tmp_path / "flat.safetensors")
        (part,) = recognise(tmp_path / "flat.safetensors")
        assert (part.family, part.name, part.report.fits) == ("liveportrait", "stitching", True)
        assert part.tensors.keys() == state.keys()
    # One network by itself is known by the width of its input.
    alone = {k.removeprefix("stitching."): v for k, v in state.items() if "stitching." in k}
    (part,) = recognise(save_as_torch_does(tmp_path / "alone.pth", alone))
    assert part.report.fits and part.tensors.keys() == {f"stitching.{key}" for key in alone}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"family": "no such"},
        {"files": [{"part": "generator", "name": "../x.safetensors"}]},
        {"files": []},
        {"facts": 3},
        None,
    ],
)
def test_records_that_are_not_ours_are_refused(
    change: dict[str, Any] | None, joyvasa: Path, tmp_path: Path
) -> None:
    registry = tmp_path / "models"
    model = add_joyvasa(joyvasa, registry)
    place = model.folder / "model.json"
    record = json.loads(place.read_text())
    if change is None:
        place.write_text(json.dumps(record)[:-5])
    else:
        for file in change.get("files", []) if isinstance(change.get("files"), list) else []:
            file.update({k: v for k, v in record["files"][0].items() if k not in file})
        place.write_text(json.dumps(record | change))
    with pytest.raises(InputError, match="not the record of a model"):
        find_model("joyvasa", folder=registry)
    assert list_models(registry) == []


def test_from_the_command_line(joyvasa: Path, tmp_path: Path) -> None:
    """Also: what lies beside the model and is not one is told, and not run."""
    data = {"XDG_DATA_HOME": str(tmp_path / "data")}
    evil = pickle.dumps({"model": Calls(os.system, "touch harm")}, 2)
    (joyvasa / "c.pkl").write_bytes(evil)
    (joyvasa / "d.bin").write_bytes(b"something else")
    refused = run_cli("models", "add", joyvasa, cwd=tmp_path, **data)
    assert refused.returncode == 2
    assert "give --yes" in refused.stderr
    assert not (tmp_path / "data").exists()
    assert "No models yet" in run_cli("models", "list", cwd=tmp_path, **data).stdout

    added = run_cli("models", "add", joyvasa, "--yes", cwd=tmp_path, **data)
    assert added.returncode == 0, added.stderr
    assert "Added joyvasa: " in added.stdout
    assert "JoyVASA (jdh-algo), code: MIT. Its repository does not state a licence" in added.stderr
    assert "c.pkl: not used: the file wants to make a posix.system" in added.stderr
    assert "d.bin: not used: its first bytes are those of no checkpoint" in added.stderr
    assert "a.pt: joyvasa, joyvasa generator: all " in added.stderr
    assert not (tmp_path / "harm").exists()

    assert "joyvasa" in run_cli("models", "list", cwd=tmp_path, **data).stdout
    good = run_cli("models", "verify", cwd=tmp_path, **data)
    assert good.returncode == 0 and "joyvasa/generator.safetensors: good" in good.stdout
    again = run_cli("models", "add", joyvasa, "--yes", cwd=tmp_path, **data)
    assert again.returncode == 2 and "a model joyvasa already" in again.stderr
    named = run_cli("models", "add", joyvasa, "--yes", "--name", "two", cwd=tmp_path, **data)
    assert named.returncode == 0
    file = next((tmp_path / "data").rglob("two/template.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    bad = run_cli("models", "verify", "two", cwd=tmp_path, **data)
    assert bad.returncode == 2
    assert "1 files are damaged (two/template.safetensors)" in bad.stderr
    missing = run_cli("models", "verify", "three", cwd=tmp_path, **data)
    assert missing.returncode == 2 and "there is no model three (joyvasa, two)" in missing.stderr


def test_a_folder_without_models_and_an_address_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    for where, words in ((tmp_path, "holds no checkpoint"), ("x y", "neither a folder"),
                         (tmp_path / "a.txt", "neither a folder")):  # fmt: skip
        done = run_cli("models", "add", where, "--yes", cwd=tmp_path)
        assert done.returncode == 2 and words in done.stderr


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """What a download of a repository asks of the hub."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        """Say how large a file is and of which commit."""
        self._answer()

    def do_GET(self) -> None:
        """The list of files, or one of them."""
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        path = self.path.partition("?")[0]
        self.asked.append(f"{self.command} {path}")
        files = [p for p in sorted(self.folder.rglob("*")) if p.is_file()]
        body: bytes | None = None
        if path.startswith("/api/models/some/joyvasa"):
            names = [str(p.relative_to(self.folder)) for p in files]
            if "/tree/" in path:
                entries = [
                    {"type": "file", "path": n, "size": (self.folder / n).stat().st_size,
                     "oid": "ab" * 20}
                    for n in names
                ]  # fmt: skip
                body = json.dumps(entries).encode()
            else:
                siblings = [{"rfilename": name} for name in names]
                body = json.dumps(
                    {"id": "some/joyvasa", "sha": COMMIT, "siblings": siblings}
                ).encode()
        elif path.startswith(f"/some/joyvasa/resolve/{COMMIT}/"):
            file = self.folder / path.partition(f"{COMMIT}/")[2]
            body = file.read_bytes() if file.is_file() else None
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(body or b"").hexdigest()}"')
        self.end_headers()
        return body or b""

    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def hub(joyvasa: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a hub of our own that has `joyvasa` as some/joyvasa, and what it was asked."""
    asked: list[str] = []
    handler = type("JoyvasaHub", (Hub,), {"folder": joyvasa, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.neural
def test_a_repository_of_the_hub(joyvasa: Path, hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = hub
    (joyvasa / "run_me.py").write_text("open('harm', 'w')")
    (joyvasa / "det_10g.onnx").write_bytes(b"never")
    here = {
        "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "XDG_DATA_HOME": str(tmp_path / "data"),
    }  # fmt: skip
    done = run_cli("models", "add", "some/joyvasa", "--yes", cwd=tmp_path, **here)
    assert done.returncode == 0, done.stderr
    fetched = {line.rsplit("/", 1)[1] for line in asked if line.startswith("GET /some")}
    assert fetched == {"a.pt", "b.pkl"}
    listed = run_cli("models", "list", cwd=tmp_path, **here | {"COLUMNS": "200"}).stdout
    assert f"some/joyvasa@{COMMIT[:12]}" in listed
    shutil.rmtree(tmp_path / "cache")
    gone = run_cli("models", "add", "some/other", "--yes", cwd=tmp_path, **here)
    assert gone.returncode == 2 and "could not be fetched" in gone.stderr
