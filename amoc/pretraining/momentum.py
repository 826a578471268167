"""The momentum pair: a trained query network and a key network that follows it (He et al., 2020)."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import nn

from amoc.models.encoder import Encoder


class MomentumPair(nn.Module):
    """Encoder and projector for queries, and their slow copy for keys. Norm statistics of the copy are its own."""

    def __init__(self, encoder: Encoder, projector: nn.Module) -> None:
        super().__init__()
        self.query = nn.Sequential(OrderedDict(encoder=encoder, projector=projector))
        self.key = copy.deepcopy(self.query)
        self.key.requires_grad_(False)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """key <- momentum * key + (1 - momentum) * query, parameters only."""
        keys, queries = list(self.key.parameters()), [parameter.detach() for parameter in self.query.parameters()]
        torch._foreach_lerp_(keys, queries, 1 - momentum)
