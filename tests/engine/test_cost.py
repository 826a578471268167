from __future__ import annotations

import pytest
import torch

from amoc.engine import cost
from amoc.engine.cost import announce, seconds_per_pass
from amoc.refusal import Refusal

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Watched(torch.nn.Module):
    """Notes how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.dropout = torch.nn.Dropout()
        self.calls: list[tuple] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        output = self.dropout(self.norm(images))
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        self.calls.append((self.training, self.norm.training, output.requires_grad, dtype))
        return output


def test_median_batch_divided_by_its_images(monkeypatch):
    times = iter([10.0, 12.0, 13.0, 113.0, 115.0, 116.5])  # batches of 2, 1, 100, 2 and 1.5 seconds
    model, calls_before_clock = Watched(), []

    def now() -> float:
        calls_before_clock.append(len(model.calls))
        return next(times)

    monkeypatch.setattr(cost, "settled_now", now)
    assert seconds_per_pass(model, torch.rand(4, 3, 2, 2)) == 2.0 / 4
    assert calls_before_clock == [1, 2, 3, 4, 5, 6]  # one before the first reading: the warm-up


def test_measuring_changes_nothing():
    torch.manual_seed(811)
    model = Watched().train()
    model.dropout.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = torch.rand(4, 3, 2, 2)
    random_before = torch.get_rng_state()
    assert seconds_per_pass(model, images) > 0
    assert set(model.calls) == {(False, False, False, None)}
    assert (model.training, model.norm.training, model.dropout.training) == (True, True, False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_before)
    assert torch.is_grad_enabled()


def test_autocast_around_it_is_the_one_measured():
    model = Watched()
    with torch.autocast("cpu", torch.bfloat16):
        seconds_per_pass(model, torch.rand(4, 3, 2, 2))
    assert {dtype for *_, dtype in model.calls} == {torch.bfloat16}


def test_modes_return_when_the_model_fails():
    model = Watched().train()
    with pytest.raises(RuntimeError):
        seconds_per_pass(model, torch.rand(4, 5, 2, 2))
    assert model.training and model.norm.training


@pytest.mark.parametrize(
    ("passes", "each", "expected"),
    [
        (1_234_567, 1e-2, "train x: about 1,200,000 encoder passes, 3.4 h on cpu\n"),
        (1_250, 1e-2, "train x: about 1,200 encoder passes, 12 s on cpu\n"),
        (60_000, 1e-2, "train x: about 60,000 encoder passes, 10 min on cpu\n"),
        (190_000_000, 1e-6, "train x: about 190,000,000 encoder passes, 3 min on cpu\n"),
    ],
)
def test_cost_is_said(capsys, passes, each, expected):
    announce("train x", passes, each, CPU, anyway=False)
    assert capsys.readouterr().out == expected


def test_too_long_on_a_cpu_is_said_and_refused(capsys):
    with pytest.raises(Refusal) as refusal:
        announce("train x", 1_000_000, 0.0225, CPU, anyway=False)  # 6.25 hours
    assert "6.2 h" in str(refusal.value)
    assert "more than 6 h" in str(refusal.value)
    assert "--anyway" in str(refusal.value) and "AMOC_ANYWAY=1" in str(refusal.value)
    assert capsys.readouterr().out == "train x: about 1,000,000 encoder passes, 6.2 h on cpu\n"


@pytest.mark.parametrize(
    ("device", "hours", "anyway"), [(CPU, 6.25, True), (GPU, 6.25, False), (CPU, 6.0, False), (CPU, 0.001, False)]
)
def test_otherwise_it_is_not_refused(capsys, device, hours, anyway):
    announce("train x", 1000, 3.6 * hours, device, anyway)
    assert capsys.readouterr().out.endswith(f" on {device.type}\n")
