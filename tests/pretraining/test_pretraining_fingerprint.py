"""The fingerprint moves with the behaviour, and with nothing else.

That the committed one is what the code computes is for `tests/stages/test_fingerprint.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite

import pytest
import torch

from amoc.engine.files import read_json
from amoc.engine.rounding import rounded
from amoc.pretraining import amoc, bank, fingerprint, infonce, loop, momentum
from amoc.pretraining.variants import VARIANTS
from stages import paths
from tests.stages import tiny


def test_is_finite_and_tells_variants_and_switches_apart():
    numbers = read_json(tiny.ROOT / paths.fingerprint("amoc"))
    runs = [*numbers["variants"].values(), *numbers["switches"], numbers["variants"]["aca"]]
    assert numbers["variants"].keys() == VARIANTS.keys()
    assert len({json.dumps(run) for run in runs}) == len(runs) - 1  # aca stands there twice
    assert len({json.dumps(views) for views in numbers["views"].values()}) == 3
    assert all(isfinite(row["loss"]) for run in runs for row in run["curve"])


def run() -> dict:
    return rounded(fingerprint.train(fingerprint.settings("aca", epochs=2)))


@pytest.fixture(scope="module")
def before() -> dict:
    return run()


def test_is_the_same_each_time(before):
    torch.rand(3)  # moves the global generator
    assert run() == before


def half(function: Callable) -> Callable:
    return lambda *arguments, **options: 0.5 * function(*arguments, **options)


@pytest.mark.parametrize(
    ("place", "name", "change"),
    [
        (amoc, "info_nce", half(infonce.info_nce)),
        (amoc, "maximise", lambda loss, images, **options: images),
        (bank.Bank, "push", lambda self, keys: None),
        (momentum.MomentumPair, "follow", lambda self, momentum: None),
        (
            amoc,
            "unit",
            lambda net, images, name, unit=amoc.unit: unit(net, images, "clean" if net.training else name),
        ),
        (loop, "learning_rate", lambda options, epochs, epoch, step, steps: options.lr),
        (loop, "reseed", lambda random, seed, *names: random.manual_seed(seed)),
        (loop, "two_views", lambda views, pixels, random: 2 * (loop.to_float(pixels).double(),)),
    ],
)
def test_moves_with_the_behaviour(place, name, change, before, monkeypatch):
    monkeypatch.setattr(place, name, change)
    assert run() != before
