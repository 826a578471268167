from __future__ import annotations

import json

import pytest

from amoc.engine.rounding import rounded
from amoc.evaluating import attacks, fingerprint, reduced, suite
from amoc.settings import AutoAttack

FOOLBOX = {name: attack for name, attack in fingerprint.SUITE.items() if not isinstance(attack, AutoAttack)}


def nearly(network):
    """The same network with rounding errors, as another machine would have."""
    model = network()
    for parameter in model.parameters():
        parameter.data *= 1 + fingerprint.by_formula(*parameter.shape, scale=1e-6, phase=9.0)
    return model


def test_tells_images_apart_and_does_not_hang_on_the_last_digits(monkeypatch):
    numbers = rounded(fingerprint.fingerprint())
    assert json.loads(json.dumps(numbers)) == numbers
    assert set(numbers["found"]) == set(FOOLBOX)
    assert set(numbers["standing"]) == {"clean", "union", *fingerprint.SUITE}
    assert all(0 < sum(standing) < len(standing) for standing in numbers["standing"].values())
    exact = fingerprint.network
    monkeypatch.setattr(fingerprint, "network", lambda: nearly(exact))
    assert fingerprint.fingerprint()["standing"] == numbers["standing"]


def test_changes_exactly_with_the_behaviour(monkeypatch):
    monkeypatch.setattr(fingerprint, "SUITE", FOOLBOX)  # the others take seconds
    build, before = attacks.build, rounded(fingerprint.fingerprint())
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
def test_changes_with_what_a_search_computes_with(place, name, value, monkeypatch):
    monkeypatch.setattr(fingerprint, "SUITE", FOOLBOX)
    before = rounded(fingerprint.fingerprint())
    monkeypatch.setattr(place, name, value)
    assert rounded(fingerprint.fingerprint()) != before


def test_a_search_in_bfloat16_asks_again_in_float32_about_what_is_close_or_not_finite():
    assert fingerprint.asked_again() == [[6, "torch.bfloat16"], [3, "torch.float32"]]


def test_images_are_images():
    images, labels = fingerprint.images_and_labels(fingerprint.network())
    assert images.min() == 0 and images.max() == 1
    assert len(set(labels.tolist())) > 2
