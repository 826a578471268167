"""Reduced precision in a search: never another class than float32 says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from amoc.engine.generators import generator
from amoc.evaluating import autoattack
from amoc.evaluating.reduced import CLOSE, Reduced
from amoc.evaluating.suite import run_suite
from amoc.models.classifier import Classifier
from amoc.models.encoder import fresh_encoder
from amoc.models.heads import linear_head
from amoc.settings import AutoAttack, Model


class Fixed(nn.Module):
    """Logits that are given, whatever the images; counts how many it is asked about in each precision."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits, self.asked = torch.tensor(logits), []

    def forward(self, images: Tensor) -> Tensor:
        reduced = torch.is_autocast_enabled("cpu")
        self.asked.append(("bfloat16" if reduced else "float32", len(images)))
        rows = images[:, 0, 0, 0].long()
        return self.logits[rows].to(torch.bfloat16) if reduced else self.logits[rows]


def numbered(count: int) -> Tensor:
    """Images whose first value is their place."""
    return torch.arange(count).float()[:, None, None, None].expand(count, 3, 2, 2)


def test_only_close_logits_are_asked_about_again():
    far, close, nan = [4.0, 1.0, 0.0], [4.0, 4.0 * (1 - CLOSE) + 0.01, 0.0], [float("nan"), 1.0, 0.0]
    model = Fixed([far, close, far, nan])
    logits = Reduced(model)(numbered(4))
    assert model.asked == [("bfloat16", 4), ("float32", 2)]
    assert logits.dtype == torch.float32
    assert logits[1].tolist() == torch.tensor(close).tolist()  # exactly, where bfloat16 would round
    assert logits[3, 0].isnan()
    model = Fixed([far, far])
    Reduced(model)(numbered(2))
    assert model.asked == [("bfloat16", 2)]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    encoder = fresh_encoder(Model(architecture="resnet18", width=8), (0.5,) * 3, (0.25,) * 3, generator(1, "weights"))
    head = linear_head(encoder.features, 5)
    nn.init.normal_(head.weight, generator=generator(2, "head"))
    return Classifier(encoder, head, "clean").eval()


def test_a_resnet_never_says_another_class(classifier):
    """Nor is the rounding anywhere near what CLOSE allows for."""
    images = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        exact, reduced = classifier(images), Reduced(classifier)(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = classifier(images).float()
    assert (exact.argmax(dim=1) == reduced.argmax(dim=1)).all()
    error = (exact - rounded).abs().amax(dim=1) / exact.abs().amax(dim=1)
    assert 0 < error.max() < CLOSE / 2


def attack(**more: object) -> AutoAttack:
    return AutoAttack(kind="autoattack", norm="linf", epsilon=0.03, square_queries=60, images=None, **more)


def test_square_searches_in_bfloat16_if_it_is_told_to(classifier, monkeypatch):
    asked = []
    plain = Reduced.forward
    monkeypatch.setattr(Reduced, "forward", lambda self, images: asked.append(len(images)) or plain(self, images))
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        labels = classifier(images).argmax(dim=1)
    for member in autoattack.MEMBERS:
        told = attack(square_precision="bfloat16")
        autoattack.search(told, member, classifier, images, labels, classes=5, seed=1)
        assert bool(asked) == (member == "square"), member
    asked.clear()
    autoattack.search(attack(), "square", classifier, images, labels, classes=5, seed=1)
    assert not asked


def test_what_counts_is_float32(classifier):
    """Whatever a search in bfloat16 says it has found, the suite judges by the network itself."""
    images = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        labels = classifier(images).argmax(dim=1)
    suite = {"exact": attack(), "reduced": attack(square_precision="bfloat16")}
    outcomes = run_suite(classifier, images, labels, suite, batch_size=12, seed=1)
    # the members before Square are the same, so only what they left can differ
    assert abs(outcomes["exact"].accuracy - outcomes["reduced"].accuracy) <= 100 / 12


def test_settings_that_do_not_say_it_are_recorded_as_before():
    assert "square_precision" not in attack().plain()
    assert attack(square_precision="bfloat16").plain()["square_precision"] == "bfloat16"
