"""Unit projections, of the branch asked for and in the precision of the images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from amoc.models.norm import DualBatchNorm1d
from amoc.pretraining.projections import unit


@pytest.mark.parametrize("name", ["clean", "adv"])
def test_rows_have_length_one_and_come_from_one_branch(name, generator):
    linear, norm = nn.Linear(4, 3).double(), DualBatchNorm1d(3).double()
    images = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    plain = nn.BatchNorm1d(3).double()(linear(images))
    given = unit(nn.Sequential(linear, norm), images, name)
    torch.testing.assert_close(given, plain / plain.square().sum(dim=1, keepdim=True).sqrt())
    assert getattr(norm, name).num_batches_tracked == 1
    assert norm.branch == "clean"


def test_lengths_are_of_float32_under_autocast(generator):
    images = torch.randn(5, 4, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        given = unit(nn.Linear(4, 3), images, "clean")
    assert given.dtype == torch.float32
    torch.testing.assert_close(given.norm(dim=1), torch.ones(5), rtol=0, atol=1e-6)
