"""The diagnostics against NumPy, SciPy and scikit-learn, and on features of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from amoc.pretraining.diagnostics import collapsed, effective_rank, neighbour_accuracy, spread


@pytest.fixture
def features(generator) -> torch.Tensor:
    """(40, 5), of unequal directions, away from the origin."""
    return 0.5 + torch.randn(40, 5, generator=generator) * torch.tensor([3.0, 1.0, 1.0, 0.5, 0.1])


def test_spread_is_the_scaled_deviation_of_unit_features(features):
    values = features.double().numpy()
    units = values / np.sqrt((values**2).sum(axis=1, keepdims=True))
    expected = np.mean([np.std(units[:, dimension], ddof=1) for dimension in range(5)]) * np.sqrt(5)
    assert spread(features) == pytest.approx(expected)


def test_spread_of_a_sphere_is_one_and_of_a_point_zero(generator):
    assert spread(torch.randn(5000, 16, generator=generator)) == pytest.approx(1, abs=0.02)
    assert spread(torch.tensor([1.0, 2.0, 3.0]).expand(7, 3)) == pytest.approx(0, abs=1e-7)
    assert spread(torch.zeros(7, 3)) == 0


def test_effective_rank_is_the_exponential_of_the_entropy_of_the_spectrum(features):
    values = features.double().numpy()
    singular = np.linalg.svd(values - values.mean(axis=0), compute_uv=False)
    assert effective_rank(features) == pytest.approx(np.exp(scipy.stats.entropy(singular / singular.sum())))


def test_effective_rank_counts_equal_directions():
    corners = torch.cat([torch.eye(4), -torch.eye(4)])  # mean 0, four equal singular values
    assert effective_rank(corners) == pytest.approx(4)
    assert effective_rank(corners[:, :2] @ torch.ones(2, 6)) == pytest.approx(1)  # on one line
    assert effective_rank(torch.tensor([1.0, 2.0, 3.0]).expand(7, 3)) == 0
    assert effective_rank(torch.zeros(7, 3)) == 0


@pytest.mark.parametrize("neighbours", [1, 3, 20])
def test_neighbour_accuracy_is_leave_one_out_by_scikit_learn(features, neighbours, generator):
    labels = (features[:, 0] > 0).long() + 2 * (torch.rand(40, generator=generator) < 0.2).long()
    classifier = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute")
    expected = 100 * cross_val_score(classifier, features.double().numpy(), labels.numpy(), cv=LeaveOneOut()).mean()
    assert neighbour_accuracy(features, labels, neighbours) == pytest.approx(expected)
    assert 0 < expected < 100


def test_neighbour_accuracy_with_fewer_images_than_neighbours():
    """All the others vote: 3 against 2 for the right class of each of the four, 1 against 4 for that of the two."""
    features, labels = torch.eye(6), torch.tensor([0, 0, 0, 0, 1, 1])
    assert neighbour_accuracy(features, labels, 20) == pytest.approx(100 * 4 / 6)


def test_collapsed(generator):
    healthy = torch.randn(50, 8, generator=generator)
    direction = torch.randn(1, 8, generator=generator)
    assert not collapsed(healthy)
    assert collapsed(direction.expand(50, 8))
    assert collapsed(direction + 1e-3 * healthy)  # nearly one point
    assert collapsed(torch.randn(50, 1, generator=generator) @ direction)  # one line, both ways
    assert collapsed(torch.zeros(50, 8))
    assert not collapsed(direction + 0.1 * healthy)
