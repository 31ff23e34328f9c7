"""Whole SPADE blocks with the golden's weights through the ops, against the plain torch blocks.

At a small map of odd size: the blocks don't know the difference, and the border is a larger share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from volume_goldens import GATE, Goldens, relative_l2

from vasa_cam import ops

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from vasa_cam.render.volume.spade import SpadeBlock, SpadeDecoder  # noqa: E402

pytestmark = pytest.mark.neural

# Name of the block, enlargement of the map to the block's size, and of the block's input.
BLOCKS = (("G_middle_0", 1, 1), ("up_0", 2, 2), ("up_1", 4, 2))
MAP_SIZE = (9, 11)


@pytest.fixture(scope="module")
def weights(goldens: Goldens) -> dict[str, np.ndarray]:
    return goldens.folded("G")


@pytest.fixture(scope="module")
def decoder() -> Any:
    with torch.device("meta"):
        return SpadeDecoder()


def block_of(decoder: Any, weights: dict[str, np.ndarray], name: str) -> Any:
    block = decoder.get_submodule(name)
    prefix = f"{name}."
    state = {
        key.removeprefix(prefix): torch.from_numpy(value)
        for key, value in weights.items()
        if key.startswith(prefix)
    }
    block.load_state_dict(state, assign=True)
    return block.double().eval()


class OpsBlock:
    """The block by the ops and plain convolutions, all on NumPy rows and in float32."""

    def __init__(self, block: SpadeBlock, map_factor: int) -> None:
        self.block, self.factor = block, map_factor
        self.norms = [block.norm_0, block.norm_1] + ([block.norm_s] if block.learned else [])

    @staticmethod
    def convolve(rows: np.ndarray, conv: Any, bias: bool = True) -> np.ndarray:
        """A convolution of rows by a module, or by a kernel with its own border and no bias."""
        x = torch.from_numpy(rows.transpose(0, 3, 1, 2))
        kernel = torch.from_numpy(conv) if isinstance(conv, np.ndarray) else conv.weight.float()
        padding = [side // 2 for side in kernel.shape[2:]]
        added = conv.bias.float() if bias and not isinstance(conv, np.ndarray) else None
        y = functional.conv2d(x, kernel, added, padding=padding)
        return np.ascontiguousarray(y.numpy().transpose(0, 2, 3, 1))

    def hidden(self, segments: np.ndarray) -> np.ndarray:
        """[norms, N, H, W, hidden]: every mlp_shared by one set of convolutions."""
        shared = [norm.mlp_shared[0] for norm in self.norms]
        weight = torch.cat([conv.weight for conv in shared]).float().numpy()
        bias = torch.cat([conv.bias for conv in shared]).float().numpy()
        parts = [self.convolve(segments, k) for k in ops.phase_weights(weight, self.factor)]
        return ops.phase_expand(parts, bias, self.factor, groups=len(shared))

    def norm(self, index: int, x: np.ndarray, hidden: np.ndarray, slope: float) -> np.ndarray:
        both = (self.norms[index].mlp_gamma, self.norms[index].mlp_beta)
        weight = torch.cat([conv.weight for conv in both]).float().numpy()
        bias = torch.cat([conv.bias for conv in both]).float().numpy()
        maps = self.convolve(hidden, weight)
        return ops.spade_modulate(x, ops.instance_statistics(x), maps, bias=bias, slope=slope)

    def __call__(self, x: np.ndarray, segments: np.ndarray) -> np.ndarray:
        hidden = self.hidden(segments)
        y = self.convolve(self.norm(0, x, hidden[0], 0.2), self.block.conv_0)
        y = self.convolve(self.norm(1, y, hidden[1], 0.2), self.block.conv_1)
        if self.block.learned:
            return y + self.convolve(self.norm(2, x, hidden[2], 1.0), self.block.conv_s, bias=False)
        return y + x


@pytest.mark.parametrize(("name", "map_factor", "input_factor"), BLOCKS)
def test_a_block_by_the_ops_is_the_block(
    goldens: Goldens,
    decoder: Any,
    weights: dict[str, np.ndarray],
    name: str,
    map_factor: int,
    input_factor: int,
) -> None:
    block = block_of(decoder, weights, name)
    channels = block.conv_0.in_channels
    height, width = MAP_SIZE
    shrunk = map_factor // input_factor
    segments = goldens.input(f"{name}/segments", (1, 256, height, width))
    x = goldens.input(f"{name}/x", (1, channels, shrunk * height, shrunk * width))
    with torch.inference_mode():
        large = functional.interpolate(
            torch.from_numpy(x).double(), scale_factor=float(input_factor)
        )
        expected = block(large, torch.from_numpy(segments).double()).numpy()
        rows = [np.ascontiguousarray(array.transpose(0, 2, 3, 1)) for array in (x, segments)]
        found = OpsBlock(block, map_factor)(*rows)
    assert relative_l2(found.transpose(0, 3, 1, 2), expected) <= GATE
