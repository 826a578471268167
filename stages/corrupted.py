"""The corrupted images that a command is to use: the published ones of $AMOC_DATA_DIR, or images made anew."""

from __future__ import annotations

from amoc.corruptions import source
from amoc.datasets import Dataset, archives
from amoc.params import Params


def find(data: Dataset, params: Params) -> source.Source:
    """See `amoc.corruptions.source.find`; what is drawn has the seed of the evaluation."""
    return source.find(data, archives(), params.evaluate.seed)
