"""Seconds of the cheaper ways; their size is the machine's business."""

from __future__ import annotations

import json
import math

import pytest

from amoc.params import Params
from benchmarks import cheaper
from benchmarks.cheaper import Way, measure, table
from benchmarks.timing import Spread
from benchmarks.workload import random_images
from tests.benchmarks.conftest import ROOT


def test_an_epoch_has_as_many_updates_whatever_a_step_makes(small, engine, monkeypatch):
    """With replays a step makes several: so the steps of an epoch are fewer, whatever they take."""
    whole = small()
    replayed = Params.load(ROOT / "params.yaml").pretraining("paper", "cifar10", "amoc_free")
    replayed = replayed.model_copy(update=dict(whole) | {"method": "amoc_cheaper", "attack": replayed.attack})
    assert replayed.replays == 4
    monkeypatch.setattr(cheaper, "seconds_per_call", lambda work, steps: 0.5)
    one, two = measure({"whole": whole, "free": replayed}, engine, "float32", blocks=2, steps=1, images=8, size=8)
    assert (one.seconds.median, two.seconds.median) == (0.5 * 12500, 0.5 * 3125)
    assert (one.ratios.median, two.ratios.median) == (1.0, 0.25)
    assert (one.passes, two.passes) == (13, 8)


def test_table():
    ways = [
        Way("amoc", Spread(9.0, 10.0, 11.0), Spread(1.0, 1.0, 1.0), 19),
        Way("free", Spread(4.0, 5.0, 6.0), Spread(0.4, 0.5, 0.6), 8),
    ]
    shown = [line.split() for line in table(ways).splitlines()[1:]]
    assert shown == [
        ["amoc", "19", "1.00", "10", "(9", "..", "11)", "1.00", "(1.00", "..", "1.00)"],
        ["free", "8", "0.42", "5", "(4", "..", "6)", "0.50", "(0.40", "..", "0.60)"],
    ]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_command_measures_every_way_and_ends_with_a_line_of_json(monkeypatch, capsys, small):
    params = Params.load(ROOT / "params.yaml")
    whole = params.pretraining

    def narrow(profile: str, dataset: str, run: str):
        tiny = small()
        settings = whole(profile, dataset, run)
        return settings.model_copy(update={name: getattr(tiny, name) for name in ("model", "projector", "bank_length")})

    monkeypatch.setattr(Params, "load", lambda: params)
    monkeypatch.setattr(params, "pretraining", narrow)
    monkeypatch.setattr(cheaper, "EPOCH", 8)
    monkeypatch.setattr(cheaper, "random_images", lambda count, size: random_images(16, 8))
    cheaper.main(profile="paper", batch_size=4, precision="float32", blocks=1, steps=1)
    *_, last = capsys.readouterr().out.splitlines()
    runs = json.loads(last)["runs"]
    assert list(runs) == ["amoc", "amoc_pgd2", "amoc_fgsm", "amoc_warm", "amoc_half", "amoc_free", "moco"]
    assert [run["passes"] for run in runs.values()] == [19, 13, 11, 11, 11.5, 8, 4]
    assert all(math.isfinite(run["epoch_seconds_50k"]) and run["ratio"] > 0 for run in runs.values())
