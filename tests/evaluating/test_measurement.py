from __future__ import annotations

import torch
from torch import nn

from amoc.evaluating import attacks
from amoc.evaluating.fingerprint import SUITE, images_and_labels, network
from amoc.evaluating.measurement import measure
from amoc.evaluating.suite import run_suite

LINF = {"linf_pgd": SUITE["linf_pgd"]}


def subject():
    images, labels = images_and_labels(network())
    return network().float(), images.float(), labels


def test_holds_the_outcomes_of_the_suite():
    measured = measure(*subject(), LINF, batch_size=5, seed=1)
    outcomes = run_suite(*subject(), LINF, batch_size=5, seed=1)
    assert measured.outcomes == {name: outcome.plain() for name, outcome in outcomes.items()}
    assert (measured.doubts, measured.status) == ([], "ok")
    shown = f"clean {outcomes['clean'].accuracy:.2f} %, linf_pgd {outcomes['linf_pgd'].accuracy:.2f} %"
    assert str(measured) == shown


def test_model_without_finite_logits_is_a_result():
    model, images, labels = subject()
    model[-1].bias.data[1] = torch.nan
    measured = measure(model, images, labels, LINF, batch_size=5, seed=2)
    assert (measured.outcomes, measured.status, str(measured)) == ({}, "nan", "nan")
    assert "NaN" in measured.doubts[0]


def test_attack_that_leaves_an_undefended_model_standing_is_a_doubt(monkeypatch):
    def search(settings, model, images, labels, *, seed):
        return images, {"check": "said"}

    monkeypatch.setattr(attacks, "search", search)
    for undefended in (True, False):
        doubts = measure(*subject(), LINF, batch_size=5, seed=3, undefended=undefended).doubts
        assert doubts[0] == "linf_pgd: check: said"
        assert len(doubts) == 1 + undefended and all("linf_pgd" in doubt for doubt in doubts)


def test_masked_gradients_are_a_doubt():
    model, images, labels = subject()
    model[0].weight.data *= 1e4  # tanh saturates
    doubts = measure(model, images, labels, {}, batch_size=5, seed=4).doubts
    assert any("gradient of the loss is zero" in doubt for doubt in doubts)


def test_gradients_are_looked_at_for_the_whole_first_batch():
    class Flat(nn.Module):
        """Without a gradient at the last image of the first batch."""

        def __init__(self, model: nn.Module, image: torch.Tensor) -> None:
            super().__init__()
            self.model, self.image = model, image

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits, same = self.model(images), (images == self.image).flatten(1).all(dim=1, keepdim=True)
            return torch.where(same, logits.detach(), logits)

    model, images, labels = subject()
    doubts = measure(Flat(model, images[4]).eval(), images, labels, {}, batch_size=5, seed=5).doubts
    assert [doubt.partition(":")[0] for doubt in doubts] == ["the gradient of the loss is zero at 1 of 5 images"]
