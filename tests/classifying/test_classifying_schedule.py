from __future__ import annotations

import pytest

from amoc.classifying.schedule import multistep


def test_a_probe_of_25_epochs_with_milestones_15_and_20():
    rates = [multistep(epoch, (15, 20), 0.1) for epoch in range(25)]
    assert rates == [0.1] * 15 + [0.01] * 5 + [0.001] * 5


@pytest.mark.parametrize("epoch", [0, 7, 199])
def test_without_milestones_the_rate_is_constant(epoch):
    assert multistep(epoch, (), 0.3) == 0.3


def test_the_factor_holds_from_the_start_of_a_milestone_to_the_end():
    assert multistep(101, (102, 154), 0.1) == 0.1
    assert multistep(102, (102, 154), 0.1) == multistep(153, (102, 154), 0.1) == 0.01
    assert multistep(154, (102, 154), 0.1) == multistep(199, (102, 154), 0.1) == 0.001
