"""Arrays and safetensors that claim what is not so, and files with random damage."""

from __future__ import annotations

import ast
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import KEYS, legacy, rebuild, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vasa_cam
from vasa_cam.checkpoints.machine import Machine
from vasa_cam.checkpoints.reading import VOCABULARIES, read_checkpoint
from vasa_cam.checkpoints.stored import RefusedError
from vasa_cam.checkpoints.vocabulary import ARRAYS, TENSORS, WITH_OPTIONS
from vasa_cam.errors import InputError

EVERYTHING = {**TENSORS, **WITH_OPTIONS, **ARRAYS}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ((1, (2,), np.dtype("O"), False, b"12345678"), "type O"),
        ((1, (3,), np.dtype("f4"), False, b"12345678"), "comes with 8 bytes"),
        ((1, (2**40, 2**40), np.dtype("f4"), False, b""), "shape"),
        ((1, (-2,), np.dtype("f4"), False, b"12345678"), "shape"),
        ((1, (2,), np.dtype(">f4"), False, b"12345678"), "unusual order"),
        ((1, (1,), np.dtype([("a", "f4"), ("b", "f4")]), False, b"12345678"), "type V8"),
        ((1, (2,), "f4", False, b"12345678"), "number type"),
        ((1, (2,), np.dtype("f4"), False, [1.0, 2.0]), "no bytes"),
        ((1, (2,)), "unknown state"),
    ],
)
def test_arrays_are_what_they_claim(state: object, words: str) -> None:
    made = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    program = made + pickle.dumps(state, 4)[2:-1] + b"b."
    frame = pickle.dumps(state, 4)
    if frame[2:3] == b"\x95":
        program = made + frame[11:-1] + b"b."
    with pytest.raises(RefusedError, match=words):
        Machine(ARRAYS).run(io.BytesIO(program))


def test_an_array_of_a_subclass_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"a": np.ma.masked_array([1.0, 2.0])}, 2))
    with pytest.raises(RefusedError, match=r"wants to make a numpy\.ma"):
        read_checkpoint(path, "arrays")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,17]}}', "size of a"),
        (b'{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}', "size of a"),
        (b'{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}', "size of a"),
        (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}', "size of a"),
        (b'{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', "F8_E4M3"),
        (b'{"a":{"dtype":["F32"],"shape":[4],"data_offsets":[0,16]}}', "type"),
        (b'{"a":[1]}', "entry a is damaged"),
        (b'{"a":{"shape":[4]}}', "entry a is damaged"),
        (b'{"a"', "header"),
        (b'{"__metadata__":{"a":1}}', "texts"),
        (b"{" * 5000, "header"),
    ],
)  # fmt: skip
def test_hostile_safetensors(header: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(RefusedError, match=words):
        read_checkpoint(path)


def test_safetensors_whose_tensors_share_bytes_are_refused(tmp_path: Path) -> None:
    one = '"{}":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    header = ("{" + ",".join(one.format(i) for i in range(9)) + "}").encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(RefusedError, match="overlap"):
        read_checkpoint(path)


def read_quietly(path: Path) -> None:
    """Whatever comes: either data, or one sentence."""
    for vocabulary in VOCABULARIES:
        try:
            value = read_checkpoint(path, vocabulary).value
        except InputError as error:
            assert "\n" not in str(error)
            continue
        for tensor in value.values() if isinstance(value, dict) else [value]:
            if hasattr(tensor, "storage"):
                try:
                    tensor.array()
                except InputError as error:
                    assert "\n" not in str(error)


def samples(folder: Path) -> list[bytes]:
    data = np.arange(8, dtype="<f4").tobytes()
    from safetensors.numpy import save

    return [
        zipped(folder / "a.pth", rebuild(1, (2, 3), (3, 1)), {"0": data}).read_bytes(),
        legacy(rebuild(2, (2,), (3,)), KEYS, struct.pack("<q", 8), data),
        pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "b": np.float32(1)}, 4),
        save({"a": np.arange(6.0), "b": np.ones((2, 2), np.int8)}),
    ]


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_data_or_one_sentence(data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(data.draw(st.sampled_from(samples(tmp_path))))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    path = tmp_path / "fuzzed.pth"
    path.write_bytes(whole)
    read_quietly(path)


_CODES = [bytes([code]) for code in range(256)]
_ARGUMENTS = st.sampled_from(
    [b"", b"\x00", b"\x01", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00a", b"1\n", b"os\nsystem\n",
     b"collections\nOrderedDict\n", b"numpy\ndtype\n", b"argparse\nNamespace\n",
     b"numpy.core.multiarray\n_reconstruct\n", b"torch._utils\n_rebuild_tensor_v2\n"]
)  # fmt: skip


@settings(max_examples=400)
@given(
    steps=st.lists(st.tuples(st.sampled_from(_CODES), _ARGUMENTS), max_size=30),
    names=st.sampled_from([EVERYTHING, {}]),
)
def test_random_programs_give_data_or_one_sentence(
    steps: list[tuple[bytes, bytes]], names: dict[str, object]
) -> None:
    program = b"\x80\x02" + b"".join(code + argument for code, argument in steps) + b"."
    try:
        Machine(names, lambda _: None).run(io.BytesIO(program))
    except RefusedError as error:
        assert "\n" not in str(error)


_UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def _unpickles(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in _UNPICKLERS for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        torch_load = node.module == "torch" and any(alias.name == "load" for alias in node.names)
        return torch_load or (node.module or "").partition(".")[0] in _UNPICKLERS
    if isinstance(node, ast.keyword):
        allowed = isinstance(node.value, ast.Constant) and node.value.value is False
        return node.arg == "allow_pickle" and not allowed
    return isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "torch.jit.load")


def test_nothing_in_the_package_unpickles() -> None:
    """Neither pickle nor what is built on it is imported, torch.load is not called.

    The one exception is a training run that goes on from the file it wrote itself, by torch's own
    restricted reader.
    """
    package = Path(vasa_cam.__file__).parent
    found = {
        (str(path.relative_to(package)), ast.unparse(node))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _unpickles(node)
    }
    assert found == {("training/loop.py", "torch.load")}
    resumed = (package / "training" / "loop.py").read_text(encoding="utf-8")
    assert resumed.count("torch.load(") == resumed.count("weights_only=True)") == 1
