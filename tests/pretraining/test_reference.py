"""Features and training steps against numbers recorded from the official code (MTandHJ/amoc, cdeefda), float64.

Weights, inputs and banks come from formulas, so nothing but the numbers in official.json is needed:
a tensor is RandomState(crc32(name)).standard_normal, scaled; names end in #q or #k for the query and the key side.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from amoc.models.encoder import Encoder
from amoc.models.norm import branch
from amoc.params import Params
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.projections import unit

OFFICIAL = json.loads(Path(__file__).with_name("official.json").read_text())
MEAN, STD = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2617)
VARIANTS = {"ccc": ("ccc", "moving"), "aca_plus": ("aca", "moving"), "acc": ("acc", "moving"),
            "aca": ("aca", "frozen"), "cac": ("cac", "moving"), "aaa": ("aaa", "moving")}  # fmt: skip


def formula(name: str, shape: torch.Size) -> torch.Tensor:
    r = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(int(np.prod(shape))).reshape(shape)
    bare = name.split("#")[0]
    if len(shape) == 4:
        value = r * np.sqrt(2 / (shape[0] * shape[2] * shape[3]))
    elif len(shape) == 2:
        value = r * np.sqrt(2 / shape[1])
    elif bare.endswith("running_var"):
        value = 1 + 0.1 * np.abs(r)
    elif bare.endswith("weight"):
        value = 1 + 0.1 * r
    else:
        value = 0.1 * r
    return torch.from_numpy(value)


def fill(network: torch.nn.Module, side: str) -> None:
    """Official names are ours without the modules that hold them."""
    for key, tensor in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            name = key.removeprefix("encoder.backbone.").removeprefix("projector.")
            tensor.copy_(formula(name + side, tensor.shape))


def batch(index: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The clean query and key, and both perturbed, one above the other."""
    r = np.random.RandomState(1000 + index)
    query, key = (torch.from_numpy(r.rand(size, 3, 32, 32)) for _ in range(2))
    delta = torch.from_numpy(r.uniform(-8 / 255, 8 / 255, (2 * size, 3, 32, 32)))
    return query, key, (torch.cat((query, key)) + delta).clamp(0, 1)


def method(variant: str, bank_adv: str) -> AMOC:
    params = Params.load(Path(__file__).parents[2] / "params.yaml")
    settings = params.pretraining("paper", "cifar10", "amoc").model_copy(
        update={"variant": variant, "bank_adv": bank_adv, "bank_length": 20, "enqueue": "before"}
    )
    amoc = AMOC(Encoder("resnet18", 64, MEAN, STD), settings, torch.Generator().manual_seed(0)).double()
    fill(amoc.pair.query, "#q")
    fill(amoc.pair.key, "#k")
    for name, bank in amoc.banks.items():
        noise = np.random.RandomState(zlib.crc32(f"queue_{name}".encode())).standard_normal((128, 20))
        bank.keys.copy_(F.normalize(torch.from_numpy(noise).T, dim=1))
    return amoc


def assert_recorded(tensor: torch.Tensor, recorded: dict) -> None:
    values = tensor.detach().flatten()
    assert list(tensor.shape) == recorded["shape"]
    assert values[: len(recorded["first"])].tolist() == pytest.approx(recorded["first"], rel=1e-6, abs=1e-9)
    assert float(values.norm()) == pytest.approx(recorded["norm"], rel=1e-6)


def test_features():
    amoc, recorded = method("aca", "moving"), OFFICIAL["features"]
    query, _, _ = batch(0, 4)
    with torch.no_grad():
        for name in ("clean", "adv"):
            for training in (False, True):
                encoder = amoc.encoder.train(training)
                with branch(encoder, name):
                    assert_recorded(encoder(query), recorded[f"{'train' if training else 'eval'}_{name}"])
        fill(amoc.pair.query, "#q")  # the train passes moved the running statistics
        assert_recorded(unit(amoc.pair.query.eval(), query, "clean"), recorded["projection_eval_clean"])


def run(official: str, batches: int) -> AMOC:
    amoc = method(*VARIANTS[official])
    optimizer = torch.optim.SGD(amoc.pair.query.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for index in range(batches):
        recorded = OFFICIAL["variants"][official]["batches"][index]
        query, key, perturbed = batch(index, 8)
        terms, _ = amoc.losses({"clean": query, "adv": perturbed[:8]}, {"clean": key, "adv": perturbed[8:]})
        optimizer.zero_grad()
        terms.total.backward()
        parameters = amoc.pair.query.parameters()
        gradients = [parameter.grad.flatten() for parameter in parameters if parameter.grad is not None]
        optimizer.step()
        amoc.pair.follow(0.999)
        assert terms.clean.item() == pytest.approx(recorded["loss_clean"], rel=1e-6)
        assert terms.variant.item() == pytest.approx(recorded["loss_variant"], rel=1e-6)
        assert float(torch.cat(gradients).norm()) == pytest.approx(recorded["grad_norm"], rel=1e-6)
    return amoc


QUICK = ("aca_plus", "aaa")  # between them every branch, bank and way to fill it; the rest is for `make test-all`


@pytest.mark.parametrize(
    "official", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
)
def test_first_step(official):
    run(official, 1)


@pytest.mark.slow
@pytest.mark.parametrize("official", VARIANTS)
def test_three_steps(official):
    amoc, after = run(official, 3), OFFICIAL["variants"][official]["after"]
    query, key = amoc.pair.query.encoder.backbone, amoc.pair.key.encoder.backbone
    assert_recorded(query.conv1.weight, after["query_conv1"])
    assert_recorded(key.conv1.weight, after["key_conv1"])
    assert_recorded(query.bn1.adv.running_mean, after["bn_adv_running_mean"])
    assert_recorded(key.bn1.clean.running_mean, after["key_bn_clean_running_mean"])
    for name in ("clean", "adv"):
        assert_recorded(amoc.banks[name].keys.T, after[f"bank_{name}"])
