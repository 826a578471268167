"""What a stage tells the person who started it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(items: Iterable[Item], description: str) -> Iterable[Item]:
    """The same items, with a progress bar where a person watches: on a terminal, not in a log file."""
    return tqdm(items, description, leave=False, dynamic_ncols=True, disable=None)


def say(line: str) -> None:
    """Print one line now, above any bar that is being drawn."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
