"""LARS: each layer's step is a share of the norm of its weights (You et al., 2017, eq. 6), by timm."""

from __future__ import annotations

import timm.optim
from torch import nn

from amoc.settings import Lars


def lars(network: nn.Module, options: Lars) -> timm.optim.Lars:
    """The optimiser of a network's parameters.

    Weights w with gradient g, and with `layerwise: all` every parameter, do

        v <- momentum * v + trust * |w| / (|g| + weight_decay * |w|) * (g + weight_decay * w)
        w <- w - lr * v

    norms and biases plain SGD with momentum, without decay. A parameter or a gradient of norm 0 has the factor 1. As in
    PyTorch's SGD the learning rate stands outside the momentum; the papers have it inside, the same at a constant rate.
    """
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1 or options.layerwise == "all"]
    known = {id(parameter) for parameter in weights}
    others = [parameter for parameter in network.parameters() if id(parameter) not in known]  # norms and biases
    groups = [
        {"params": weights, "weight_decay": options.weight_decay, "always_adapt": True},
        {"params": others, "weight_decay": 0.0, "always_adapt": False},
    ]
    used = [group for group in groups if group["params"]]
    return timm.optim.Lars(used, options.lr, options.momentum, trust_coeff=options.trust, eps=0.0)
