"""The memory bank: a ring of unit keys, first in first out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bank(nn.Module):
    """`length` unit keys of `dimension`, at first unit Gaussian noise; a batch overwrites the oldest.

    The position is a tensor, so that pushing needs no host synchronisation and can be captured in a graph.
    """

    keys: Tensor
    position: Tensor

    def __init__(self, length: int, dimension: int, generator: torch.Generator) -> None:
        super().__init__()
        noise = torch.randn(length, dimension, generator=generator)
        self.register_buffer("keys", F.normalize(noise, dim=1))  # (K, D)
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Put keys (B, D), B <= K, in the place of the oldest; the ring wraps around inside a batch."""
        length, count = len(self.keys), len(keys)
        places = (self.position + torch.arange(count, device=keys.device)) % length
        self.keys.index_copy_(0, places, keys.to(self.keys.dtype))
        self.position.copy_((self.position + count) % length)
