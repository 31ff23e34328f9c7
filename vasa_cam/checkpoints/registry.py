"""Models that were added: converted once to safetensors, kept in the user's data folder.

A model is a folder with a `model.json` that names its files, their sizes and sha256 sums, where
they came from, and what was read from them. It appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from vasa_cam.checkpoints import architecture, recognise
from vasa_cam.checkpoints.architecture import Expected, Keys
from vasa_cam.checkpoints.convert import write_part
from vasa_cam.checkpoints.machine import shown
from vasa_cam.checkpoints.reading import read_checkpoint
from vasa_cam.checkpoints.recognise import Part
from vasa_cam.checkpoints.report import KeyReport, compare
from vasa_cam.checkpoints.stored import StoredTensor
from vasa_cam.errors import InputError

FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "liveportrait": ("appearance", "motion", "warping", "decoder", "stitching"),
    "joyvasa": ("generator", "template"),
    "hubert": ("encoder",),
    "ditto": ("generator",),
}
"""Family -> the parts that a model of it needs, all of them."""

RECORD: Final = "model.json"
FORMAT: Final = "vasa_cam.model"
VERSION: Final = 1

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MOST_RECORD: Final = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its part, name, size in bytes, sha256, and the same of its source."""

    part: str
    name: str
    size: int
    sha256: str
    source: str
    source_sha256: str


@dataclass(frozen=True)
class Model:
    """A model of the registry.

    facts: part -> what was read from its file beside tensors. source: folder or hub name;
    revision: the hub's commit.
    """

    name: str
    family: str
    folder: Path
    files: tuple[ModelFile, ...]
    facts: Mapping[str, Mapping[str, Any]]
    source: str
    revision: str | None = None

    def path(self, part: str) -> Path:
        """The file of a part. Raises InputError when the model has no such part."""
        for file in self.files:
            if file.part == part:
                return self.folder / file.name
        raise InputError(
            f"the model {self.name} ({self.family}) has no part {part}: it has "
            f"{', '.join(file.part for file in self.files)}."
        )

    def tensors(self, part: str) -> dict[str, npt.NDArray[Any]]:
        """All tensors of a part, as arrays that the caller owns; float32 where they are floats."""
        stored = read_checkpoint(self.path(part)).value
        return {key: tensor.array() for key, tensor in stored.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def models_folder() -> Path:
    """Where models are kept (platformdirs' user data)."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vasa-cam")) / "models"


def list_models(folder: Path | None = None) -> list[Model]:
    """All models, by name; those whose record cannot be read are left out."""
    root = folder or models_folder()
    if not root.is_dir():
        return []
    models = []
    for place in sorted(root.iterdir()):
        if _NAME.fullmatch(place.name) and (place / RECORD).is_file():
            try:
                models.append(_read_record(place))
            except InputError:
                continue
    return models


def find_model(name: str, family: str | None = None, folder: Path | None = None) -> Model:
    """A model by its name. family: what it must be. Raises InputError, which says how to add it."""
    root = folder or models_folder()
    if not _NAME.fullmatch(name) or not (root / name / RECORD).is_file():
        there_are = ", ".join(model.name for model in list_models(folder)) or "none yet"
        raise InputError(
            f"there is no model {shown(name)} ({there_are}): add it with `vasa-cam models add` and "
            "the folder or hub repository that holds its files."
        )
    model = _read_record(root / name)
    if family is not None and model.family != family:
        raise InputError(
            f"the model {name} is of the family {model.family}: expected one of {family}."
        )
    return model


def choose_parts(parts: list[Part]) -> dict[str, dict[str, Part]]:
    """Family -> part -> the one to take. Raises InputError for two that differ in place."""
    chosen: dict[str, dict[str, Part]] = {}
    for part in parts:
        mine = chosen.setdefault(part.family, {})
        other = mine.get(part.name)
        if other is not None and other.path.parent != part.path.parent:
            raise InputError(
                f"there are two models of the family {part.family}, in {other.path.parent} and "
                f"{part.path.parent}: name the folder of one."
            )
        # In one folder they are the same weights in two formats.
        if other is None or part.path.suffix == ".safetensors":
            mine[part.name] = part
    return chosen


def check_complete(family: str, parts: Mapping[str, Part]) -> None:
    """Raise InputError unless all parts of a family are there and fit."""
    if missing := [name for name in FAMILIES[family] if name not in parts]:
        raise InputError(
            f"the {family} model is not complete: {', '.join(missing)} is missing; put all its "
            "files into one folder."
        )
    if wrong := [part.report.sentence() for part in parts.values() if not part.report.fits]:
        raise InputError(f"the {family} model does not fit its networks: {'; '.join(wrong)}.")


def add_model(
    name: str,
    family: str,
    parts: Mapping[str, Part],
    source: str,
    *,
    revision: str | None = None,
    replace: bool = False,
    folder: Path | None = None,
) -> Model:
    """Convert parts and keep them as a model. folder: of the registry, the user's by default.

    Raises InputError when the name is taken (unless `replace`), parts are missing or do not fit,
    or the disk is full; nothing is left behind then.
    """
    root = folder or models_folder()
    check_name(name, root, replace=replace)
    check_complete(family, parts)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _appearing(root / name) as place:
            files = tuple(_kept(place, part) for part in parts.values())
            facts = {part.name: dict(part.facts) for part in parts.values() if part.facts}
            model = Model(name, family, place, files, facts, source, revision)
            _write_record(model)
    except OSError as error:
        raise InputError(
            f"the model cannot be kept in {root}: {error.strerror or error}; free some space there."
        ) from error
    return dataclasses.replace(model, folder=root / name)


def check_name(name: str, root: Path, *, replace: bool) -> None:
    """Raise InputError for a name that is taken, or that is not to be a folder's."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{shown(name)} is not a name for a model: expected letters, digits, dots and dashes, "
            "at most 64."
        )
    if (root / name).exists() and not replace:
        raise InputError(
            f"there is a model {name} already: choose another --name, or --replace it."
        )


