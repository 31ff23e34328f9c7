"""The native module as such: threads, instruction sets, and arrays that come in by DLPack."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from vasa_cam import _core, ops


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_build_info_describes_this_machine() -> None:
    info = ops.build_info()
    assert info["simd"] in info["simd_available"]
    assert info["simd_available"][0] == "baseline"
    assert info["compiler"]
    assert info["cuda_compiled"] == bool(info["cuda_version"])
    assert info["cuda_devices"] >= 0


def test_the_environment_chooses_the_instruction_set() -> None:
    code = "from vasa_cam import ops; print(ops.build_info()['simd'])"
    for level in ops.build_info()["simd_available"]:
        assert run_python(code, VASA_CAM_SIMD=level).stdout.strip() == level
    wrong = run_python(code, VASA_CAM_SIMD="mmx")
    assert wrong.returncode != 0
    assert "VASA_CAM_SIMD must be baseline, avx2 or avx512, got mmx" in wrong.stderr


def test_the_processor_has_what_is_said_to_be_available() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc/cpuinfo")
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        flags = next((set(line.split()) for line in text if line.startswith("flags")), set())
    available = ops.build_info()["simd_available"]
    assert "avx2" not in available or {"avx2", "fma", "f16c"} <= flags
    assert "avx512" not in available or {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags


@pytest.mark.parametrize("count", [0, -1, 65])
def test_refuses_a_senseless_number_of_threads(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        ops.set_num_threads(count)


def test_sets_the_number_of_threads() -> None:
    for count in (3, 1, 2):
        ops.set_num_threads(count)
        assert ops.get_num_threads() == count


def test_many_python_threads_share_the_pool() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 300, 400, 3), dtype=np.uint8)
    ops.set_num_threads(2)
    expected = [ops.pixel(frame, "i420") for frame in frames]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(ops.pixel(frames[number], "i420"), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    code = """
import os, warnings
import numpy as np
from vasa_cam import ops
warnings.simplefilter("ignore")  # Python warns about fork() beside threads; that is the test.
ops.set_num_threads(3)
frame = np.zeros((400, 400, 3), np.uint8)
ops.pixel(frame, "i420")
child = os.fork()
if child == 0:
    ops.pixel(frame, "i420")
    os._exit(ops.get_num_threads())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(code).stdout.strip() == "3"


class OldProducer:
    """An array that speaks DLPack as it was before version 1: no `max_version`, plain capsule."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.dtype, self.shape, self.flags = array.dtype, array.shape, array.flags

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, stream: None = None) -> Any:
        return self.array.__dlpack__()


def test_takes_capsules_of_both_dlpack_versions() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = np.empty_like(frame)
    ops.pixel(OldProducer(frame), "bgr", out=OldProducer(out))
    np.testing.assert_array_equal(out, frame[:, :, ::-1])


def test_gives_every_array_back() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    out = np.zeros((6, 4), np.uint8)
    before = sys.getrefcount(frame), sys.getrefcount(out)
    for _ in range(10):
        ops.pixel(frame, "i420", out=out)
        with pytest.raises(ValueError, match="target must be"):
            _core.pixel(frame, frame, "i420", "bt601", 0)
        with pytest.raises(ValueError, match="unknown format"):
            _core.pixel(frame, out, "yuyv", "bt601", 0)
    assert (sys.getrefcount(frame), sys.getrefcount(out)) == before


def test_takes_torch_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is only in the extra `train`")
    frame = torch.arange(96, dtype=torch.uint8).reshape(4, 8, 3)
    out = ops.pixel(frame, "bgr")
    assert isinstance(out, torch.Tensor)
    assert torch.equal(out, frame.flip(2))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            np.zeros((2, 2, 3), np.float64),
            TypeError,
            "source must be uint8, int8, int32, float32, float16 or bfloat16",
        ),
        (np.zeros((2, 2, 3), np.float16), ValueError, r"on cpu, got f16 \[2, 2, 3\]"),
        (np.zeros((1,) * 6, np.uint8), TypeError, "at most 5 axes, got 6"),
        (3, TypeError, "source must be an array .*got int"),
        (
            np.zeros((2, 2, 3), np.int8),
            ValueError,
            r"C-contiguous u8 \[\*, \*, \*\] on cpu, got i8",
        ),
        (np.zeros((2, 4, 3), np.uint8)[:, ::2], ValueError, "got non-contiguous u8"),
    ],
)
def test_the_core_itself_refuses_wrong_arrays(
    bad: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _core.pixel(bad, np.zeros((2, 2, 3), np.uint8), "rgb", "bt601", 0)


def test_the_core_itself_refuses_a_read_only_output() -> None:
    out = np.zeros((2, 2, 3), np.uint8)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="target is read-only"):
        _core.pixel(np.zeros((2, 2, 3), np.uint8), out, "rgb", "bt601", 0)
