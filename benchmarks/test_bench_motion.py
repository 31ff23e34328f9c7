"""Voice to motion: what a second of sound costs, live and in one piece, part by part.

The network step against ONNX Runtime and torch: benchmarks/ops/test_bench_sampler.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.audio import read_speech
from vasa_cam.motion.encoder import EncoderStream, load_encoder, packaged_encoder
from vasa_cam.motion.generator import load_generator
from vasa_cam.motion.sampler import LIVE, PAPER, SamplerConfig
from vasa_cam.motion.voice import VoiceConfig, VoiceStream

PACKAGE = Path(str(resources.files("vasa_cam")))
WEIGHTS = PACKAGE / "motion" / "weights"
SETTINGS = {
    "live": LIVE,
    "live-8-steps": replace(LIVE, steps=8),
    "50-steps": replace(PAPER, guidance=()),
    "50-steps-guided": PAPER,
}


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Float32 [16000 s]: six seconds of the demo's voice."""
    return read_speech(PACKAGE / "assets" / "demo_speech.flac")[: 6 * 16000]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = ops.get_num_threads()
    ops.set_num_threads(request.param)
    yield request.param
    ops.set_num_threads(before)


def _in_blocks(push: Callable[[np.ndarray], Any], sound: np.ndarray, size: int) -> None:
    for start in range(0, len(sound), size):
        push(sound[start : start + size])


@pytest.mark.parametrize("name", list(SETTINGS))
def test_second_of_motion(benchmark: Any, speech: np.ndarray, threads: int, name: str) -> None:
    """Everything from sound to motion frames, in 40 ms blocks; the time is for six seconds."""
    config = VoiceConfig(1, sampler=SETTINGS[name])
    stream = VoiceStream(config)
    benchmark.extra_info.update(threads=threads, seconds=6, steps=config.sampler.steps)
    benchmark.pedantic(_in_blocks, (stream.push, speech, 640), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_network_alone(benchmark: Any, speech: np.ndarray, threads: int, name: str) -> None:
    """The same without the encoder: what was heard is there already."""
    config: SamplerConfig = SETTINGS[name]
    heard = EncoderStream(packaged_encoder()).push(speech)

    class Heard(VoiceStream):
        def listen(self) -> None:
            self._hear(heard)
            self.push(np.zeros(0, np.float32))

    stream = Heard(VoiceConfig(1, sampler=config))
    benchmark.extra_info.update(threads=threads, seconds=6, steps=config.steps)
    benchmark.pedantic(stream.listen, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("block_ms", [10, 40, 1000])
def test_encoder(benchmark: Any, speech: np.ndarray, block_ms: int) -> None:
    """The voice encoder alone, in blocks; the time is for six seconds."""
    stream = EncoderStream(packaged_encoder())
    benchmark.extra_info.update(block_ms=block_ms, seconds=6)
    size = 16 * block_ms
    benchmark.pedantic(_in_blocks, (stream.push, speech, size), rounds=5, warmup_rounds=1)


def test_load_weights(benchmark: Any) -> None:
    """Both weight files from a warm disk, as packaged."""

    def load() -> None:
        load_encoder(WEIGHTS / "encoder.safetensors")
        load_generator(WEIGHTS / "generator.safetensors")

    benchmark.pedantic(load, rounds=5, warmup_rounds=1)
