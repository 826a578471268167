"""Reduced precision in a search: what it is told of classes, and what it is not."""

from __future__ import annotations

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from amoc.engine.generators import generator
from amoc.evaluating import autoattack
from amoc.evaluating.reduced import CLOSE, NEAR, Reduced
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


def test_how_close_can_be_said():
    model = Fixed([[4.0, 3.9, 0.0], [4.0, 3.7, 0.0]])
    Reduced(model, close=NEAR)(numbered(2))
    Reduced(model, close=0.03)(numbered(2))
    Reduced(model, close=0.1)(numbered(2))
    assert model.asked == [("bfloat16", 2), ("bfloat16", 2), ("float32", 1), ("bfloat16", 2), ("float32", 2)]


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


def test_a_gradient_is_of_bfloat16(classifier):
    """All images, close or not, are asked about once; the gradient points about where that in float32 does."""
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(6))
    gradients = []
    for network in (classifier, Reduced(classifier)):
        leaf = images.clone().requires_grad_()
        network(leaf).logsumexp(dim=1).sum().backward()
        gradients.append(leaf.grad)
    exact, rough = gradients
    assert (exact != rough).any() and torch.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.95
    model = Fixed([[1.0, 1.0]])
    model.logits.requires_grad_()
    assert Reduced(model)(numbered(1)).requires_grad and model.asked == [("bfloat16", 1)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("member", autoattack.MEMBERS)
def test_every_member_searches_in_the_precision_that_it_is_told(classifier, monkeypatch, member, precision):
    asked = []
    plain = Reduced.forward
    monkeypatch.setattr(Reduced, "forward", lambda self, images: asked.append(len(images)) or plain(self, images))
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        labels = classifier(images).argmax(dim=1)
    told = attack(search_precision=precision)
    autoattack.search(told, member, classifier, images, labels, classes=5, seed=1)
    assert bool(asked) == (precision == "bfloat16")


def test_what_bfloat16_alone_misclassifies_is_searched_on():
    """The image is right in float32 wherever it is, and wrong in bfloat16: APGD must go on to its last step."""

    class Torn(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = torch.tensor([[1.0, 1.0 + (0.01 if torch.is_autocast_enabled("cpu") else -0.01), 0.0, 0.0]])
            return logits + 0 * images.sum()

    apgd = APGDAttack(Reduced(Torn()), n_iter=10, norm="Linf", n_restarts=1, eps=0.1, seed=1, device="cpu")
    asked = []
    apgd.model.register_forward_hook(lambda *_: asked.append(torch.is_grad_enabled()))
    autoattack.stop_at_success(apgd)
    apgd.init_hyperparam(torch.zeros(1, 3, 2, 2))
    images, labels = torch.full((1, 3, 2, 2), 0.5), torch.tensor([0])
    _, right, _, found = apgd.attack_single_run(images, labels)
    assert right.item() and torch.equal(found, images)
    assert sum(asked) == 11  # the start and each step


def test_square_believes_bfloat16_that_an_image_is_right_if_it_is_not_near_another_class():
    right, near, tied = [1.0, 0.97, 0.0, 0.0], [1.0, 0.99, 0.0, 0.0], [1.001, 1.0, 0.0, 0.0]
    model = Fixed([right, near, tied])
    assert NEAR < 0.03 < CLOSE  # all three are asked about again anywhere else
    square = SquareAttack(Reduced(model), norm="Linf", eps=0.1, seed=1, device="cpu")
    autoattack.doubt_success(square)
    margins, losses = square.margin_and_loss(numbered(3), torch.zeros(3, dtype=torch.long))
    assert model.asked == [("bfloat16", 3), ("float32", 2)]
    assert margins.tolist() == losses.tolist() == pytest.approx([0.03, 0.01, 0.001], rel=0.1)

    model.asked.clear()
    square.predict(numbered(3))  # about the images themselves, and about where they end
    assert model.asked == [("bfloat16", 3), ("float32", 3)]


def test_square_does_not_believe_bfloat16_that_an_image_is_misclassified():
    """However clearly it says so, Square would leave the image alone from then on, and it would count as standing."""

    class Torn(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            first = torch.ones(len(images))
            second = first + (0.1 if torch.is_autocast_enabled("cpu") else -0.1)
            return torch.stack([first, second, 0 * first, 0 * first], dim=1)

    square = SquareAttack(Reduced(Torn()), norm="Linf", eps=0.1, n_queries=20, seed=1, device="cpu")
    autoattack.doubt_success(square)
    square.init_hyperparam(torch.zeros(2, 3, 8, 8))
    queries, _ = square.attack_single_run(torch.full((2, 3, 8, 8), 0.5), torch.zeros(2, dtype=torch.long))
    assert queries.tolist() == [21, 21]


@pytest.mark.parametrize(("precision", "doubted"), [("float32", 0), ("bfloat16", 1)])
def test_a_search_has_square_doubt_success_in_bfloat16(classifier, monkeypatch, precision, doubted):
    squares = []
    monkeypatch.setattr(autoattack, "doubt_success", squares.append)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        labels = classifier(images).argmax(dim=1)
    autoattack.search(attack(search_precision=precision), "square", classifier, images, labels, classes=5, seed=1)
    assert len(squares) == doubted and all(isinstance(square, SquareAttack) for square in squares)


def test_what_counts_is_float32(classifier):
    """Whatever a search in bfloat16 says it has found, the suite judges by the network itself."""
    images = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        labels = classifier(images).argmax(dim=1)
    suite = {"exact": attack(), "reduced": attack(search_precision="bfloat16")}
    outcomes = run_suite(classifier, images, labels, suite, batch_size=12, seed=1)
    assert abs(outcomes["exact"].accuracy - outcomes["reduced"].accuracy) <= 100 / 12


def test_settings_that_do_not_say_it_are_recorded_as_before():
    assert "search_precision" not in attack().plain()
    assert attack(search_precision="bfloat16").plain()["search_precision"] == "bfloat16"
