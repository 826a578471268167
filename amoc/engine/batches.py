"""A data order cut into batches."""

from __future__ import annotations

import torch
from torch import Tensor


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Indices (N,) in batches of `size`, the last one smaller.

    A last batch of one image joins the one before, because batch norm cannot take the variance of one.
    """
    split = list(order.split(size))
    if len(split) > 1 and len(split[-1]) == 1:
        split[-2:] = [torch.cat(split[-2:])]
    return split
