"""The evaluation's fingerprint moves with the behaviour, and not with the last digits.

That the committed one is what the code computes is for `tests/stages/test_fingerprint.py`.
"""

from __future__ import annotations

import pytest

from amoc.engine.files import read_json
from amoc.engine.rounding import rounded
from amoc.evaluating import attacks, fingerprint, reduced, suite
from amoc.settings import AutoAttack
from stages import paths
from tests.stages import tiny

FOOLBOX = {name: attack for name, attack in fingerprint.SUITE.items() if not isinstance(attack, AutoAttack)}


@pytest.fixture(scope="module")
def before():
    """With foolbox's attacks alone: the others take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "SUITE", FOOLBOX)
        return rounded(fingerprint.fingerprint())


def nearly(network):
    """The same network with rounding errors, as another machine would have."""
    model = network()
    for parameter in model.parameters():
        parameter.data *= 1 + fingerprint.by_formula(*parameter.shape, scale=1e-6, phase=9.0)
    return model


def test_tells_images_apart_and_does_not_hang_on_the_last_digits(monkeypatch):
    numbers = read_json(tiny.ROOT / paths.fingerprint("evaluate"))
    assert set(numbers["found"]) == set(FOOLBOX)
    assert set(numbers["standing"]) == {"clean", "union", *fingerprint.SUITE}
    assert all(0 < sum(standing) < len(standing) for standing in numbers["standing"].values())
    exact = fingerprint.network
    monkeypatch.setattr(fingerprint, "network", lambda: nearly(exact))
    assert fingerprint.fingerprint()["standing"] == numbers["standing"]


def test_changes_exactly_with_the_behaviour(before, monkeypatch):
    monkeypatch.setattr(fingerprint, "SUITE", FOOLBOX)
    build = attacks.build
    assert rounded(fingerprint.fingerprint()) == before
    for name, value in {"quantile": 0.98, "random_start": False, "candidates": 2}.items():

        def changed(settings, name=name, value=value):
            attack = build(settings)
            if hasattr(attack, name):
                setattr(attack, name, value)
            return attack

        monkeypatch.setattr(attacks, "build", changed)
        assert rounded(fingerprint.fingerprint()) != before, name
    monkeypatch.setattr(attacks, "build", build)
    monkeypatch.delattr(attacks.ImagewiseSlide, "project")
    assert rounded(fingerprint.fingerprint()) != before


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [(suite, "folded", lambda model, images: model), (reduced, "CLOSE", 0.5), (reduced, "CLOSE", 0.0)],
)
def test_changes_with_what_a_search_computes_with(place, name, value, before, monkeypatch):
    monkeypatch.setattr(fingerprint, "SUITE", FOOLBOX)
    monkeypatch.setattr(place, name, value)
    assert rounded(fingerprint.fingerprint()) != before


def test_a_search_in_bfloat16_asks_again_in_float32_about_what_is_close_or_not_finite():
    assert fingerprint.asked_again() == [[6, "torch.bfloat16"], [3, "torch.float32"]]


def test_images_are_images():
    images, labels = fingerprint.images_and_labels(fingerprint.network())
    assert images.min() == 0 and images.max() == 1
    assert len(set(labels.tolist())) > 2
