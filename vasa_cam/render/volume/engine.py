"""Warp and decoder in a row: keypoints in, frames out; on a GPU as one CUDA graph.

A graph replays a fixed sequence of kernels on fixed memory, so that a frame costs no launches by
Python and allocates nothing. Sources share the graph's memory: a change of source copies its few
megabytes there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from vasa_cam.render.volume.fast_decoder import FastDecoder
from vasa_cam.render.volume.fast_warping import FastWarping, WarpSource
from vasa_cam.render.volume.fold import place
from vasa_cam.render.volume.spade import SpadeDecoder
from vasa_cam.render.volume.warping import WarpingNetwork

Floats = npt.NDArray[np.float32]

_WARM_UP_RUNS = 3  # cuDNN measures its algorithms and libraries make their workspaces


class Form(Protocol):
    """A way to compute frames."""

    def prepare(self, volume: torch.Tensor, keypoints: torch.Tensor) -> WarpSource:
        """Constants of a photo: its volume [1, C, D, H, W] and keypoints float32 [1, K, 3]."""

    def frames(self, source: WarpSource, driving: torch.Tensor) -> torch.Tensor:
        """Frames uint8 [N, S, S, 3] for driving keypoints float32 [N, K, 3]."""


class PlainForm:
    """The networks as published: for comparisons."""

    def __init__(
        self,
        warping: WarpingNetwork,
        decoder: SpadeDecoder,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.warping = warping.to(device, dtype)
        self.decoder = decoder.to(device, dtype)
        self._dtype = dtype

    def prepare(self, volume: torch.Tensor, keypoints: torch.Tensor) -> WarpSource:
        return WarpSource(volume.to(self._dtype), volume[:0], keypoints)

    def frames(self, source: WarpSource, driving: torch.Tensor) -> torch.Tensor:
        count = len(driving)
        volume = source.volume.expand(count, -1, -1, -1, -1)
        warped = self.warping(volume, source.keypoints.expand(count, -1, -1), driving)
        pictures = self.decoder(warped.features).float().clamp(0.0, 1.0)
        return (255.0 * pictures).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class FastForm:
    """The rewritten networks."""

    def __init__(
        self,
        warping: WarpingNetwork,
        decoder: SpadeDecoder,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.warping = place(FastWarping(warping), device, dtype)
        self.decoder = place(FastDecoder(decoder), device, dtype)

    def prepare(self, volume: torch.Tensor, keypoints: torch.Tensor) -> WarpSource:
        source: WarpSource = self.warping.prepare(volume, keypoints)
        return source

    def frames(self, source: WarpSource, driving: torch.Tensor) -> torch.Tensor:
        frames: torch.Tensor = self.decoder.frames(self.warping(source, driving).features)
        return frames


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """cuDNN measures its algorithms, takes only those that repeat their sums, and none in tf32."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=True, deterministic=True, allow_tf32=False
    ):
        yield


class GraphedForm:
    """A form on a GPU for one batch size: its frames as a graph that is captured once."""

    def __init__(self, form: Form, source: WarpSource, batch: int) -> None:
        device = source.keypoints.device
        self.batch = batch
        self._source = WarpSource(*(torch.empty_like(part) for part in source))
        self._current: WarpSource | None = None
        self._driving = torch.empty(batch, *source.keypoints.shape[1:], device=device)
        self._staged = torch.empty(self._driving.shape, pin_memory=True)
        self._copied = torch.cuda.Event()
        self._take(source)
        self._driving.copy_(source.keypoints.expand_as(self._driving))
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_RUNS):
                form.frames(self._source, self._driving)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._frames = form.frames(self._source, self._driving)

    def _take(self, source: WarpSource) -> None:
        if self._current is not source:
            for mine, given in zip(self._source, source, strict=True):
                mine.copy_(given)
            self._current = source

    def run(self, source: WarpSource, driving: Floats) -> torch.Tensor:
        """Frames of `batch` keypoints [batch, K, 3]; the next call overwrites them.

        Everything is on the caller's current stream.
        """
        self._take(source)
        self._copied.synchronize()  # the last call's copy has read the staging memory
        self._staged.numpy()[:] = driving
        self._driving.copy_(self._staged, non_blocking=True)
        self._copied.record()
        self._graph.replay()
        return self._frames


class FrameEngine:
    """Frames from keypoints by one form on one device."""

    def __init__(self, form: Form, device: torch.device, batch: int) -> None:
        self.form, self.device, self.batch = form, device, batch
        self._graphed: GraphedForm | None = None

    @torch.inference_mode()
    def frames(self, source: WarpSource, driving: Floats) -> torch.Tensor:
        """Frames uint8 [n, S, S, 3] on the device, n = 1 .. batch, of keypoints [n, K, 3].

        On a GPU the next call overwrites them. Raises ValueError for more than `batch`.
        """
        count = len(driving)
        if not 1 <= count <= self.batch:
            raise ValueError(f"expected 1 to {self.batch} frames, got {count}")
        if self.device.type != "cuda":
            return self.form.frames(source, torch.from_numpy(np.ascontiguousarray(driving)))
        with exact_convolutions(), torch.cuda.device(self.device):
            if self._graphed is None:
                self._graphed = GraphedForm(self.form, source, self.batch)
            filled = np.concatenate([driving, np.repeat(driving[-1:], self.batch - count, axis=0)])
            return self._graphed.run(source, filled)[:count]
