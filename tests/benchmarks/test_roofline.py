"""What is tallied, and that the table adds up; the seconds are the machine's business."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from benchmarks import roofline
from benchmarks.operations import count
from benchmarks.roofline import Tally, Work, bytes_per_second, kind_of, rows, seconds_by_kind
from benchmarks.workload import Workload, random_images

CPU = torch.device("cpu")


def test_work_of_known_operations():
    one, other = torch.rand(3, 5), torch.rand(5, 7, requires_grad=True)
    with Tally() as tally:
        product = one @ other.detach()
        product.view(21) + 1
    assert tally.work["matrix products"] == [Work(2 * 3 * 5 * 7, 4 * (15 + 35 + 21))]
    assert tally.work["elementwise, sums"] == [Work(0, 4 * (21 + 21))]
    assert sum(map(len, tally.work.values())) == 2  # views move nothing


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("convolution_backward", "convolutions"), ("aten::cudnn_convolution", "convolutions"),
        ("native_batch_norm", "norms"), ("aten::cudnn_batch_norm_backward", "norms"), ("addmm", "matrix products"),
        ("aten::bmm", "matrix products"), ("_to_copy", "copies, casts"), ("aten::copy_", "copies, casts"),
        ("_foreach_lerp_", "optimiser, momentum"), ("_fused_sgd_", "optimiser, momentum"),
        ("threshold_backward", "elementwise, sums"), ("logsumexp", "elementwise, sums"),
    ],
)  # fmt: skip
def test_kinds(name, kind):
    assert kind_of(name) == kind


def test_a_step_is_tallied_whole(small):
    work = Workload(small(), random_images(8, 32), CPU, "float32")
    flops = count(work)
    with Tally() as tally:
        work()
    assert sum(one.flops for done in tally.work.values() for one in done) == flops
    assert all(tally.work[kind] for kind in roofline.KINDS)
    seconds = seconds_by_kind(work, CPU)
    assert seconds.keys() == roofline.KINDS.keys()
    assert min(seconds.values()) > 0


def test_table_adds_up():
    work = {"convolutions": [Work(100, 1), Work(10, 50)], "norms": [Work(0, 20)]}
    table = rows(work, Counter({"convolutions": 12.0, "norms": 36.0}), peak=10.0, memory=5.0)
    assert table == [
        ("norms", 1, 0, 2e-8, 36.0, 0.75, 4.0),
        ("convolutions", 2, 1.1e-10, 5.1e-8, 12.0, 0.25, 10.0 + 10.0),
        ("all", 3, 1.1e-10, 7.1e-8, 48.0, 1.0, 24.0),
    ]


def test_rate_of_the_memory():
    assert bytes_per_second(CPU, 2**20) > 1e6


def test_command(small, engine, monkeypatch, capsys, tiny_project):
    monkeypatch.setattr(roofline.Params, "pretraining", lambda *_: small())
    monkeypatch.setattr(roofline.Params, "engine", lambda *_: engine)
    monkeypatch.setitem(roofline.COPIED, "cpu", 2**20)
    monkeypatch.setattr(roofline, "MatrixProduct", lambda chosen, dtype: OneProduct())
    roofline.main(profile="paper", batch_size=4, precision="float32")
    lines = capsys.readouterr().out.splitlines()
    assert {line[:20].strip() for line in lines[3:]} == {*roofline.KINDS, "all"}


class OneProduct:
    """A machine of 1 TFLOP/s."""

    def measure(self) -> None:
        pass

    def peak(self) -> float:
        return 1e12
