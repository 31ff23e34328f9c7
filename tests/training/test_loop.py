"""The training loop: one process, several, interrupted ones; and the same numbers every time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.neural

# A straight line through noisy points; run by one process here and by several through torchrun.
SCRIPT = """
import sys
from pathlib import Path
import numpy as np, torch
from vasa_cam.training.loop import LoopConfig, Place, train

def batches(seed):
    rng = np.random.default_rng(seed)
    while True:
        x = rng.standard_normal((64, 1)).astype(np.float32)
        yield {"x": x, "y": 3.0 * x - 1.0 + 0.01 * rng.standard_normal((64, 1), np.float32)}

def loss(module, batch):
    return (module(batch["x"]) - batch["y"]).square().mean(), {}

config = LoopConfig(steps=150, rate=0.1, workers=0, save_every=50, log_every=50, average=0.9)
module = torch.nn.Linear(1, 1)
seen = []
done = train(module, batches, loss, config, Path(sys.argv[1]), seen.append, lambda m, s: None)
print(len(seen), float(done.weight), float(done.bias))
"""


def _run(command: list[str], folder: Path) -> list[list[float]]:
    script = folder / "line.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, *command, str(script), str(folder / "run")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return sorted([float(x) for x in line.split()] for line in done.stdout.splitlines())


def test_one_process_learns_the_line(tmp_path: Path) -> None:
    ((lines, slope, offset),) = _run([], tmp_path)
    assert lines == 3
    assert (slope, offset) == pytest.approx((3.0, -1.0), abs=0.05)
    # Started again with the same folder there is nothing left to do, and the result is the same.
    assert _run([], tmp_path) == [[1.0, slope, offset]]


def test_two_processes_learn_one_line_together(tmp_path: Path) -> None:
    """torchrun with gloo: both end with the same weights, only the first one logs."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    first, second = _run(launcher, tmp_path)
    assert (first[0], second[0]) == (0.0, 3.0)
    assert first[1:] == second[1:] == pytest.approx([3.0, -1.0], abs=0.05)


def _numbers(seed: int) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    while True:
        yield {"x": rng.standard_normal(3)}


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_the_same_order_every_time(workers: int) -> None:
    pytest.importorskip("torch")
    from vasa_cam.training.loop import background

    def first_five() -> np.ndarray:
        source = background(_numbers, 4, workers)
        rows = [next(source)["x"] for _ in range(5)]
        source.close()  # type: ignore[attr-defined]
        return np.stack(rows)

    np.testing.assert_array_equal(first_five(), first_five())
