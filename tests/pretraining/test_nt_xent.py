"""NT-Xent as a double loop over Python's numbers."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
import torch.nn.functional as F

from amoc.pretraining.nt_xent import nt_xent


def unit(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def by_double_loop(one: torch.Tensor, other: torch.Tensor, temperature: float) -> list[float]:
    """Every view against every other one; only a view with itself is left out."""
    views, batch, losses = [*one.tolist(), *other.tolist()], len(one), []
    for i, view in enumerate(views):
        partner = i + batch if i < batch else i - batch
        total = 0.0
        for j, against in enumerate(views):
            if j != i:
                total += exp(dot(view, against) / temperature)
        losses.append(-log(exp(dot(view, views[partner]) / temperature) / total))
    return losses


@pytest.mark.parametrize(("batch", "temperature"), [(1, 0.5), (2, 0.5), (5, 0.5), (4, 0.07), (3, 10.0)])
def test_equals_the_double_loop(batch, temperature, generator):
    one, other = unit(generator, batch, 6), unit(generator, batch, 6)
    given = nt_xent(one, other, temperature)
    assert given.shape == (2 * batch,)
    assert given.tolist() == pytest.approx(by_double_loop(one, other, temperature), rel=1e-11, abs=1e-13)


def test_a_pair_alone_has_nothing_to_be_told_from(generator):
    assert nt_xent(unit(generator, 1, 4), unit(generator, 1, 4), 0.5).tolist() == [0, 0]


def test_views_that_are_all_the_same_are_at_chance():
    """log(2B - 1): a view cannot tell its partner from the others."""
    same = F.normalize(torch.ones(8, 5, dtype=torch.float64), dim=1)
    assert nt_xent(same, same, 0.5).tolist() == pytest.approx([log(15)] * 16)


def test_the_two_sides_are_alike(generator):
    one, other = unit(generator, 4, 6), unit(generator, 4, 6)
    torch.testing.assert_close(nt_xent(one, other, 0.5), nt_xent(other, one, 0.5).roll(4))


def test_gradients(generator):
    one, other = unit(generator, 3, 4).requires_grad_(), unit(generator, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5), (one, other))


def test_large_logits_neither_overflow_nor_lose_the_loss():
    """cos = 1 and -1 at T = 0.001 are logits of 1000 and -1000."""
    one = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert nt_xent(one, one, 0.001).tolist() == [0, 0, 0, 0]
    assert nt_xent(one, -one, 0.001).tolist() == pytest.approx([2000] * 4)
