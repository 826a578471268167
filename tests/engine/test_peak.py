from __future__ import annotations

import pytest
import torch

from amoc.engine import peak
from amoc.engine.peak import flops_per_pass, matmul_flops_per_second

CPU = torch.device("cpu")


def test_the_fastest_product_counts(monkeypatch):
    times = iter([10.0, 10.2, 10.25, 10.5])  # products of 0.2, 0.05 and 0.25 seconds; then 0.3 seconds are over
    monkeypatch.setattr(peak, "settled_now", lambda: next(times))
    assert matmul_flops_per_second(CPU, "float32", size=8) == pytest.approx(2 * 8**3 / 0.05)
    assert list(times) == []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_are_in_the_precision_of_the_run(monkeypatch, precision):
    seen, whole = [], torch.mm

    def mm(one, other, out):
        seen.append({one.dtype, other.dtype, out.dtype})
        return whole(one, other, out=out)

    monkeypatch.setattr(torch, "mm", mm)
    assert matmul_flops_per_second(CPU, precision, size=8) > 0
    assert seen and all(types == {getattr(torch, precision)} for types in seen)


def test_measuring_draws_nothing_from_the_runs_generators():
    torch.manual_seed(977)
    before = torch.get_rng_state()
    matmul_flops_per_second(CPU, "float32", size=8)
    assert torch.equal(torch.get_rng_state(), before)


def test_operations_of_a_pass_by_hand():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, kernel_size=3, padding=1),  # 2 * 3 * 9 products for each of 4 x 5 places
        torch.nn.BatchNorm2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(2 * 4 * 5, 7),
    )
    assert flops_per_pass(model, (3, 4, 5)) == 2 * (2 * 3 * 9 * 4 * 5 + 2 * 4 * 5 * 7)


def test_counting_leaves_the_model_as_it_is():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flops_per_pass(model, (3, 8, 8))
    assert model.training and all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_the_papers_encoder_takes_1_11_billion():
    """ResNet-18 with a stem for CIFAR at 32 x 32: 0.56 billion multiply-adds."""
    from amoc.models.encoder import Encoder

    encoder = Encoder("resnet18", 64, (0.5,) * 3, (0.25,) * 3)
    assert flops_per_pass(encoder, (3, 32, 32)) == pytest.approx(1.11e9, rel=0.01)
