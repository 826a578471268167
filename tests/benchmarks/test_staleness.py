"""What old keys do to the loss: nothing where the key encoder stands still."""

from __future__ import annotations

import json
from math import log

import pytest
import torch
from torch import Generator

from amoc.datasets import Dataset, Images, write
from amoc.engine.clock import Clock
from amoc.engine.interruption import Stop
from amoc.params import Params
from amoc.pretraining.loop import build_method, pretrain
from amoc.refusal import Refusal
from benchmarks import staleness
from benchmarks.staleness import Epoch, Look, Watched, by_epoch, measure
from benchmarks.workload import MEAN, STD, random_images
from stages import paths
from tests.benchmarks.conftest import ROOT

EPOCHS = 3  # of 11 batches of four, of which ten fill the bank
MOCO = {"variant": "ccc", "branch": "clean"}  # no attack: sooner done


@pytest.fixture
def data() -> Dataset:
    images = Images(random_images(42, 8), torch.arange(42).numpy() % 3)
    return Dataset("cifar10", "cifar", images, images, 3, MEAN, STD, ("a", "b", "c"))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(staleness, "EVERY", 2)


def looks(settings, engine, data) -> list[Epoch]:
    return measure(settings, engine, data, epochs=EPOCHS)


def test_a_key_encoder_that_stands_still_makes_the_same_keys(small, engine, data):
    found = looks(small(key_momentum=1.0, **MOCO), engine, data)
    assert [(each.epoch, each.looks) for each in found] == [(1, 1), (2, 5), (3, 6)]
    for each in found:
        assert each.new_keys == pytest.approx(each.loss, abs=1e-5)
        assert each.cosine == pytest.approx(1, abs=1e-5)


def test_one_that_moves_makes_others(small, engine, data):
    hasty = small(key_momentum=0.0, **MOCO)
    hasty = hasty.model_copy(update={"optimizer": hasty.optimizer.model_copy(update={"warmup_epochs": 1})})
    last = looks(hasty, engine, data)[-1]
    assert last.cosine < 0.999 and abs(last.new_keys - last.loss) > 1e-3


def test_a_look_by_its_definition(small):
    """Two batches in a bank of six keys: the first has two of its four left."""
    settings = small(bank_length=6)
    method = Watched(build_method(settings, MEAN, STD).encoder, settings, Generator().manual_seed(1)).train()
    first, second, queries, keys = torch.rand(4, 4, 3, 8, 8, generator=Generator().manual_seed(2))
    for views in (first, second):
        _, new = method.losses({"clean": queries, "adv": queries}, {"clean": views})
        method.enqueue(new)
    old = torch.randn(6, 8, generator=Generator().manual_seed(3))
    old = old / old.norm(dim=1, keepdim=True)
    method.banks["clean"].keys.copy_(old)  # at the places that the pushes went on from
    found = method.look(queries, keys)

    def projected(network, views):
        with torch.no_grad():
            out = network(views)
        return out / out.norm(dim=1, keepdim=True)

    anew = torch.cat((projected(method.pair.key, first)[2:], projected(method.pair.key, second)))
    in_order = old[[2, 3, 4, 5, 0, 1]]  # eight were pushed: the third place has the oldest
    expected = []
    own = projected(method.pair.key, keys)
    others = own[[3, 0, 1, 2]]
    for positives, negatives in ((own, in_order), (own, anew), (others, anew)):
        total = 0.0
        for q, k in zip(projected(method.pair.query, queries), positives, strict=True):
            scores = [torch.dot(q, n) / settings.temperature for n in (k, *negatives)]
            total += float(torch.stack(scores).exp().sum().log() - scores[0])
        expected.append(total / 4)
    expected.append(sum(float(torch.dot(a, b)) for a, b in zip(in_order, anew, strict=True)) / 6)
    assert [found.loss, found.new_keys, found.other_image, found.cosine] == pytest.approx(expected, abs=1e-5)


def test_looking_changes_nothing(small, engine, data):
    settings = small()
    pixels, labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    plain = build_method(settings, MEAN, STD)
    watched = Watched(build_method(settings, MEAN, STD).encoder, settings, staleness.generator(settings.seed, "method"))
    for method in (plain, watched):
        pretrain(
            method, settings, pixels, labels, device=torch.device("cpu"), precision="float32", checkpoint=None,
            stop=Stop(), clock=Clock(), title="", epochs=2,
        )  # fmt: skip
    assert len(watched.looks) > 3
    after = watched.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in plain.state_dict().items())


def test_means_of_an_epoch():
    given = [(9, Look(3.0, 4.0, 5.0, 0.5)), (12, Look(1.0, 2.0, 3.0, 0.9)), (14, Look(2.0, 3.0, 4.0, 0.7))]
    assert by_epoch(given, 10) == [Epoch(3.0, 4.0, 5.0, 0.5, 1, 1), Epoch(1.5, 2.5, 3.5, 0.8, 2, 2)]


@pytest.mark.parametrize("run", ["acl", "amoc_free", "amoc_enqueue_before"])
def test_what_has_no_such_bank_is_refused(engine, data, run):
    settings = Params.load(ROOT / "params.yaml").pretraining("small", "cifar10", run)
    with pytest.raises(Refusal, match="allowed is a run of the method amoc"):
        measure(settings, engine, data)


def test_what_cannot_be_told_is_refused(small, engine, data):
    with pytest.raises(Refusal, match="--epochs is 201, allowed is at most 200"):
        measure(small(), engine, data, epochs=201)
    with pytest.raises(Refusal, match="too few steps to fill the bank"):
        measure(small(bank_length=400, **MOCO), engine, data, epochs=1)


def test_command(monkeypatch, capsys, small, data, tmp_path):
    params = Params.load(ROOT / "params.yaml")
    monkeypatch.setattr(Params, "load", lambda: params)
    monkeypatch.setattr(params, "pretraining", lambda *run: small(**MOCO))
    monkeypatch.chdir(tmp_path)
    write(data, paths.data("demo", "cifar10"))
    staleness.main("demo", "cifar10", "amoc", key_momentum=1.0, epochs=2)
    *_, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found["key_momentum"] == 1.0 and found["chance"] == pytest.approx(log(41), abs=1e-4)
    assert [(each["epoch"], each["looks"], each["cosine"]) for each in found["epochs"]] == [(1, 1, 1.0), (2, 5, 1.0)]
