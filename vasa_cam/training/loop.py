"""The training loop that encoder, generator and distillation share.

Runs on a CPU, a GPU, or several GPUs (torchrun sets RANK, WORLD_SIZE, LOCAL_RANK). The whole state
is saved every few hundred steps and a run goes on from it when started again with the same folder.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Batch = dict[str, torch.Tensor]
Arrays = dict[str, npt.NDArray[Any]]
Log = Callable[[str], None]
LossOf = Callable[[nn.Module, Batch], tuple[torch.Tensor, dict[str, float]]]


@dataclass(frozen=True)
class LoopConfig:
    """One run. rate: peak learning rate, reached after the share warm_up of the steps. decay:
    AdamW's. average: of the weights, per step. clip: largest gradient norm. workers: processes that
    make batches. threads: torch's on a CPU. save_every, log_every: steps. seed: of weights, batches
    and noise.
    """

    steps: int = 4000
    rate: float = 2e-3
    decay: float = 1e-2
    warm_up: float = 0.1
    average: float = 0.998
    clip: float = 1.0
    workers: int = 1
    threads: int = 1
    save_every: int = 500
    log_every: int = 100
    seed: int = 11


@dataclass(frozen=True)
class Place:
    """Where this process trains. rank 0 logs and saves."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @classmethod
    def find(cls) -> Place:
        """From torchrun's environment, else the first GPU, else the CPU."""
        world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        if world > 1:
            torch.distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(torch.device("cuda", local) if cuda else torch.device("cpu"), rank, world)


def _serve(make: Callable[[int], Iterator[Arrays]], seed: int, queue: Any) -> None:
    torch.set_num_threads(1)
    for batch in make(seed):
        queue.put(batch)


def background(
    make: Callable[[int], Iterator[Arrays]], seed: int, workers: int
) -> Iterator[Arrays]:
    """Batches of make(seed), made by `workers` processes in turn: the same order in every run."""
    if workers == 0:
        yield from make(seed)
        return
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(4) for _ in range(workers)]
    processes = [
        context.Process(target=_serve, args=(make, seed * 1009 + i, queue), daemon=True)
        for i, queue in enumerate(queues)
    ]
    for process in processes:
        process.start()
    try:
        while True:
            for queue in queues:
                yield queue.get()
    finally:
        for process in processes:
            process.terminate()


class _Run:
    """Module, average, optimiser and step of one run; saved and restored together."""

    def __init__(self, module: nn.Module, config: LoopConfig, place: Place) -> None:
        self.config, self.place = config, place
        self.module = module.to(place.device)
        self.average = copy.deepcopy(self.module)
        self.optimiser = torch.optim.AdamW(
            self.module.parameters(), lr=config.rate, weight_decay=config.decay
        )
        self.step = 0

    def parts(self) -> dict[str, Any]:
        return {
            "module": self.module,
            "average": self.average,
            "optimiser": self.optimiser,
        }

    def save(self, path: Path) -> None:
        state = {name: part.state_dict() for name, part in self.parts().items()}
        temporary = path.with_name(f".{path.name}.new")
        torch.save({**state, "step": self.step}, temporary)
        os.replace(temporary, path)

    def restore(self, path: Path) -> None:
        state = torch.load(path, map_location=self.place.device, weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.step = int(state["step"])

    def set_rate(self) -> None:
        """The learning rate of the next step: up along a cosine, then down to zero."""
        done = self.step / self.config.steps
        warm = self.config.warm_up
        part = done / warm if done < warm else 1.0 - (done - warm) / (1.0 - warm)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate * max(0.02, 0.5 - 0.5 * np.cos(np.pi * part))

    def follow(self) -> None:
        """Move the average towards the module; quickly at first."""
        keep = min(self.config.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for target, source in zip(
                self.average.parameters(), self.module.parameters(), strict=True
            ):
                target.lerp_(source, 1.0 - keep)


def _writer(folder: Path, place: Place) -> Any:
    if place.rank:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "log"))


def train(
    module: nn.Module,
    make: Callable[[int], Iterator[Arrays]],
    loss_of: LossOf,
    config: LoopConfig,
    folder: Path,
    log: Log,
    checkpoint: Callable[[nn.Module, int], None],
) -> nn.Module:
    """Optimise `module` on make(seed)'s batches; returns the weight-averaged module.

    loss_of(module, batch) -> the loss and figures to log. folder: gets state.pt, and TensorBoard
    logs when that is installed; a run that was interrupted goes on from there.
    checkpoint(average, step): called whenever the state is saved, on rank 0.
    """
    place = Place.find()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed * 7919 + place.rank)
    folder.mkdir(parents=True, exist_ok=True)
    run, state = _Run(module, config, place), folder / "state.pt"
    if state.is_file():
        run.restore(state)
        log(f"going on from step {run.step}")
    trained: nn.Module = run.module
    if place.world > 1:
        trained = nn.parallel.DistributedDataParallel(run.module)
    writer = _writer(folder, place)
    seed = config.seed + 31 * place.rank + 101 * run.step
    batches, sums, begin = background(make, seed, config.workers), dict[str, float](), time.time()
    while run.step < config.steps:
        batch = {k: torch.from_numpy(v).to(place.device) for k, v in next(batches).items()}
        loss, figures = loss_of(trained, batch)
        run.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(run.module.parameters(), config.clip)
        run.set_rate()
        run.optimiser.step()
        run.follow()
        run.step += 1
        for name, value in {"loss": float(loss.detach()), **figures}.items():
            sums[name] = sums.get(name, 0.0) + value
        if run.step % config.log_every == 0 and place.rank == 0:
            means = {name: total / config.log_every for name, total in sums.items()}
            text = " ".join(f"{name} {value:.4f}" for name, value in means.items())
            log(f"step {run.step} {text} ({(time.time() - begin) / config.log_every:.3f} s a step)")
            for name, value in means.items():
                if writer:
                    writer.add_scalar(name, value, run.step)
            sums, begin = {}, time.time()
        last = run.step == config.steps
        if (run.step % config.save_every == 0 or last) and place.rank == 0:
            run.save(state)
            run.average.eval()
            checkpoint(run.average, run.step)
            begin = time.time()
    batches.close()  # type: ignore[attr-defined]
    if place.world > 1:
        torch.distributed.destroy_process_group()
    run.average.eval()
    return run.average


def mixed_precision(device: torch.device) -> Any:
    """bfloat16 for the matrix products; sums stay float32."""
    return torch.autocast(device.type, torch.bfloat16)


def stacked(rows: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """np.stack, contiguous."""
    return np.ascontiguousarray(np.stack(rows))
