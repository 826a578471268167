from __future__ import annotations

import json

import pytest

from amoc.engine.rounding import rounded
from amoc.evaluating import attacks, fingerprint
from amoc.params import AutoAttack

FOOLBOX = {name: attack for name, attack in fingerprint.SUITE.items() if not isinstance(attack, AutoAttack)}


@pytest.fixture
def foolbox_only(monkeypatch):
    """Without the attacks that take seconds."""
    monkeypatch.setattr(fingerprint, "SUITE", FOOLBOX)


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


@pytest.mark.parametrize("change", ["nothing", "projection", "quantile", "random start", "candidates"])
def test_changes_exactly_with_the_behaviour(change, foolbox_only, monkeypatch):
    before = rounded(fingerprint.fingerprint())
    build = attacks.build

    def changed(settings):
        attack = build(settings)
        for name, value in {"quantile": 0.98, "random start": False, "candidates": 2}.items():
            if change == name and hasattr(attack, name.replace(" ", "_")):
                setattr(attack, name.replace(" ", "_"), value)
        return attack

    monkeypatch.setattr(attacks, "build", changed)
    if change == "projection":
        monkeypatch.delattr(attacks.ImagewiseSlide, "project")
    assert (rounded(fingerprint.fingerprint()) == before) == (change == "nothing")


def test_images_are_images():
    images, labels = fingerprint.images_and_labels(fingerprint.network())
    assert images.min() == 0 and images.max() == 1
    assert len(set(labels.tolist())) > 2
