"""Projections as contrastive losses take them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amoc.models.norm import branch
from amoc.pretraining.variants import Branch


def unit(network: nn.Module, images: Tensor, name: Branch) -> Tensor:
    """Unit-length projections (B, D) through one norm branch, in the precision of the images."""
    with branch(network, name):
        projections = network(images)
    with torch.autocast(images.device.type, enabled=False):
        return F.normalize(projections.to(images.dtype), dim=1)
