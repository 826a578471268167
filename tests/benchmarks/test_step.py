"""The command's numbers; their size is the machine's business."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace

import pytest
import torch

from amoc.engine import device
from benchmarks import operations, step
from benchmarks.step import Result, asked_for, at_batch_size, benchmark, table
from benchmarks.timing import Spread

KEYS = [
    "device", "dtype", "step_seconds", "reference_step_seconds", "speedup", "flops_per_step", "achieved_flops",
    "matmul_peak_flops", "fraction_of_peak", "images_per_second", "epoch_seconds_50k", "augmentation_share",
    "peak_memory_bytes", "blocks", "steps", "quartiles",
]  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore:Please import .gaussian_filter.:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # the loader's workers
]


@pytest.fixture
def result(small) -> Result:
    """Made up, with numbers that are easy to calculate with."""
    return Result(
        settings=small(batch_size=100), about={"device": "Some CPU", "threads": 2, "torch": "2.11"}, on_cpu=True,
        precision="bfloat16", ours=Spread(1.5, 2.0, 2.5), eager=None, views=Spread(0.1, 0.12, 0.2),
        reference=Spread(7.0, 8.0, 9.0),
        ratios=Spread(3.0, 4.5, 5.0), flops=10**12, reference_flops=3 * 10**12, peak=2e12, memory=3 * 2**20,
        blocks=5, steps=1, workers=2,
    )  # fmt: skip


def test_numbers_follow_from_what_was_measured(result):
    assert result.plain() == {
        "device": "Some CPU, 2 threads", "dtype": "bfloat16", "step_seconds": 2.0, "reference_step_seconds": 8.0,
        "speedup": 4.0, "flops_per_step": 10**12, "achieved_flops": 5e11, "matmul_peak_flops": 2e12,
        "fraction_of_peak": 0.25, "images_per_second": 50.0, "epoch_seconds_50k": 1000.0,
        "augmentation_share": 0.06, "peak_memory_bytes": 3 * 2**20, "blocks": 5, "steps": 1,
        "quartiles": {"step_seconds": [1.5, 2.5], "reference_step_seconds": [7.0, 9.0], "speedup": [3.0, 5.0]},
    }  # fmt: skip


def test_table_says_them_with_their_spread(result):
    shown = table(result)
    assert "resnet18 of width 4, batch 100, bank 40, PGD-2, views included" in shown
    assert "Some CPU, 2 CPU threads, PyTorch 2.11" in shown
    for row in ("2 (1.5 .. 2.5)", "8 (7 .. 9)", "4.5 (3 .. 5)", "25.0%", "6.0%", "1000", "4000"):
        assert row in shown
    assert "captured" not in shown
    compiled = table(replace(result, eager=Spread(2.5, 3.0, 3.5)))
    assert re.search(r"neither compiled nor captured +3 \(2\.5 \.\. 3\.5\)", compiled)


def measured_by_a_tiny_run(small, engine, precision: str) -> Result:
    return benchmark(small(), engine, precision, blocks=2, steps=1, images=16, workers=1, matrices=(16,))


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_run_measures_everything(small, engine, precision, monkeypatch, capsys):
    monkeypatch.setitem(operations.OPERATIONS, "cpu", 2**20)  # two products of matrices are less than a moment
    plain = measured_by_a_tiny_run(small, engine, precision).plain()
    assert list(plain) == KEYS
    assert plain["dtype"] == precision
    numbers = [value for value in plain.values() if isinstance(value, int | float)]
    numbers += itertools.chain.from_iterable(plain["quartiles"].values())
    assert len(numbers) == len(KEYS) - 3 + 6
    assert all(math.isfinite(number) and number > 0 for number in numbers)
    assert "block 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("compile", "used"), [("profile", True), ("encoders", "encoders"), ("step", "step"), ("nothing", False)]
)
def test_command_ends_with_a_line_of_json(compile, used, result, monkeypatch, capsys):
    asked = {}

    def benchmark(settings, engine, precision, **options):
        asked.update(options, settings=settings, engine=engine, precision=precision)
        return result

    monkeypatch.setattr(step, "benchmark", benchmark)
    step.main(
        profile="paper", batch_size=None, precision="float32", compile=compile, blocks=3, steps=None, workers=None
    )  # fmt: skip
    *_, last = capsys.readouterr().out.splitlines()
    assert list(json.loads(last)) == KEYS
    settings = asked["settings"]
    assert (settings.variant, settings.model.width) == ("aca", 64)
    assert (settings.bank_length, settings.attack.steps) == (32768, 5)
    assert asked["engine"].compile == used
    assert asked["precision"] == "float32" and asked["blocks"] == 3 and asked["workers"] >= 1


def test_nobody_is_told_of_emulation_where_float32_is_measured(result, monkeypatch, capsys):
    """On a CPU without bfloat16 units; the profile's engine has that precision."""
    monkeypatch.setattr(device, "fastest", lambda chosen: "float32")
    monkeypatch.setattr(step, "fastest", lambda chosen: "float32")
    asked = []
    monkeypatch.setattr(step, "benchmark", lambda _, engine, precision, **options: asked.append(precision) or result)
    step.main(profile="paper", batch_size=None, precision="auto", compile="profile", blocks=1, steps=1, workers=0)
    assert asked == ["float32"] and "emulated" not in capsys.readouterr().out


def test_batch_is_the_papers_on_a_gpu_and_smaller_on_a_cpu(small):
    paper = small(batch_size=256)
    assert at_batch_size(paper, None, torch.device("cuda")).batch_size == 256
    assert at_batch_size(paper, None, torch.device("cpu")).batch_size == 64
    assert at_batch_size(paper, 8, torch.device("cpu")).batch_size == 8


def test_precision_asked_for_or_the_fastest(monkeypatch):
    monkeypatch.setattr(step, "fastest", lambda device: "bfloat16")
    cpu = torch.device("cpu")
    assert [asked_for(precision, cpu) for precision in ("auto", "float32")] == ["bfloat16", "float32"]
