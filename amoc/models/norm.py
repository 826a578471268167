"""Dual batch norm (journal, section 3): one set of statistics and weights for clean inputs, one for perturbed ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from amoc.pretraining.variants import Branch

BRANCHES: tuple[Branch, ...] = ("clean", "adv")


class DualBatchNorm(nn.Module):
    """Two ordinary batch norms side by side; `branch` says which one the input goes through.

    Takes the arguments of the batch norm. The branch is set for a scope by `with branch(model, "adv"):`.
    """

    norm: type[nn.Module]

    def __init__(self, num_features: int, **options) -> None:
        super().__init__()
        self.clean = self.norm(num_features, **options)
        self.adv = self.norm(num_features, **options)
        self.branch: Branch = "clean"
        self.folds = True  # whether attacks may fold it; set to False to compare
        self.folded: Branch | None = None  # the branch that the convolution before computes meanwhile, see folding.py

    def forward(self, features: Tensor) -> Tensor:
        if self.folded is not None:
            if self.folded != self.branch:
                raise RuntimeError(f"the {self.folded} norms are folded, so there is no {self.branch} branch")
            return features
        return self.adv(features) if self.branch == "adv" else self.clean(features)


class DualBatchNorm1d(DualBatchNorm):
    """Of features (B, C)."""

    norm = nn.BatchNorm1d


class DualBatchNorm2d(DualBatchNorm):
    """Of feature maps (B, C, H, W)."""

    norm = nn.BatchNorm2d


@contextmanager
def branch(model: nn.Module, name: Branch) -> Iterator[None]:
    """Send everything through the norms of one branch. Afterwards, also after an exception, all is as it was before.

    Raises ValueError for a name that is not a branch.
    """
    if name not in BRANCHES:
        raise ValueError(f"unknown norm branch {name!r}, allowed are {', '.join(BRANCHES)}")
    norms = [module for module in model.modules() if isinstance(module, DualBatchNorm)]
    before = [norm.branch for norm in norms]
    for norm in norms:
        norm.branch = name
    try:
        yield
    finally:
        for norm, old in zip(norms, before, strict=True):
            norm.branch = old


@contextmanager
def mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put the model into train or eval mode for a scope; each module's own mode of before is back afterwards."""
    modules = list(model.modules())
    before = [module.training for module in modules]
    model.train(training)
    try:
        yield
    finally:
        for module, old in zip(modules, before, strict=True):
            module.training = old


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No gradients with respect to the parameters within the scope: only input gradients are computed."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two state dictionaries hold the same keys and bits: the proof that a frozen network was not touched."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
