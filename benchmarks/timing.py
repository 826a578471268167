"""Seconds of repeated work, and their spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from amoc.engine.clock import settled_now


class Spread(NamedTuple):
    """Quartiles and median of repeated measurements."""

    low: float
    median: float
    high: float

    def __format__(self, spec: str) -> str:
        """Median and quartiles, each in a format for numbers, by default .4g."""
        low, median, high = (format(value, spec or ".4g") for value in self)
        return f"{median} ({low} .. {high})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(*np.quantile(values, (0.25, 0.5, 0.75)).tolist())


def seconds_per_call(work: Callable[[], object], calls: int) -> float:
    """Mean over so many calls in a row. A GPU is waited for before the first and after the last, not between them."""
    begun = settled_now()
    for _ in range(calls):
        work()
    return (settled_now() - begun) / calls
