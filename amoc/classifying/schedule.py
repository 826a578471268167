"""The learning rate of classifiers as a function of the epoch."""

from __future__ import annotations

from collections.abc import Sequence


def multistep(epoch: int, milestones: Sequence[int], lr: float) -> float:
    """lr, divided by 10 at the start of each milestone; epochs count from 0, so milestone 15 is the 16th epoch."""
    return lr / 10 ** sum(epoch >= milestone for milestone in milestones)
