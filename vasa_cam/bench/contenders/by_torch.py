"""torch as a contender: tensors on the case's device, its compiler, CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy.typing as npt

from vasa_cam.bench.case import Call, Way
from vasa_cam.bench.devices import Device

GRAPHED: Final = "torch compiled, in a graph"
Run = Callable[[], Any]
"""Computes once, from tensors that it holds."""


def tensor(device: Device, values: npt.ArrayLike, dtype: str = "float32") -> Any:
    """A torch tensor of these numbers on the device."""
    import numpy as np
    import torch

    made = torch.from_numpy(np.array(values)).to(getattr(torch, dtype))
    return made.to(torch_device(device))


def torch_device(device: Device) -> str:
    """The device's name in torch."""
    return "cpu" if device.kind == "cpu" else f"cuda:{device.place[1]}"


def torch_ways(
    device: Device, make: Callable[[], Run], eager: str = "torch eager", note: str = "", **way: Any
) -> list[Way]:
    """The same torch code as it is, and compiled; on a GPU the compiled one is a CUDA graph.

    make: builds the tensors and gives the run.
    """

    def plain() -> Call:
        return without_gradients(make())

    def fast() -> Call:
        return compiled(device, make())

    name = "torch compiled" if device.kind == "cpu" else GRAPHED
    return [
        Way(eager, plain, needs=("torch",), note=note, **way),
        Way(name, fast, needs=("torch",), note=note, **way),
    ]


def without_gradients(run: Run) -> Call:
    """Run in inference mode, with cuDNN's algorithms measured for all alike."""
    import torch

    torch.backends.cudnn.benchmark = True

    def call() -> Any:
        with torch.inference_mode():
            return run()

    return call


def compiled(device: Device, run: Run) -> Call:
    """torch.compile at its best: on a GPU max-autotune, captured into a CUDA graph."""
    import torch

    # A case's code is compiled for its shapes alone, and not again for those of the next case.
    torch._dynamo.reset()
    if device.kind == "cpu":
        return without_gradients(torch.compile(run, dynamic=False))
    fast = without_gradients(torch.compile(run, dynamic=False, mode="max-autotune-no-cudagraphs"))
    return graphed(fast)


def graphed(run: Run) -> Call:
    """A CUDA graph of the run: one launch, no work for Python."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()

    def replay() -> Any:
        graph.replay()
        return out

    return replay
