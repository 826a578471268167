"""The corrupted images that a command is to use: the published ones of $AMOC_DATA_DIR, or images made anew."""

from __future__ import annotations

import os
from pathlib import Path

from amoc.corruptions import source
from amoc.datasets import FOLDER_VARIABLE, Dataset
from amoc.params import Params


def find(data: Dataset, params: Params) -> source.Source:
    """See `amoc.corruptions.source.find`; what is drawn has the seed of the evaluation."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return source.find(data, Path(folder) if folder else None, params.evaluate.seed)
