"""What stands on the encoder: the contrastive projector and the linear classifier."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from amoc.engine.generators import drawing_from


def projector(features: int, hidden: int, output: int, generator: torch.Generator) -> nn.Sequential:
    """Linear, ReLU, Linear without norm: (B, features) -> (B, output), not yet of unit length (journal, section 4.1).

    The weights are drawn from the generator.
    """
    with drawing_from(generator):
        return nn.Sequential(
            OrderedDict(fc1=nn.Linear(features, hidden), relu=nn.ReLU(), fc2=nn.Linear(hidden, output))
        )


def linear_head(features: int, classes: int) -> nn.Linear:
    """A linear classifier that starts at zero, as the official probes do."""
    head = nn.Linear(features, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
