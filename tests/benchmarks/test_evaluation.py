"""Both sides attack the same network and find the same; what they take is the machine's business."""

from __future__ import annotations

import inspect
import json
import math

import pyautoattack
import pytest
import torch
from torch import nn

from amoc.evaluating import autoattack
from amoc.evaluating.fingerprint import images_and_labels, network
from amoc.params import Params
from amoc.settings import AutoAttack, ProjectedGradient
from benchmarks import evaluation
from benchmarks.evaluation import Compared, Result, by_foolbox, by_pyautoattack, compare, plain_model, table
from benchmarks.timing import Spread
from tests.benchmarks.conftest import ROOT

PGD = ProjectedGradient(kind="pgd", norm="linf", epsilon=0.02, steps=5, relative_step=0.25)
ENSEMBLE = AutoAttack(kind="autoattack", norm="linf", epsilon=0.014, square_queries=20, images=10)
KEYS = [
    "attack", "images", "seconds", "plain_seconds", "ratio", "accuracy", "plain_accuracy", "images_that_differ",
    "images_that_differ_by_seed",
]  # fmt: skip


class Wide(nn.Module):
    """The fingerprint's network with classes that never win: pyautoattack's settings are for ten of them."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network().float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        few = self.network(images)
        return torch.cat([few, few[:, :1].expand(-1, 6) - torch.arange(5.0, 11.0)], dim=1)


class Quick(pyautoattack.AutoAttack):
    """AutoAttack of a few iterations."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.apgd.n_iter = self.apgd_targeted.n_iter = self.fab.n_iter = 6


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    """On both sides."""
    monkeypatch.setattr(autoattack, "Adversary", Quick)
    monkeypatch.setattr(pyautoattack, "AutoAttack", Quick)


@pytest.fixture
def subject() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A model in float32, 12 images, labels; the third is wrong."""
    images, labels = images_and_labels(network())
    return Wide().eval(), images.float(), labels


@pytest.fixture
def result() -> Result:
    """Made up: of four images one differs in the second block, and the plain calls differ in two."""
    rows = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=torch.bool)
    plain = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 1]], dtype=torch.bool)
    one = Compared(Spread(1.5, 2, 2.5), Spread(7, 8, 9), Spread(0.2, 0.25, 0.3), list(rows), list(plain))
    about = {"device": "Some CPU", "threads": 2, "torch": "2.11"}
    return Result("resnet18", 87.5, about, 250, 2, {"linf_pgd20": one}, {"linf_pgd20": PGD})


def test_numbers_follow_from_what_was_measured(result):
    assert result.plain()["linf_pgd20"] == {
        "attack": PGD.plain(), "images": 4, "seconds": 2, "plain_seconds": 8, "ratio": 0.25, "accuracy": 50.0,
        "plain_accuracy": 62.5, "images_that_differ": 1, "images_that_differ_by_seed": 3,
    }  # fmt: skip


def test_table_says_them(result):
    shown = table(result)
    assert "resnet18; 87.50 % right without attack" in shown and "Some CPU, 2 CPU threads, PyTorch 2.11" in shown
    for cell in ("8 (7 .. 9)", "2 (1.5 .. 2.5)", "0.25 (0.2 .. 0.3)", "62.50, 50.00"):
        assert cell in shown


def test_a_plain_model_is_the_same_function_with_parameters_that_require_gradients(generator):
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last).requires_grad_(False)
    plain, images = plain_model(model), torch.rand(1, 3, 8, 8, generator=generator)
    assert plain.weight.is_contiguous() and plain.weight.requires_grad and not model.weight.requires_grad
    torch.testing.assert_close(plain(images), model(images), rtol=1e-5, atol=1e-6)


def test_both_sides_break_the_same_images(subject):
    """With all images in one batch AutoAttack draws the same numbers on both sides; PGD from another stream."""
    compared = compare(*subject, "linf_autoattack", ENSEMBLE, batch_size=20, blocks=2)
    for ours, plain in zip(compared.standing, compared.plain_standing, strict=True):
        assert torch.equal(ours, plain) and len(ours) == 10 and 0 < ours.sum() < 10
    assert all(seconds > 0 for seconds in (*compared.ours, *compared.plain, *compared.ratios))
    compared = compare(*subject, "linf_pgd20", PGD, batch_size=5, blocks=2)
    assert compared.differing() <= 1 and len(compared.standing[0]) == 12
    assert compared.accuracies()[0] == pytest.approx(compared.accuracies()[1], abs=100.1 / 12)  # an image of 12


def test_plain_calls_count_the_image_that_is_wrong_as_broken(subject):
    assert not by_foolbox(*subject, PGD, 5, seed=1)[2]
    assert not by_pyautoattack(*subject, ENSEMBLE, 20, seed=1)[2]


def test_command_trains_measures_and_ends_with_a_line_of_json(monkeypatch, capsys):
    params = Params.load(ROOT / "params.yaml")
    tiny = params.classifying("demo", "cifar10", "pgd_at")
    tiny = tiny.model_copy(update={"model": tiny.model.model_copy(update={"width": 2})})
    monkeypatch.setattr(Params, "load", lambda: params)
    monkeypatch.setattr(params, "classifying", lambda *names: tiny)
    attacks = {"linf_pgd20": PGD, "linf_autoattack": ENSEMBLE.model_copy(update={"epsilon": 0.5})}
    monkeypatch.setattr(params, "attack", lambda profile, name: attacks[name])
    evaluation.main(profile="demo", epochs=1, images=12, queries=7, blocks=1)
    *_, last = capsys.readouterr().out.splitlines()
    plain = json.loads(last)
    assert [list(plain[name]) for name in attacks] == [KEYS, KEYS]
    assert plain["batch_size"] == params.evaluate.batch_size and plain["blocks"] == 1
    assert plain["linf_autoattack"]["images"] == 12 > ENSEMBLE.images  # as many as were asked for
    assert plain["linf_autoattack"]["attack"]["square_queries"] == 7
    assert plain["linf_pgd20"]["images"] == 12 and plain["linf_pgd20"]["images_that_differ_by_seed"] is None
    assert all(math.isfinite(plain[name][key]) for name in attacks for key in KEYS[1:-1])


def test_the_kept_line_is_of_the_command_as_it_is():
    chosen = {name: option.default for name, option in inspect.signature(evaluation.main).parameters.items()}
    one = json.loads((ROOT / "benchmarks" / "measured" / "evaluation.jsonl").read_text(encoding="utf-8"))
    assert (one["blocks"], one["linf_pgd20"]["images"]) == (chosen["blocks"], chosen["images"])
    assert chosen["epochs"] is chosen["queries"] is chosen["search_precision"] is None
    attack = Params.load(ROOT / "params.yaml").attack(chosen["profile"], "linf_autoattack")
    assert one["linf_autoattack"]["attack"] == {**attack.plain(), "images": chosen["images"]}
