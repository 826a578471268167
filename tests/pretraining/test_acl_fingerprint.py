"""ACL's fingerprint moves with its behaviour, and with nothing else."""

from __future__ import annotations

import json
from math import isfinite

import pytest
import torch

from amoc.engine.files import read_json
from amoc.engine.rounding import rounded
from amoc.pretraining import acl, acl_fingerprint, loop
from amoc.pretraining.forms import FORMS
from stages import paths
from tests.stages import tiny


def test_is_finite_and_tells_forms_and_switches_apart():
    numbers = read_json(tiny.ROOT / paths.fingerprint("acl"))
    runs = [*numbers["forms"].values(), *numbers["switches"]]
    assert numbers["forms"].keys() == FORMS.keys()
    assert len({json.dumps(run) for run in runs}) == len(runs)
    assert all(isfinite(row["loss"]) for run in runs for row in run["curve"])


def run() -> dict:
    return rounded(acl_fingerprint.train(acl_fingerprint.settings("ds", epochs=2)))


@pytest.fixture(scope="module")
def before() -> dict:
    return run()


def test_is_the_same_each_time(before):
    torch.rand(3)  # moves the global generator
    assert run() == before


@pytest.mark.parametrize(
    ("place", "name", "change"),
    [
        (acl, "nt_xent", lambda one, other, temperature, whole=acl.nt_xent: 0.5 * whole(one, other, temperature)),
        (acl, "maximise", lambda loss, images, **options: images),
        (acl, "unit", lambda net, images, name, unit=acl.unit: unit(net, images, "clean" if net.training else name)),
        (loop, "lars", lambda network, options: torch.optim.SGD(network.parameters(), options.lr, options.momentum)),
    ],
)
def test_moves_with_the_behaviour(place, name, change, before, monkeypatch):
    monkeypatch.setattr(place, name, change)
    assert run() != before
