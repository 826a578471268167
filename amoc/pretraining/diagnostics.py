"""Is the encoder learning or collapsing? Numbers about the features of some training images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def spread(features: Tensor) -> float:
    """Mean over dimensions of the standard deviation of unit features, times sqrt(D): 1 on a sphere, 0 collapsed.

    features: (N, D). (Chen and He, 2021, figure 2.)
    """
    return float(F.normalize(features.double(), dim=1).std(dim=0).mean() * features.shape[1] ** 0.5)


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the normalised singular values of the centred features (Roy and Vetterli, 2007): 1 to D.

    features: (N, D). 0 for features that are all the same.
    """
    values = torch.linalg.svdvals(features.double() - features.double().mean(dim=0))
    total = values.sum()
    if total <= 1e-12 * features.double().norm():
        return 0.0
    shares = values / total
    return float(torch.exp(torch.special.entr(shares).sum()))


def neighbour_accuracy(features: Tensor, labels: Tensor, neighbours: int = 20) -> float:
    """Leave-one-out accuracy in percent of the majority of the nearest neighbours by cosine.

    features: (N, D); labels: (N,). Training labels are only looked at, never trained on.
    """
    units = F.normalize(features.double(), dim=1)
    similarity = units @ units.T  # (N, N)
    similarity.fill_diagonal_(-torch.inf)
    nearest = similarity.topk(min(neighbours, len(units) - 1), dim=1).indices
    votes = F.one_hot(labels[nearest]).sum(dim=1)  # (N, classes)
    return 100 * float((votes.argmax(dim=1) == labels).double().mean())


def collapsed(features: Tensor) -> bool:
    """Whether the features carry next to nothing about the image: one point, or one line."""
    return spread(features) < 0.02 or effective_rank(features) < 1.5
