"""Where a case runs: arrays of that device, emptied caches, and single readings of a clock.

On a GPU a reading is the time between two events in the stream. The stream is held up first, so
that the CPU has sent the whole call before the GPU begins with it: what is read is the GPU's work,
not Python's.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.bench import machine
from vasa_cam.bench.case import Call
from vasa_cam.errors import InputError

Clock = Literal["device", "wall"]

_SHORTEST_READING_S: Final = 200e-6
"""A clock read every few microseconds would show itself and the timer's grain."""
_WARM_ONCE_S: Final = 0.02
"""A call that takes longer has filled the caches itself: its first run is the reading."""
_DEFAULT_CACHE_BYTES: Final = 64 << 20
_FLUSH_FACTOR: Final = 1.25
_HOLD_NUMBERS: Final = 2048
_HOLD_ROUNDS: Final = 100_000
"""About half a millisecond on a GPU of 1.7 GHz: longer than it takes to send an op."""


class Device(ABC):
    """A processor and its clock. place: what native handles take as `device`."""

    kind: ClassVar[str]
    place: tuple[str, int]

    @abstractmethod
    def array(self, values: npt.ArrayLike, dtype: str | None = None) -> Any:
        """These numbers in a C-contiguous array on the device, of another type if named."""

    @abstractmethod
    def cold_bytes(self) -> int:
        """How much memory is read to empty the caches; 0 where there is too little of it."""

    @abstractmethod
    def reading(self, call: Call, repeats: int, cold: bool, clock: Clock) -> Callable[[], float]:
        """Run a call, `repeats` times between two looks at the clock; gives a function that tells
        the seconds of one, to be called after `finish`."""

    @abstractmethod
    def finish(self) -> None:
        """Wait until everything sent has been computed."""

    @abstractmethod
    def host_copy(self, array: Any) -> Callable[[Any], npt.NDArray[Any]]:
        """A function that copies arrays like this one to host memory of their own and waits."""

    def repeats(self, call: Call) -> int:
        """How often a call must run for a reading long enough to trust."""
        start = time.perf_counter()
        call()
        self.finish()
        taken = time.perf_counter() - start
        return max(1, math.ceil(_SHORTEST_READING_S / max(taken, 1e-7)))