def verify_model(model: Model) -> Iterator[tuple[ModelFile, str, KeyReport | None]]:
    """Every file with what is wrong with it ("" if nothing) and how its keys fit."""
    for file in model.files:
        path = model.folder / file.name
        try:
            size = path.stat().st_size
            if size != file.size or sha256_of(path) != file.sha256:
                yield file, "it is not the file that was added: add the model again", None
                continue
            report = _stored_report(model.family, file, read_checkpoint(path).value)
        except OSError as error:
            yield file, f"it cannot be read ({error.strerror or error})", None
        except InputError as error:
            yield file, str(error), None
        else:
            yield file, "" if report.fits else report.sentence(), report


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _stored_report(family: str, file: ModelFile, tensors: Mapping[str, StoredTensor]) -> KeyReport:
    keys: Iterator[tuple[str, Expected]] | Keys
    if family == "joyvasa":
        known = {"generator": recognise.joyvasa_keys, "template": recognise.template_keys}
        keys = known[file.part](tensors)
    elif family == "hubert":
        keys = recognise.hubert_keys(tensors)
    elif family == "ditto":
        keys = recognise.ditto_keys(tensors)
    elif file.part == "stitching":
        networks = {key.partition(".")[0] for key in tensors} | {"stitching"}
        known_networks = [name for name in architecture.STITCHING_NETWORKS if name in networks]
        keys = architecture.stitching(known_networks)
    elif file.part == "decoder":
        keys = architecture.decoder(folded=True)
    else:
        keys = architecture.LIVEPORTRAIT[file.part]()
    return compare(file.part, keys, tensors)


def _kept(place: Path, part: Part) -> ModelFile:
    path = write_part(place, part)
    return ModelFile(
        part=part.name,
        name=path.name,
        size=path.stat().st_size,
        sha256=sha256_of(path),
        source=part.path.name,
        source_sha256=sha256_of(part.path),
    )


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `target` at the end, or vanishes."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_record(model: Model) -> None:
    record = {
        "format": FORMAT,
        "version": VERSION,
        "name": model.name,
        "family": model.family,
        "source": model.source,
        "revision": model.revision,
        "facts": model.facts,
        "files": [dataclasses.asdict(file) for file in model.files],
    }
    (model.folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _read_record(place: Path) -> Model:
    """The record of a model's folder. Raises InputError unless it is one of ours."""
    path = place / RECORD
    try:
        text = path.read_text(encoding="utf-8")
        record = json.loads(text) if len(text) <= _MOST_RECORD else {}
        if (record["format"], record["version"]) != (FORMAT, VERSION):
            raise ValueError("another format")
        files = tuple(ModelFile(**file) for file in record["files"])
        facts = dict(record["facts"])
        model = Model(
            place.name, record["family"], place, files, facts, record["source"], record["revision"]
        )
        good = model.family in FAMILIES and all(_is_good(file) for file in files)
        if not good or not set(FAMILIES[model.family]) <= {file.part for file in files}:
            raise ValueError("files that cannot be")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not the record of a model that this version wrote ({error}): "
            "add the model again."
        ) from error
    return model


def _is_good(file: ModelFile) -> bool:
    texts = (file.part, file.name, file.sha256, file.source, file.source_sha256)
    return (
        all(type(text) is str for text in texts)
        and type(file.size) is int
        and file.name == f"{Path(file.name).stem}.safetensors"
        and Path(file.name).name == file.name
        and bool(_SHA256.fullmatch(file.sha256))
    )
