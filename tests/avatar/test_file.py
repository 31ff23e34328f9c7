"""The avatar file: round trip, atomic save, and a reader that refuses whatever is wrong."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasa_cam.avatar.file import FORMAT, VERSION, Avatar, AvatarMeta, load_avatar, save_avatar
from vasa_cam.avatar.schema import TENSORS, Array
from vasa_cam.errors import InputError

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


SIZES = {
    "Hc": 12,
    "Wc": 16,
    "Hg": 0,
    "Wg": 0,
    "N": 20,
    "N+1": 21,
    "T": 9,
    "nnz": 40,
    "P": 3,
    "E": 7,
    "Her": 4,
    "Wer": 6,
    "Hel": 5,
    "Wel": 7,
    "K": 8,
    "Ti": 4,
    "Ha": 6,
    "Wa": 6,
}


def make_tensors(seed: int = 0) -> dict[str, Array]:
    """Random tensors that obey the schema."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for name, spec in TENSORS.items():
        shape = [SIZES[size] if isinstance(size, str) else size for size in spec.shape]
        if spec.dtype == "float32":
            high = 50.0 if spec.high is None else spec.high
            tensors[name] = rng.uniform(0.5, high, shape).astype(np.float32)
            if spec.high == 1.0:
                tensors[name] = rng.uniform(0.0, 1.0, shape).astype(np.float32)
        elif spec.dtype == "int32":
            into = spec.index_into
            limit = SIZES[into] if isinstance(into, str) else into or SIZES["P"]
            tensors[name] = rng.integers(0, limit, shape, dtype=np.int32)
        else:
            info = np.iinfo(spec.dtype)
            tensors[name] = rng.integers(info.min, info.max + 1, shape, dtype=spec.dtype)
    tensors["operator_indptr"] = np.arange(0, 41, 2, dtype=np.int32)
    return tensors


def make_meta(**changes: Any) -> AvatarMeta:
    """The record that fits `make_tensors`."""
    values: dict[str, Any] = {
        "name": "someone",
        "canvas_px": (16, 12),
        "view_px": (2.0, 1.0, 10.0, 10.0),
        "closed_mouth": True,
        "face_px": (4.0, 3.0, 5.0, 6.0),
        "iod_px": 2.5,
        "focal_px": 40.0,
        "pivot_px": (8.0, 6.0, 3.0),
        "source_size": (640, 480),
        "notes": ("Two faces were found; the larger was taken.",),
    }
    return AvatarMeta(**{**values, **changes})


def make_avatar() -> Avatar:
    return Avatar(make_meta(), **make_tensors())


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("avatar") / "good.vasa"
    save_avatar(path, make_avatar())
    return path.read_bytes()


def write_raw(path: Path, tensors: dict[str, Any], record: str, **header: str) -> None:
    """A file whose checksum is right whatever it holds, written without the product's writer."""
    crc = zlib.crc32(record.encode())
    for name in TENSORS:
        if name in tensors:
            crc = zlib.crc32(np.ascontiguousarray(tensors[name]).data, crc)
    metadata = {"format": FORMAT, "version": VERSION, "meta": record, "crc32": f"{crc:08x}"}
    path.write_bytes(safetensors.numpy.save(tensors, metadata={**metadata, **header}))


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_avatar(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_round_trip_keeps_every_field(tmp_path: Path) -> None:
    avatar = make_avatar()
    save_avatar(tmp_path / "a.vasa", avatar)
    loaded = load_avatar(tmp_path / "a.vasa")
    assert loaded.meta == avatar.meta
    for name, array in avatar.tensors().items():
        assert loaded.tensors()[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.tensors()[name], array, err_msg=name)
    assert os.listdir(tmp_path) == ["a.vasa"]


def test_header_is_plain_safetensors_with_the_format_and_version(good_bytes: bytes) -> None:
    length = int.from_bytes(good_bytes[:8], "little")
    header = json.loads(good_bytes[8 : 8 + length])
    assert header["__metadata__"]["format"] == "vasa_cam.avatar"
    assert header["__metadata__"]["version"] == "1"
    assert json.loads(header["__metadata__"]["meta"])["canvas_px"] == [16, 12]


def test_an_independent_writer_makes_a_readable_file(tmp_path: Path) -> None:
    record = json.dumps(asdict(make_meta()))
    write_raw(tmp_path / "a.vasa", make_tensors(), record)
    assert load_avatar(tmp_path / "a.vasa").meta == make_meta()


def test_save_into_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing does not exist; create it"):
        save_avatar(tmp_path / "missing" / "a.vasa", make_avatar())


def test_failed_save_keeps_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.vasa"
    path.write_bytes(b"older")

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InputError, match="No space left"):
        save_avatar(path, make_avatar())
    assert path.read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["a.vasa"]


def test_missing_folder_and_text_files(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.vasa", "There is no file")
    assert_refused(tmp_path, "folder")
    (tmp_path / "text.vasa").write_text("hello, this is no avatar")
    assert_refused(tmp_path / "text.vasa", "text.vasa")
    (tmp_path / "empty.vasa").write_bytes(b"")
    assert_refused(tmp_path / "empty.vasa")


def test_other_format_and_version(tmp_path: Path) -> None:
    record = json.dumps(asdict(make_meta()))
    path = tmp_path / "a.vasa"
    write_raw(path, make_tensors(), record, version="2")
    assert_refused(path, "version", "'2'")
    write_raw(path, make_tensors(), record, format="other")
    assert_refused(path, "header")
    path.write_bytes(safetensors.numpy.save({"weight": np.zeros(3, np.float32)}))
    assert_refused(path, "header")


@FUZZ
@given(data=st.data())
def test_any_flipped_bit_is_refused(tmp_path: Path, good_bytes: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(good_bytes) - 1))
    damaged = bytearray(good_bytes)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped.vasa"
    path.write_bytes(bytes(damaged))
    assert_refused(path)


