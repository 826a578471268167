"""What stands on the encoder: the contrastive projector and the linear classifier."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn

from amoc.engine.generators import drawing_from
from amoc.models.norm import DualBatchNorm1d


def projector(features: int, hidden: int, output: int, generator: torch.Generator) -> nn.Sequential:
    """Linear, ReLU, Linear without norm: (B, features) -> (B, output), not yet of unit length (journal, section 4.1).

    The weights are drawn from the generator.
    """
    with drawing_from(generator):
        return nn.Sequential(
            OrderedDict(fc1=nn.Linear(features, hidden), relu=nn.ReLU(), fc2=nn.Linear(hidden, output))
        )


def normed_projector(
    features: int, hidden: int, output: int, layers: int, generator: torch.Generator
) -> nn.Sequential:  # fmt: skip
    """Linear layers, each with dual norm, ReLU between: (B, features) -> (B, output) (ACL's head, of three layers).

    Without biases, which the norms would take away again. The weights are drawn from the generator.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    with drawing_from(generator):
        for number, (before, after) in enumerate(pairwise((features, *[hidden] * (layers - 1), output)), start=1):
            modules[f"fc{number}"] = nn.Linear(before, after, bias=False)
            modules[f"norm{number}"] = DualBatchNorm1d(after)
            if number < layers:
                modules[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(modules)


def linear_head(features: int, classes: int) -> nn.Linear:
    """A linear classifier that starts at zero, as the official probes do."""
    head = nn.Linear(features, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
