"""Files as torch, NumPy and safetensors write them come out as they went in."""

from __future__ import annotations

import argparse
import collections
import io
import pathlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vasa_cam
from vasa_cam.checkpoints.reading import read_checkpoint
from vasa_cam.checkpoints.stored import RefusedError
from vasa_cam.errors import InputError


@pytest.mark.neural
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_is_read_as_torch_reads_it(tmp_path: Path, zipped: bool) -> None:
    import torch

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
    state = network.state_dict()
    base = torch.arange(60.0).reshape(5, 12)
    state["transposed"] = base.t()
    state["slice"] = base[1:4, 2:9:3]
    state["same_storage"] = base
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    state["empty"] = torch.zeros(0, 4)
    state["scalar"] = torch.tensor(3.5)
    for kind in ("float16", "bfloat16", "float64", "int8", "uint8", "int16", "int32", "bool"):
        state[kind] = (torch.arange(-3, 4) * 1.5).to(getattr(torch, kind))
    path = tmp_path / "state.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    content = read_checkpoint(path)
    assert content.format == ("zip" if zipped else "legacy")
    assert list(content.value) == list(state)
    for key, tensor in state.items():
        stored = content.value[key]
        assert (stored.shape, stored.kind) == (tuple(tensor.shape), str(tensor.dtype)[6:])
        expected = tensor.detach()
        expected = (expected.float() if expected.dtype == torch.bfloat16 else expected).numpy()
        array = stored.array()
        assert array.dtype == expected.dtype and array.flags.c_contiguous
        np.testing.assert_array_equal(array, expected)


@pytest.mark.neural
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_options_are_data_and_only_where_they_are_expected(tmp_path: Path, zipped: bool) -> None:
    import torch

    args = argparse.Namespace(
        lr=1e-4, n_motions=100, name="head", data=pathlib.Path("/data/x/y"),
        rel=pathlib.Path("a/b"), none=None, flag=True, sizes=[1, 2],
    )  # fmt: skip
    path = tmp_path / "iter.pt"
    content = {"args": args, "model": {"w": torch.ones(2, 3)}, "iter": 50}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RefusedError, match=r"wants to make a argparse\.Namespace"):
        read_checkpoint(path)
    read = read_checkpoint(path, "options").value
    assert read["args"] == {
        "lr": 1e-4, "n_motions": 100, "name": "head", "data": "/data/x/y", "rel": "a/b",
        "none": None, "flag": True, "sizes": [1, 2],
    }  # fmt: skip
    assert read["iter"] == 50
    assert read["model"]["w"].array().tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.neural
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_cut_file_is_damaged(tmp_path: Path, zipped: bool) -> None:
    import torch

    path = tmp_path / "state.pth"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in (20, 200, len(whole) - 500, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"state\.pth is not used: "):
            read_checkpoint(path).value["a"].array()


@pytest.mark.neural
def test_a_flipped_byte_in_a_zip_is_seen(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "state.pth"
    torch.save({"a": torch.full((1000,), 7.0)}, path)
    damaged = bytearray(path.read_bytes())
    place = damaged.index(np.full(4, 7, np.float32).tobytes()) + 100
    damaged[place] ^= 1
    path.write_bytes(damaged)
    tensor = read_checkpoint(path).value["a"]
    with pytest.raises(InputError, match=r"state\.pth"):
        tensor.array()


@pytest.mark.neural
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "program.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(RefusedError, match="TorchScript"):
        read_checkpoint(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_dict_of_arrays(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {
        "mean_exp": rng.normal(size=63).astype(np.float32),
        "std_exp": rng.normal(size=(1, 21, 3)),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4)).astype(np.float32)),
        "count": np.int64(7),
        "flag": np.bool_(True),
        "half": np.arange(5, dtype=np.float16),
        "empty": np.zeros((0, 2)),
        "plain": 3,
    }
    path = tmp_path / "template.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol))
    read = read_checkpoint(path, "arrays").value
    assert list(read) == list(arrays)
    for key, value in arrays.items():
        np.testing.assert_array_equal(read[key], value)
        assert np.asarray(read[key]).dtype == np.asarray(value).dtype
    with pytest.raises(RefusedError, match=r"numpy\."):
        read_checkpoint(path)


def test_ordered_dicts_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "ordered.pkl"
    ordered = collections.OrderedDict([("b", 1), ("a", [1.5, None, (True, "x")])])
    path.write_bytes(pickle.dumps(ordered, 2))
    assert read_checkpoint(path).value == dict(ordered)


@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "int64", "bool", "uint8"])
def test_safetensors(tmp_path: Path, kind: str) -> None:
    from safetensors.numpy import save

    array = (np.arange(12).reshape(3, 4) % 5).astype(kind)
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"x": array, "nothing": np.zeros((0, 3), kind)}))
    tensors = read_checkpoint(path).value
    np.testing.assert_array_equal(tensors["x"].array(), array)
    assert tensors["x"].array().dtype == kind
    assert tensors["nothing"].array().shape == (0, 3)


@pytest.mark.neural
def test_safetensors_in_bfloat16(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensor = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    read = read_checkpoint(tmp_path / "x.safetensors").value["x"]
    assert read.kind == "bfloat16"
    np.testing.assert_array_equal(read.array(), tensor.float().numpy())


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "nowhere.pth")
    for words in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(64)):
        (tmp_path / "no.pth").write_bytes(words)
        with pytest.raises(InputError, match="of no checkpoint"):
            read_checkpoint(tmp_path / "no.pth")


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    buffer = io.BytesIO(pickle.dumps({"a": np.ones(3)}, 4))
    (tmp_path / "a.pkl").write_bytes(buffer.getvalue())
    program = (
        "import sys; from pathlib import Path\n"
        "from vasa_cam.checkpoints.reading import read_checkpoint\n"
        "assert read_checkpoint(Path('a.pkl'), 'arrays').value['a'].sum() == 3\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(vasa_cam.__file__).parents[1])},
        check=True,
        timeout=120,
    )
