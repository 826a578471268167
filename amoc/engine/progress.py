"""What a stage tells the person who started it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(items: Iterable[Item], description: str) -> Iterable[Item]:
    """The same items, with a progress bar where a person watches: on a terminal, not in a log file.

    None in a process that shares a stage with others (engine/sharing.py), whose bars would be drawn over one another.
    """
    hidden = True if multiprocessing.parent_process() is not None else None  # None: on a terminal only
    return tqdm(items, description, leave=False, dynamic_ncols=True, disable=hidden)


def say(line: str) -> None:
    """Print one line now, above any bar that is being drawn; where nobody reads any more, go on in silence."""
    try:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # no reason to lose what was computed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
