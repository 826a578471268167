"""The fingerprint of cheaper attacks moves with their behaviour, and with nothing else."""

from __future__ import annotations

import json
from math import isfinite

import pytest
import torch

from amoc import perturb
from amoc.engine.files import read_json
from amoc.engine.rounding import rounded
from amoc.pretraining import amoc, cheaper, cheaper_fingerprint, fingerprint
from stages import paths
from tests.stages import tiny


def test_is_finite_and_tells_the_ways_apart():
    numbers = read_json(tiny.ROOT / paths.fingerprint("amoc_cheaper"))
    runs = [run for ways in numbers.values() for run in ways]
    assert len({json.dumps(run) for run in runs}) == len(runs) == 2 * len(cheaper_fingerprint.SWITCHES)
    assert all(isfinite(row["loss"]) for run in runs for row in run["curve"])


def test_with_nothing_cheaper_it_is_amocs():
    first, *_ = read_json(tiny.ROOT / paths.fingerprint("amoc_cheaper"))["aca"]
    assert first == read_json(tiny.ROOT / paths.fingerprint("amoc"))["variants"]["aca"]


@pytest.mark.parametrize(
    ("way", "place", "name", "change"),
    [
        ({"share": 0.5}, cheaper, "ceil", lambda number: 3),
        ({"start": "last"}, amoc, "maximise", lambda *given, start, **options: perturb.maximise(*given, **options)),
        (cheaper_fingerprint.FREE, perturb.Ball, "ascend", lambda self, perturbed, gradient, step_size: perturbed),
        (cheaper_fingerprint.FREE, amoc.AMOC, "enqueue", lambda self, keys: None),
    ],
)
def test_moves_with_the_behaviour(way, place, name, change, monkeypatch):
    def run() -> dict:
        return rounded(fingerprint.train(cheaper_fingerprint.settings("aca", epochs=2, **way)))

    before = run()
    torch.rand(3)  # moves the global generator
    assert run() == before
    monkeypatch.setattr(place, name, change)
    assert run() != before
