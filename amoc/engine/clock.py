"""Seconds per phase and counts of a stage, which a resumed run takes over."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

STAGES_AT_ONCE = "AMOC_STAGES_AT_ONCE"  # environment: how many stages share the machine, as stages.parallel lets them


def settled_now() -> float:
    """Seconds on a steady clock, read once a GPU, if one is in use, has done all the work given to it."""
    torch = sys.modules.get("torch")  # where nobody imported it there is nothing to wait for
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


class Clock:
    """`with clock.phase("train"): ...` adds to that phase's seconds. A phase inside another counts for both.

    Time that a killed run spent after its last checkpoint is not in the sum: its work is not in the result either.

    Args:
        now: reads the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = settled_now) -> None:
        self._now = now
        self._seconds: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._begun: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block; an exception ends the phase too. A phase inside itself would count twice: ValueError."""
        if name in self._begun:
            raise ValueError(f"phase {name!r} has begun already")
        self._begun[name] = self._now()
        try:
            yield
        finally:
            self._seconds[name] += self._now() - self._begun.pop(name)

    def count(self, name: str, number: int) -> None:
        """Add to a count, such as the images seen."""
        self._counts[name] += number

    def add(self, state: dict) -> None:
        """What `state()` gave of another clock, such as one of a process that shared the work: seconds of both."""
        self._seconds.update(state["seconds"])
        self._counts.update(state["counts"])

    def state(self) -> dict:
        """For a checkpoint: {"seconds": {phase: float}, "counts": {name: int}}, phases under way included up to now."""
        seconds = self._seconds.copy()
        for name, begun in self._begun.items():
            seconds[name] += self._now() - begun
        return {"seconds": dict(seconds), "counts": dict(self._counts)}

    def restore(self, state: dict) -> None:
        """Go on from what `state()` gave to an earlier run."""
        self._seconds = Counter(state["seconds"])
        self._counts = Counter(state["counts"])

    def plain(self) -> dict:
        """For a clock file: as `state()`, sorted by name, seconds rounded to milliseconds."""
        state = self.state()
        return {
            "seconds": {name: round(seconds, 3) for name, seconds in sorted(state["seconds"].items())},
            "counts": dict(sorted(state["counts"].items())),
        }
