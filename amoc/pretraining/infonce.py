"""InfoNCE with a bank of negatives (van den Oord et al., 2018; journal, eq. 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def info_nce(queries: Tensor, keys: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """-log( e^(q.k/T) / (e^(q.k/T) + sum over the bank of e^(q.n/T)) ), per query.

    Args:
        queries, keys: unit rows (B, D); row i of each is a positive pair.
        bank: unit rows (K, D), the negatives of every query.

    Returns:
        (B,)
    """
    scaled = queries / temperature  # before the product, not after: (B, K) is the one thing here that is large
    positive = (scaled * keys).sum(dim=1)  # (B,)
    negatives = scaled @ bank.T  # (B, K)
    return torch.logaddexp(positive, negatives.logsumexp(dim=1)) - positive