@FUZZ
@given(data=st.data())
def test_any_truncation_is_refused(tmp_path: Path, good_bytes: bytes, data: st.DataObject) -> None:
    path = tmp_path / "short.vasa"
    path.write_bytes(good_bytes[: data.draw(st.integers(0, len(good_bytes) - 1))])
    assert_refused(path)


@FUZZ
@given(content=st.binary(max_size=300), length=st.integers(0, 2**64 - 1))
def test_random_bytes_are_refused(tmp_path: Path, content: bytes, length: int) -> None:
    path = tmp_path / "random.vasa"
    path.write_bytes(content)
    assert_refused(path)
    path.write_bytes(length.to_bytes(8, "little") + content)
    assert_refused(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@FUZZ
@given(field=st.sampled_from(sorted(asdict(make_meta()))), value=JSON)
def test_odd_records_are_refused_or_valid(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "record.vasa"
    write_raw(path, make_tensors(), json.dumps({**asdict(make_meta()), field: value}))
    try:
        loaded = load_avatar(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        got = getattr(loaded.meta, field)
        assert got == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("record", ["", "[]", "{}", "nan", "[" * 5000])
def test_records_that_are_no_record(tmp_path: Path, record: str) -> None:
    write_raw(tmp_path / "a.vasa", make_tensors(), record)
    assert_refused(tmp_path / "a.vasa", "record")


@pytest.mark.parametrize("name", sorted(TENSORS))
def test_wrong_dtype_shape_and_missing_tensor_are_named(tmp_path: Path, name: str) -> None:
    record = json.dumps(asdict(make_meta()))
    path = tmp_path / "a.vasa"
    tensors = make_tensors()
    good = tensors[name]
    write_raw(path, {**tensors, name: good.astype(np.float64)}, record)
    assert_refused(path, name, "float64")
    write_raw(path, {**tensors, name: np.zeros((*good.shape, 2), good.dtype)}, record)
    assert_refused(path, name)
    fixed_axes = [axis for axis, size in enumerate(TENSORS[name].shape) if isinstance(size, int)]
    if fixed_axes:
        shape = list(good.shape)
        shape[fixed_axes[-1]] += 1
        write_raw(path, {**tensors, name: np.zeros(shape, good.dtype)}, record)
        assert_refused(path, name)
    del tensors[name]
    write_raw(path, tensors, record)
    assert_refused(path, name)


FLOATS = sorted(name for name, spec in TENSORS.items() if spec.dtype == "float32")
INDICES = sorted(name for name, spec in TENSORS.items() if spec.dtype == "int32")


@FUZZ
@given(
    name=st.sampled_from(FLOATS),
    value=st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -2e6]),
    at=st.integers(0, 10**6),
)
def test_values_that_are_not_finite_are_refused(
    tmp_path: Path, name: str, value: float, at: int
) -> None:
    tensors = make_tensors()
    tensors[name].flat[at % tensors[name].size] = value
    write_raw(tmp_path / "a.vasa", tensors, json.dumps(asdict(make_meta())))
    assert_refused(tmp_path / "a.vasa", name)


@FUZZ
@given(
    name=st.sampled_from(INDICES),
    value=st.integers(468, 2**31 - 1) | st.integers(-(2**31), -1),
    at=st.integers(0, 10**6),
)
def test_indices_out_of_range_are_refused(tmp_path: Path, name: str, value: int, at: int) -> None:
    tensors = make_tensors()
    tensors[name].flat[at % tensors[name].size] = value
    write_raw(tmp_path / "a.vasa", tensors, json.dumps(asdict(make_meta())))
    assert_refused(tmp_path / "a.vasa", name)


def test_canvas_and_layers_must_agree(tmp_path: Path) -> None:
    tensors = make_tensors()
    with pytest.raises(ValueError, match="canvas_px"):
        Avatar(make_meta(canvas_px=(17, 12)), **tensors)
    with pytest.raises(ValueError, match="plate_rgb"):
        Avatar(make_meta(), **{**tensors, "plate_rgb": np.zeros((11, 16, 3), np.uint8)})
    with pytest.raises(ValueError, match="glasses_rgba"):
        Avatar(make_meta(), **{**tensors, "glasses_rgba": np.zeros((3, 4, 4), np.uint8)})
    glasses = np.zeros((12, 16, 4), np.uint8)
    assert Avatar(make_meta(), **{**tensors, "glasses_rgba": glasses}).glasses_rgba.size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("view_px", (10.0, 0.0, 10.0, 10.0)),
        ("view_px", (0.0, 0.0, 0.0, 10.0)),
        ("iod_px", float("nan")),
        ("focal_px", -1.0),
        ("canvas_px", (16.0, 12.0)),
        ("notes", ["a list"]),
        ("closed_mouth", 1),
    ],
)
def test_meta_is_checked_when_made(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field.partition("_")[0]):
        make_meta(**{field: value})
