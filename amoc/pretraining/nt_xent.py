"""NT-Xent: the views of a batch are each other's negatives (Chen et al., 2020, SimCLR, eq. 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """-log( e^(u.v/T) / sum of e^(u.w/T) over every view w but u itself ), for each view u with partner v.

    Args:
        one, other: unit rows (B, D); row i of each is a positive pair.

    Returns:
        (2B,), of the rows of `one` and then of `other`.
    """
    views = torch.cat((one, other))  # (2B, D)
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    similarity = (views @ views.T / temperature).masked_fill(itself, -torch.inf)  # (2B, 2B)
    partners = torch.arange(len(views), device=views.device).roll(len(one))
    return F.cross_entropy(similarity, partners, reduction="none")
