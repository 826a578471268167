"""Separability of features against its definitions, and a plane that is the same each time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from amoc.augment import to_float
from amoc.datasets import Dataset, Images
from amoc.evaluating.embedding import draw, embed, features_of, neighbour_accuracy, plane, units
from amoc.models.encoder import Encoder
from amoc.models.norm import branch
from amoc.refusal import Refusal
from amoc.settings import Embedding

SETTINGS = Embedding(perplexity=4.0, images=20, seed=3, neighbours=3)
CPU = torch.device("cpu")


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def data(random) -> Dataset:
    """30 training and 24 test images of 3 classes, each of which is brighter than the last."""

    def images(count: int) -> Images:
        labels = np.arange(count) % 3
        pixels = 80 * labels[:, None, None, None] + random.integers(0, 60, (count, 8, 8, 3))
        return Images(pixels.astype("uint8"), labels)

    return Dataset("cifar10", "digits", images(30), images(24), 3, (0.5,) * 3, (0.25,) * 3, ("dark", "grey", "bright"))


@pytest.fixture
def encoder(generator) -> Encoder:
    """With norms that differ between the branches."""
    network = Encoder("resnet18", 4, (0.5,) * 3, (0.25,) * 3).eval()
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 1:
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator) + (name.endswith(("weight", "var"))))
    return network


def angles(one: np.ndarray, other: np.ndarray) -> float:
    """Distance on the unit sphere, straight through it."""
    return float(np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other)))


def votes(train: np.ndarray, labels: np.ndarray, one: np.ndarray, neighbours: int) -> int:
    """The class with the most of the nearest training features, the smaller one of two with as many."""
    nearest = sorted(range(len(train)), key=lambda i: angles(train[i], one))[:neighbours]
    counted = Counter(int(labels[i]) for i in nearest)
    return min(counted, key=lambda label: (-counted[label], label))


def silhouette(features: np.ndarray, labels: np.ndarray) -> float:
    """Rousseeuw (1987): mean of (b - a) / max(a, b), a to the own class, b to the nearest other one."""
    values = []
    for i, label in enumerate(labels):
        others = {c: [j for j in np.flatnonzero(labels == c) if j != i] for c in {*labels}}
        apart = {c: [angles(features[i], features[j]) for j in own] for c, own in others.items()}
        a, b = np.mean(apart[label]), min(np.mean(apart[c]) for c in apart if c != label)
        values.append((b - a) / max(a, b))
    return float(np.mean(values))


def test_numbers_are_those_of_their_definitions(encoder, data):
    found = embed(encoder, data, SETTINGS, "adv", 7, CPU)
    train, test = (features_of(encoder, torch.from_numpy(s.pixels), "adv", 7).numpy() for s in (data.train, data.test))
    voted = [votes(train, data.train.labels, one, 3) for one in test]
    assert found.knn == pytest.approx(100 * np.mean(voted == data.test.labels))
    assert found.silhouette == pytest.approx(silhouette(test, data.test.labels), abs=1e-5)
    assert found.status == "ok" and len(found.x) == len(found.y) == 20


def test_features_are_of_the_branch_and_in_eval_mode(encoder, data):
    pixels = torch.from_numpy(data.test.pixels)
    for name in ("clean", "adv"):
        with branch(encoder, name), torch.no_grad():
            expected = encoder(to_float(pixels))
        found = features_of(encoder, pixels, name, 5)
        assert found.shape == (24, encoder.features) and not found.requires_grad
        torch.testing.assert_close(found, expected)
    one, other = (embed(encoder, data, SETTINGS, name, 24, CPU) for name in ("clean", "adv"))
    assert one.silhouette != other.silhouette and one.x != other.x


def test_ties_go_to_the_smaller_class():
    train, labels = np.array([[1.0, 0.0], [1.0, 0.1]]), np.array([4, 2])
    assert neighbour_accuracy(train, labels, np.array([[1.0, 0.0]]), np.array([2]), 2) == 100
    assert neighbour_accuracy(train, labels, np.array([[1.0, 0.0]]), np.array([4]), 2) == 0


def test_units_have_length_one_and_zero_stays():
    found = units(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert found.tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_images_drawn_depend_on_the_seed_alone():
    torch.rand(3)
    one, again = draw(24, SETTINGS), draw(24, SETTINGS)
    assert one.tolist() == again.tolist() == sorted({*one.tolist()}) and len(one) == 20
    assert one.tolist() != draw(24, SETTINGS.model_copy(update={"seed": 4})).tolist()
    assert draw(6, SETTINGS).tolist() == list(range(6))


def test_labels_are_of_the_images_drawn(encoder, data):
    found = embed(encoder, data, SETTINGS, "adv", 24, CPU)
    assert list(found.labels) == data.test.labels[draw(24, SETTINGS)].tolist()


def test_the_same_plane_each_time_whatever_the_threads(encoder, data):
    with threadpool_limits(1):
        one = embed(encoder, data, SETTINGS, "adv", 24, CPU)
    np.random.seed(5)
    with threadpool_limits(2):
        other = embed(encoder, data, SETTINGS, "adv", 24, CPU)
    assert one == other
    assert one.x != embed(encoder, data, SETTINGS.model_copy(update={"seed": 4}), "adv", 24, CPU).x


def test_groups_stay_together_in_the_plane(random):
    """Three groups far apart: each image's nearest in the plane is one of its own."""
    groups = np.repeat(np.eye(3, 8), 12, axis=0) + 0.02 * random.normal(size=(36, 8))
    places = plane(groups, perplexity=5.0, seed=2)
    assert places.shape == (36, 2) and np.array_equal(places, places.round(2))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(36)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()


@pytest.mark.parametrize(("value", "status"), [(float("nan"), "nan"), (0.0, "collapsed")])
def test_features_that_say_nothing_give_no_numbers(encoder, data, value, status):
    for norm in (encoder.backbone.layer4[1].bn2.adv, encoder.backbone.layer4[1].bn1.adv):
        norm.weight.data.fill_(value)
    encoder.backbone.layer4[0].bn2.adv.weight.data.zero_()
    encoder.backbone.layer4[0].downsample[1].adv.weight.data.zero_()
    found = embed(encoder, data, SETTINGS, "adv", 24, CPU)
    assert (found.knn, found.silhouette, found.labels, found.x, found.y) == (None, None, (), (), ())
    assert found.status == status


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"perplexity": 20.0}, "embedding.perplexity is 20, allowed is less than the 20 images drawn"),
        ({"images": 4}, "embedding.perplexity is 4, allowed is less than the 4 images drawn"),
        ({"neighbours": 31}, "embedding.neighbours is 31, allowed is at most 30, the training images"),
    ],
)
def test_more_than_there_is_is_refused(encoder, data, change, sentence):
    with pytest.raises(Refusal, match=sentence):
        embed(encoder, data, SETTINGS.model_copy(update=change), "adv", 24, CPU)
