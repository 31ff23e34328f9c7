"""Files made to do harm: nothing in them runs, and none takes memory out of proportion."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import KEYS, Calls, legacy, rebuild, zipped

from vasa_cam.checkpoints import machine
from vasa_cam.checkpoints.machine import Machine
from vasa_cam.checkpoints.reading import VOCABULARIES, read_checkpoint
from vasa_cam.checkpoints.stored import RefusedError
from vasa_cam.checkpoints.vocabulary import ARRAYS, TENSORS, WITH_OPTIONS

EVERYTHING = {**TENSORS, **WITH_OPTIONS, **ARRAYS}


@pytest.mark.parametrize(
    "call",
    [
        Calls(os.system, "touch harm"),
        Calls(eval, "open('harm', 'w')"),
        Calls(getattr, "os", "system"),
        Calls(__import__, "os"),
        Calls(pickle.loads, b"."),
        Calls(np.load, "harm"),
        Calls(collections.defaultdict, list),
        Calls(bytearray, 10**12),
        Calls(zipfile.ZipFile, "harm", "w"),
    ],
    ids=lambda call: call._call[0].__name__,
)
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_run(
    call: Calls, vocabulary: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps({"weight": call}, protocol)
    path = zipped(Path("evil.pth"), pickled, {"0": bytes(32)})
    with pytest.raises(RefusedError, match=r"wants to make a .* nothing of it was run"):
        read_checkpoint(path, vocabulary)
    Path("evil.pkl").write_bytes(pickled if protocol else b"\x80\x02" + pickled)
    with pytest.raises(RefusedError, match="wants to make a"):
        read_checkpoint(Path("evil.pkl"), vocabulary)
    assert {p.name for p in tmp_path.iterdir()} == {"evil.pth", "evil.pkl"}


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00touch\x85R.",
        b"\x80\x02(X\x05\x00\x00\x00touchios\nsystem\n.",  # INST
        b"\x80\x02(cos\nsystem\nX\x01\x00\x00\x00xo.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02cbuiltins\nobject\n)\x81.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02ccollections\nOrderedDict.__class__\n.",
        b"\x80\x02ccollections\nOrderedDict.fromkeys\n.",
        b"\x80\x02ccollections.OrderedDict\nfromkeys\n.",
        b"\x80\x02Pid\n.",  # a persistent id as text
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x02]}b.",  # BUILD on a list
        b"\x80\x02X\x01\x00\x00\x00a)R.",  # a text is called
        b"\x80\x02}(]K\x01u.",  # a list as a key
        b"\x80\x02}(K\x01\x85K\x01u.",  # a tuple as a key
        b"\x80\x02\x8f.",  # a set
        b"\x80\x02h\x05.",  # never memoised
        b"\x80\x020.",
        b"\x80\x02.",
        b"\x80\x02N",
        b"\x80\x05\x97.",
        b"\x80\x02]aa.",
        b"\x80\x02K\x01a.",
        b"\x80\x02K\x01(u.",
    ],
)
@pytest.mark.parametrize("protected", [EVERYTHING, {}], ids=["all names", "no names"])
def test_only_data_comes_out(program: bytes, protected: dict[str, object]) -> None:
    with pytest.raises(RefusedError):
        Machine(protected).run(io.BytesIO(program))


@pytest.mark.parametrize(
    ("offset", "size", "stride", "words"),
    [
        (0, (9,), (1,), "reaches element 8 of a storage of 8"),
        (8, (1,), (1,), "reaches element 8"),
        (0, (2, 2), (7, 1), "reaches element 8"),
        (0, (2,), (2**40,), "reaches element"),
        (0, (2**40,), (0,), "more than once"),
        (0, (3, 3), (1, 1), "more than once"),
        (0, (2, 2), (1, 1), "more than once"),
        (0, (2,), (-1,), "numbers of this world"),
        (-4, (2,), (1,), "numbers of this world"),
        (0, (2**70,), (1,), "numbers of this world"),
        (0, (2.0,), (1,), "numbers of this world"),
        (0, (True,), (1,), "numbers of this world"),
        (0, (2,), (1, 1), "1 sizes and 2 strides"),
        (0, (1,) * 9, (1,) * 9, "at most 8"),
        (0, [2], (1,), "sizes and strides"),
        ("a", (2,), (1,), "numbers of this world"),
    ],
)
def test_tensors_stay_inside_their_storage(
    offset: object, size: object, stride: object, words: str, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "a.pth", rebuild(offset, size, stride), {"0": bytes(32)})
    with pytest.raises(RefusedError, match=words):
        read_checkpoint(path)


def test_the_tensor_of_these_tests_is_read_when_it_is_right(tmp_path: Path) -> None:
    data = np.arange(8, dtype="<f4").tobytes()
    path = zipped(tmp_path / "a.pth", rebuild(1, (2, 3), (3, 1)), {"0": data})
    assert read_checkpoint(path).value.array().tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("pickled", "storages", "words"),
    [
        (rebuild(0, (2,), (1,)), {}, "storage 0 is missing"),
        (rebuild(0, (2,), (1,)), {"0": bytes(31)}, "has 7 elements, its description says 8"),
        (rebuild(0, (2,), (1,)), {"0": bytes(36)}, "has 9 elements, its description says 8"),
        (rebuild(0, (2,), (1,), count=-1), {"0": bytes(32)}, "claims -1"),
        (rebuild(0, (2,), (1,), tail=b"\x89]K\x01a"), {"0": bytes(32)}, "hooks"),
        (b"\x80\x02ctorch\nFloatStorage\n(tR.", {"0": bytes(32)}, "not to be called"),
        (b"\x80\x02(X\x07\x00\x00\x00storagectorch\nQInt8Storage\n.", {}, "QInt8Storage"),
        (b"\x80\x02X\x06\x00\x00\x00moduleQ.", {}, "no storage"),
    ],
)
def test_storages_that_are_not_what_they_claim(
    pickled: bytes, storages: dict[str, bytes], words: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match=words):
        read_checkpoint(zipped(tmp_path / "a.pth", pickled, storages))


def test_compressed_entries_are_refused_before_they_grow(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.pth", b"\x80\x02" + b" " * 10_000_000, {}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    with pytest.raises(RefusedError, match="is compressed"):
        read_checkpoint(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02N.")
        archive.writestr("archive/data/0", bytes(4000))
        first = archive.infolist()[-1]
        for index in range(1, 50):
            copy = zipfile.ZipInfo(f"archive/data/{index}")
            copy.header_offset, copy.CRC = first.header_offset, first.CRC
            copy.file_size = copy.compress_size = first.file_size
            archive.filelist.append(copy)
    with pytest.raises(RefusedError, match="overlap"):
        read_checkpoint(path)


def test_a_directory_of_many_entries_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.pth", b"\x80\x02N.", {})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x05\x06") + 12, 40 << 20)
    path.write_bytes(data)
    with pytest.raises(RefusedError, match="more entries"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((rebuild(0, (2,), (1,)), KEYS, struct.pack("<q", 8), bytes(31)), "ends inside a storage"),
        ((rebuild(0, (2,), (1,)), KEYS, struct.pack("<q", 2**60)), "description says 8"),
        ((rebuild(0, (2,), (1,)), KEYS, struct.pack("<q", -8)), "description says 8"),
        ((rebuild(0, (2,), (1,)), pickle.dumps([], 2)), "1 storages are missing"),
        ((rebuild(0, (2,), (1,)), pickle.dumps(["0", "0"], 2), struct.pack("<q", 8), bytes(40)),
         "does not fit"),
        ((rebuild(0, (2,), (1,)), pickle.dumps({"0": 1}, 2)), "list of storages is damaged"),
        ((rebuild(0, (2,), (1,)), KEYS, b"\0"), "does not fit"),
        ((pickle.dumps({"a": Calls(os.system, "true")}, 2),), "wants to make a posix.system"),
        ((), "ends in the middle|damaged"),
    ],
)  # fmt: skip
def test_hostile_streams(parts: tuple[bytes, ...], words: str, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    path.write_bytes(legacy(*parts))
    with pytest.raises(RefusedError, match=words):
        read_checkpoint(path)


def test_a_good_stream_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    data = np.arange(8, dtype="<f4").tobytes()
    path.write_bytes(legacy(rebuild(2, (2,), (3,)), KEYS, struct.pack("<q", 8), data))
    assert read_checkpoint(path).value.array().tolist() == [2, 5]


def amplifying() -> Iterator[bytes]:
    """Small programs that would make much of little."""
    big = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    yield b"\x80\x02" + big + b"q\x000" + b"c_codecs\nencode\nh\x00\x85R" * 1000 + b"."
    yield b"\x80\x02" + big + b"q\x000" + b"cpathlib\nPath\nh\x00h\x00\x86R" * 1000 + b"."
    many = b"](" + b"X\x01\x00\x00\x00kK\x01\x86" * 100_000 + b"e"
    yield b"\x80\x02" + many + b"q\x000" + b"ccollections\nOrderedDict\nh\x00\x85R" * 5000 + b"."
    yield b"\x80\x02K\x00r\xff\xff\xff\xff."
    yield b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"
    yield b"\x80\x02B\xff\xff\xff\xffabc"
    yield b"\x80\x02I" + b"9" * 100_000 + b"\n."


@pytest.mark.parametrize("program", list(amplifying()), ids=range(7))
def test_little_does_not_become_much(program: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError):
            Machine(EVERYTHING).run(io.BytesIO(program))
            raise RefusedError("done, and it may be, as long as it was cheap")
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()


def test_shared_and_endless_values_are_walked_once(tmp_path: Path) -> None:
    path = tmp_path / "laughs.pkl"
    laughs = [["ha"] * 10]
    for _ in range(9):
        laughs = [laughs] * 10
    path.write_bytes(pickle.dumps(laughs, 2))
    assert read_checkpoint(path).value[0][0][0][0][0][0][0][0][0][0] == ["ha"] * 10
    endless: list[Any] = []
    endless.append(endless)
    for deep in (endless, [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]):
        path.write_bytes(pickle.dumps(deep, 2))
        with pytest.raises(RefusedError, match="nested deeper"):
            read_checkpoint(path)


def test_instructions_and_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_INSTRUCTIONS", 100)
    with pytest.raises(RefusedError, match="more than 100 instructions"):
        Machine({}).run(io.BytesIO(b"\x80\x02" + b"N0" * 200 + b"N."))
    monkeypatch.setattr(machine, "MOST_BYTES", 1 << 20)
    with pytest.raises(RefusedError, match="larger than 1 MiB"):
        Machine({}).run(io.BytesIO(pickle.dumps("a" * (2 << 20), 2)))
    with pytest.raises(RefusedError, match="larger than 1 MiB"):
        Machine({}).run(io.BytesIO(b"\x80\x02c" + b"a" * (2 << 20)))
