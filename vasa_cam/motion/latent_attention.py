"""Multi-head attention with the public state dicts' names, for the generators of latent motion."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """Attention over `heads` heads with one packed input projection.

    Keys: in_proj_weight [3 D, D] (query, key, value), in_proj_bias [3 D], out_proj.*.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def _project(self, x: torch.Tensor, first: int, parts: int = 1) -> torch.Tensor:
        """Parts of the packed projection: 0 query, 1 key, 2 value."""
        width = x.shape[-1]
        rows = slice(first * width, (first + parts) * width)
        return functional.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])

    def keys_values(self, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Projected memory [B, N, 2 D] for `attend`: what a query does not change."""
        return torch.cat([self._project(key, 1), self._project(value, 2)], dim=-1)

    def attend(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Attention of query [B, M, D] to `keys_values` [B or 1, N, 2 D] -> [B, M, D]."""
        batch, count, width = query.shape
        memory = memory.expand(batch, -1, -1)
        k, v = memory.split(width, dim=-1)
        q, k, v = (
            x.reshape(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for x in (self._project(query, 0), k, v)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, count, width))

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """query [B, M, D], key and value [B, N, D] -> [B, M, D]."""
        return self.attend(query, self.keys_values(key, value))

    def of_one_key(self, value: torch.Tensor) -> torch.Tensor:
        """What attention gives when each token may see one key only: its value, [.., D]."""
        return self.out_proj(self._project(value, 2))
