"""InfoNCE with a bank of negatives (van den Oord et al., 2018; journal, eq. 3.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    return torch.logaddexp(positive, _LogSumExpOfProducts.apply(scaled, bank)) - positive


class _LogSumExpOfProducts(torch.autograd.Function):
    """log of the sum over j of e^(a_i.b_j): (B, D), (K, D) -> (B,), with a single tensor (B, K) for both directions.

    Backward needs no second one: with P_ij = e^(a_i.b_j - max_i) and w_i = g_i / sum over j of P_ij,
    the gradient of a is diag(w) P b, and that of b is P^T diag(w) a.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        exponentials = a @ b.T  # (B, K)
        largest = exponentials.amax(dim=1, keepdim=True)
        exponentials.sub_(largest).exp_()
        total = exponentials.sum(dim=1, keepdim=True)
        ctx.save_for_backward(a, b, exponentials, total)
        return (total.log() + largest).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b, exponentials, total = ctx.saved_tensors
        weights = gradient[:, None] / total  # (B, 1)
        return (
            weights * (exponentials @ b) if ctx.needs_input_grad[0] else None,
            exponentials.T @ (weights * a) if ctx.needs_input_grad[1] else None,
        )
