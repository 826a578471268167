"""A data order cut into batches."""

from __future__ import annotations

import pytest
import torch

from amoc.engine.batches import batches


@pytest.mark.parametrize(
    ("images", "size", "sizes"),
    [
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),  # never one image alone
        (5, 4, [5]),
        (3, 4, [3]),
        (4, 4, [4]),
        (1, 4, [1]),  # there is no other batch for it
        (3, 1, [1, 2]),
    ],
)
def test_sizes_and_order(images, size, sizes, generator):
    order = torch.randperm(images, generator=generator)
    given = batches(order, size)
    assert [len(batch) for batch in given] == sizes
    assert torch.cat(given).tolist() == order.tolist()