class CpuDevice(Device):
    """The processor, with the core's threads."""

    kind = "cpu"

    def __init__(self) -> None:
        self.place = ("cpu", 0)
        self._flushed: npt.NDArray[np.int64] | None = None

    def array(self, values: npt.ArrayLike, dtype: str | None = None) -> Any:
        if dtype == "bfloat16":  # NumPy has none
            import torch

            return torch.from_numpy(np.array(values, np.float32)).to(torch.bfloat16)
        return np.array(values, dtype)

    def cold_bytes(self) -> int:
        caches = machine.cache_bytes()
        wanted = int(_FLUSH_FACTOR * max([*caches.values(), _DEFAULT_CACHE_BYTES]))
        room = machine.available_memory_bytes()
        return wanted if room is None or wanted < room // 4 else 0

    def reading(self, call: Call, repeats: int, cold: bool, clock: Clock) -> Callable[[], float]:
        if cold:
            repeats = 1
            self._flush()
        else:
            start = time.perf_counter()
            call()  # the ways take turns: the other one's data lies in the caches
            once = time.perf_counter() - start
            if once > _WARM_ONCE_S:
                return lambda: once
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        taken = (time.perf_counter() - start) / repeats
        return lambda: taken

    def finish(self) -> None:
        """Nothing is ever outstanding."""

    def host_copy(self, array: Any) -> Callable[[Any], npt.NDArray[Any]]:
        host = np.empty(array.shape, array.dtype)

        def copy(values: Any) -> npt.NDArray[Any]:
            np.copyto(host, values)
            return host

        return copy

    def _flush(self) -> None:
        """Read more than the caches hold, on every core, as each has some of its own."""
        if self._flushed is None:
            self._flushed = np.ones(self.cold_bytes() // 8, np.int64)
        shares = np.array_split(self._flushed, machine.cores())
        with ThreadPoolExecutor(len(shares)) as pool:
            list(pool.map(np.max, shares))


class CudaDevice(Device):
    """One GPU, its arrays made by torch, or by CuPy where there is no torch."""

    kind = "cuda"

    def __init__(self, ordinal: int = 0) -> None:
        self.place = ("cuda", ordinal)
        self.library = _array_library()
        self._hold = self.array(np.zeros(_HOLD_NUMBERS, np.float32))
        self._flushed: Any = None

    def array(self, values: npt.ArrayLike, dtype: str | None = None) -> Any:
        host = np.ascontiguousarray(values)
        if self.library == "torch":
            import torch

            made = torch.from_numpy(host.copy()).to(f"cuda:{self.place[1]}")
            return made if dtype is None else made.to(getattr(torch, dtype))
        import cupy

        with cupy.cuda.Device(self.place[1]):
            return cupy.asarray(host, dtype)

    def cold_bytes(self) -> int:
        return max(4 * self.cache_bytes(), 256 << 20)

    def cache_bytes(self) -> int:
        """Size of the GPU's second-level cache."""
        if self.library == "torch":
            import torch

            properties = torch.cuda.get_device_properties(self.place[1])
            return int(getattr(properties, "L2_cache_size", _DEFAULT_CACHE_BYTES))
        import cupy

        return int(cupy.cuda.runtime.getDeviceProperties(self.place[1])["l2CacheSize"])

    def reading(self, call: Call, repeats: int, cold: bool, clock: Clock) -> Callable[[], float]:
        if cold:
            self._flush()
        else:
            call()
        if clock == "wall":
            self.finish()
            began = time.perf_counter()
            call()
            self.finish()
            taken = time.perf_counter() - began
            return lambda: taken
        ops.multiply_add(self._hold, 1.0, 0.0, _HOLD_ROUNDS)
        start, end = self._event(), self._event()
        start.record()
        call()
        end.record()
        return lambda: self._seconds_between(start, end)

    def repeats(self, call: Call) -> int:
        return 1

    def finish(self) -> None:
        if self.library == "torch":
            import torch

            torch.cuda.synchronize(self.place[1])
        else:
            import cupy

            cupy.cuda.Device(self.place[1]).synchronize()

    def host_copy(self, array: Any) -> Callable[[Any], npt.NDArray[Any]]:
        if self.library == "torch":
            import torch

            pinned = torch.empty(array.shape, dtype=array.dtype, pin_memory=True)
            host: npt.NDArray[Any] = pinned.numpy()
        else:
            import cupyx

            host = cupyx.empty_pinned(array.shape, array.dtype)

        def copy(values: Any) -> npt.NDArray[Any]:
            if self.library == "torch":
                pinned.copy_(values, non_blocking=True)
            else:
                values.get(out=host, blocking=False)
            self.finish()
            return host

        return copy

    def _flush(self) -> None:
        if self._flushed is None:
            self._flushed = self.array(np.zeros(self.cold_bytes() // 4, np.float32))
        ops.triad(self._flushed, self._flushed, 0.0, self._flushed)

    def _event(self) -> Any:
        if self.library == "torch":
            import torch

            return torch.cuda.Event(enable_timing=True)
        import cupy

        return cupy.cuda.Event()

    def _seconds_between(self, start: Any, end: Any) -> float:
        if self.library == "torch":
            return 1e-3 * float(start.elapsed_time(end))
        import cupy

        return 1e-3 * float(cupy.cuda.get_elapsed_time(start, end))


def open_device(kind: str) -> Device:
    """The device of this kind. Raises InputError when there is none, with what is missing."""
    if kind == "cpu":
        return CpuDevice()
    if kind != "cuda":
        raise InputError(f"--device must be cpu or cuda, got {kind}.")
    info = ops.build_info()
    if not info["cuda_compiled"]:
        raise InputError(
            "this build of vasa-cam has no CUDA; install it where nvcc is, or use --device cpu."
        )
    if not info["cuda_devices"]:
        raise InputError(
            "no CUDA device was found, so there is nothing to measure; use --device cpu, or run "
            "this on a machine with an NVIDIA GPU and its driver."
        )
    return CudaDevice()


def has_module(name: str) -> bool:
    """Whether a package can be imported; does not import it."""
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _array_library() -> str:
    if has_module("torch"):
        import torch

        if torch.cuda.is_available():
            return "torch"
    if has_module("cupy"):
        import cupy

        if cupy.cuda.is_available():
            return "cupy"
    raise InputError(
        "arrays on a GPU need torch with CUDA or CuPy, and neither works here; "
        "install vasa-cam[volume] or vasa-cam[cuda]."
    )
