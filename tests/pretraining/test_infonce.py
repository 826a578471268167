"""InfoNCE as a double loop over Python's numbers."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
import torch.nn.functional as F

from amoc.pretraining.infonce import info_nce


def unit(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("batch", "bank", "temperature"), [(1, 1, 1.0), (3, 5, 0.2), (4, 2, 0.07), (2, 7, 10.0)])
def test_equals_the_double_loop(batch, bank, temperature, generator):
    queries, keys, negatives = unit(generator, batch, 6), unit(generator, batch, 6), unit(generator, bank, 6)
    expected = []
    for query, key in zip(queries.tolist(), keys.tolist(), strict=True):
        positive, total = exp(dot(query, key) / temperature), exp(dot(query, key) / temperature)
        for negative in negatives.tolist():
            total += exp(dot(query, negative) / temperature)
        expected.append(-log(positive / total))
    given = info_nce(queries, keys, negatives, temperature)
    assert given.shape == (batch,)
    assert given.tolist() == pytest.approx(expected, rel=1e-12)


def test_equals_cross_entropy_with_the_positive_first(generator):
    queries, keys, negatives = unit(generator, 5, 8), unit(generator, 5, 8), unit(generator, 11, 8)
    logits = (
        torch.cat(
            [
                torch.stack([query @ key for query, key in zip(queries, keys, strict=True)])[:, None],
                queries @ negatives.T,
            ],
            dim=1,
        )
        / 0.2
    )
    expected = F.cross_entropy(logits, torch.zeros(5, dtype=torch.long), reduction="none")
    torch.testing.assert_close(info_nce(queries, keys, negatives, 0.2), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_logits_neither_overflow_nor_lose_the_loss(dtype):
    """cos = 1 and -1 at T = 0.001 are logits of 1000 and -1000; exp of either is out of range."""
    query = torch.tensor([[1.0, 0.0]], dtype=dtype)
    same, opposite = query.clone(), -query
    assert info_nce(query, same, opposite, 0.001).item() == 0
    assert info_nce(query, opposite, same, 0.001).item() == pytest.approx(2000)
    both = info_nce(torch.cat([same, opposite]), torch.cat([same, same]), same, 0.001)
    assert both.tolist() == pytest.approx([log(2)] * 2, rel=1e-4)  # logits of 1000, and of -1000 in the row beside it
    equals = info_nce(query, same, same.expand(3, 2), 0.001)
    assert equals.item() == pytest.approx(log(4), rel=1e-5)  # float32 logits of 1000 have four decimals


def test_gradients(generator):
    queries, keys, negatives = (unit(generator, *shape).requires_grad_() for shape in ((3, 4), (3, 4), (5, 4)))
    assert torch.autograd.gradcheck(lambda q, k, n: info_nce(q, k, n, 0.5), (queries, keys, negatives))


def test_rows_do_not_see_each_other(generator):
    queries, keys, negatives = unit(generator, 4, 6), unit(generator, 4, 6), unit(generator, 3, 6)
    together = info_nce(queries, keys, negatives, 0.2)
    for row in range(4):
        torch.testing.assert_close(
            info_nce(queries[row : row + 1], keys[row : row + 1], negatives, 0.2)[0], together[row]
        )
