"""The learning rate of pre-training as a function of the epoch."""

from __future__ import annotations

from math import cos, pi


def warmup_cosine(epoch: int, epochs: int, lr: float, warmup: int) -> float:
    """lr / 1000 at epoch 0, then linear up to lr at epoch `warmup`, then a cosine to 0 at `epochs` (official schedule).

    Without warm-up it is the cosine alone.
    """
    if warmup and epoch == 0:
        return lr / 1000
    if epoch < warmup:
        return lr * epoch / warmup
    return lr / 2 * (1 + cos(pi * (epoch - warmup) / (epochs - warmup)))
