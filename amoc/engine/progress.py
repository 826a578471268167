"""What a stage tells the person who started it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(iterable: Iterable[Item], description: str, total: int | None = None) -> Iterable[Item]:
    """The same items, with a progress bar where a person watches: on a terminal, not in a log file.

    Args:
        total: how many items there will be; by default `len(iterable)`, where it has one.
    """
    if not sys.stderr.isatty():
        return iterable
    return tqdm(iterable, description, total, leave=False, dynamic_ncols=True)


def say(line: str) -> None:
    """Print one line now, above any bar that is being drawn."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
