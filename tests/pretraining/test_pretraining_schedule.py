"""Warm-up and cosine at their corners, and against PyTorch's schedulers where those coincide."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from amoc.pretraining.schedule import learning_rate, warmup_cosine, warmup_cosine_by_step
from amoc.settings import Lars, Optimizer


def by_scheduler(make, epochs: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, rates = make(optimizer), []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_corners_of_the_paper():
    """1e-4 at epoch 0, 0.01 e up to epoch 10, then 0.05 (1 + cos(pi (e - 10) / 190))."""
    given = [warmup_cosine(epoch, 200, 0.1, 10) for epoch in range(200)]
    assert given[0] == pytest.approx(1e-4)
    assert given[1:10] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09])
    assert given[10] == pytest.approx(0.1)
    assert given[11] < given[10]
    assert given[105] == pytest.approx(0.05)  # half-way down
    assert given[199] == pytest.approx(0.1 * 6.834e-5, rel=1e-3)  # sin^2(pi / 380)
    assert all(one > other > 0 for one, other in pairwise(given[10:]))


def test_without_warm_up_it_is_pytorchs_cosine():
    expected = by_scheduler(lambda optimizer: CosineAnnealingLR(optimizer, T_max=30), 30)
    assert [warmup_cosine(epoch, 30, 0.1, 0) for epoch in range(30)] == pytest.approx(expected, rel=1e-9)


def test_after_warm_up_it_is_pytorchs_cosine_over_the_rest():
    expected = by_scheduler(lambda optimizer: CosineAnnealingLR(optimizer, T_max=24), 24)
    assert [warmup_cosine(epoch, 30, 0.1, 6) for epoch in range(6, 30)] == pytest.approx(expected, rel=1e-9)


def test_warm_up_is_pytorchs_lambda():
    expected = by_scheduler(lambda optimizer: LambdaLR(optimizer, lambda epoch: max(epoch / 6, 0.001)), 7)
    assert [warmup_cosine(epoch, 30, 0.1, 6) for epoch in range(7)] == pytest.approx(expected, rel=1e-12)


def test_shortest_schedules():
    assert warmup_cosine(0, 1, 0.1, 0) == 0.1
    assert [warmup_cosine(epoch, 2, 0.1, 1) for epoch in range(2)] == pytest.approx([1e-4, 0.1])


# ---------------------------------------------------------------- by the step


def test_corners_of_acl():
    """200 epochs of 98 steps: linear over ten of them, up to 5 at the end of the tenth, then a cosine to 1e-6."""
    steps, warmup = 200 * 98, 10 * 98
    given = [warmup_cosine_by_step(step, steps, 5.0, warmup, 1e-6) for step in range(steps)]
    assert given[0] == pytest.approx(5 / 980)  # no step is lost at rate 0
    assert given[489] == pytest.approx(2.5)  # half-way up
    assert given[979] == 5
    assert given[980] < given[979]
    assert given[979 + 190 * 98 // 2] == pytest.approx(2.5 + 0.5e-6, rel=1e-12)  # half-way down
    assert given[-1] == pytest.approx(1e-6, rel=1e-9)
    assert all(one < other for one, other in pairwise(given[:980]))
    assert all(one > other > 0 for one, other in pairwise(given[979:]))


def test_after_warm_up_it_is_pytorchs_cosine_with_its_floor():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, expected = CosineAnnealingLR(optimizer, T_max=24, eta_min=0.01), []
    for _ in range(24):
        optimizer.step()
        scheduler.step()
        expected.append(optimizer.param_groups[0]["lr"])
    given = [warmup_cosine_by_step(step, 30, 0.1, 6, 0.01) for step in range(6, 30)]
    assert given == pytest.approx(expected, rel=1e-9)


def test_shortest_schedules_by_the_step():
    assert warmup_cosine_by_step(0, 1, 0.1, 0, 0.02) == pytest.approx(0.02)
    assert [warmup_cosine_by_step(step, 2, 0.1, 1, 0.02) for step in range(2)] == pytest.approx([0.1, 0.02])


def test_lars_moves_by_the_step_and_sgd_by_the_epoch():
    sgd = Optimizer(lr=0.1, momentum=0.9, weight_decay=0.0, warmup_epochs=2)
    lars = Lars(**sgd.plain(), final_lr=0.01, trust=0.001, layerwise="weights", lr_scaling="none")
    at = [(epoch, step) for epoch in range(5) for step in range(3)]
    assert [learning_rate(sgd, 5, epoch, step, 3) for epoch, step in at] == [
        warmup_cosine(epoch, 5, 0.1, 2) for epoch, _ in at
    ]
    assert [learning_rate(lars, 5, epoch, step, 3) for epoch, step in at] == [
        warmup_cosine_by_step(step, 15, 0.1, 6, 0.01) for step in range(15)
    ]
