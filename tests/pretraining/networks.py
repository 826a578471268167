"""Networks for tests of a method: with random numbers everywhere, reduced to one norm branch, a step further."""

from __future__ import annotations

import copy
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from amoc.models.norm import DualBatchNorm


def randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Give a float64 network random weights and trained-looking norms, in place."""
    for name, tensor in network.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if tensor.ndim > 1:
            tensor.copy_(noise * sqrt(2 / tensor[0].numel()))
        elif tensor.is_floating_point():
            tensor.copy_(0.1 * noise + (1 if name.endswith(("weight", "var")) else 0))


def in_branch(network: nn.Module, name: str) -> nn.Module:
    """A copy with plain batch norms: those of one branch."""
    plain = copy.deepcopy(network)
    for place, module in list(plain.named_modules()):
        if isinstance(module, DualBatchNorm):
            plain.set_submodule(place, getattr(module, name))
    return plain


def unit(projections: Tensor) -> Tensor:
    """Rows of length 1."""
    return projections / projections.square().sum(dim=1, keepdim=True).sqrt()


def take_step(
    method: Any, one: Tensor, other: Tensor, optimizer: torch.optim.Optimizer, generator: torch.Generator | None,
    which: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """All of a step on two views of a batch: gradients, and what follows from them. Returns the losses."""
    terms, left = method.gradients(one, other, generator, which)
    method.update(left, optimizer)
    return terms
