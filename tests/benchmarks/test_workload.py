"""What is timed is what the loop does."""

from __future__ import annotations

import pytest
import torch

from amoc.engine import capture
from amoc.engine.clock import Clock
from amoc.engine.interruption import Stop
from amoc.models.norm import same
from amoc.pretraining.loop import build_method, pretrain
from benchmarks import workload
from benchmarks.workload import MEAN, STD, Workload, random_images
from tests.recording import recorded

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_first_epoch_is_the_loops(small, precision):
    settings, pixels = small(), random_images(8, 32)
    work = Workload(settings, pixels, CPU, precision)
    for _ in range(2):
        work()
    method = build_method(settings, MEAN, STD)
    pretrain(
        method, settings, torch.from_numpy(pixels), torch.arange(8) % 2, device=CPU, precision=precision,
        checkpoint=None, stop=Stop(), clock=Clock(), title="one epoch", epochs=1,
    )  # fmt: skip
    assert same(work.method.state_dict(), method.state_dict())


def test_every_batch_is_full_and_epochs_follow_each_other(small):
    work = Workload(small(), random_images(9, 32), CPU, "float32")
    places = [next(work._places)[0] for _ in range(5)]
    assert {len(place) for place in places} == {4}
    assert len({tuple(place.tolist()) for place in places}) == 5


def test_fewer_images_than_a_batch_are_refused(small):
    with pytest.raises(ValueError, match="3 images"):
        Workload(small(), random_images(3, 32), CPU, "float32")


def test_a_cpu_compiles_nothing(small, engine):
    assert not Workload(small(), random_images(4, 32), CPU, "float32").compile(engine)


def test_captured_it_takes_the_same_steps(small, engine, monkeypatch):
    """On a CPU by the tests' recorder, which asks for no GPU."""
    monkeypatch.setattr(capture, "CUDAGraphs", lambda: recorded)
    monkeypatch.setattr(workload, "captures", lambda device, engine: True)
    eager, captured = (Workload(small(), random_images(8, 32), CPU, "float32") for _ in range(2))
    assert captured.compile(engine)
    captured.augment()
    for _ in range(2):
        assert torch.equal(torch.stack(eager()), torch.stack(captured()))
        captured.augment()  # of no consequence for the next step
    assert same(eager.method.state_dict(), captured.method.state_dict())
