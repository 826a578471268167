"""Clock files: rates worked out by hand, and the sentence for each way of being broken."""

from __future__ import annotations

import json

import pytest

from amoc.refusal import Refusal
from amoc.reporting.evidence import clocks

CLOCK = {
    "seconds": {"total": 900.0, "train": 800.0, "look": 90.0},
    "counts": {"images": 4000},
    "epochs": 4,
    "device": "a GPU",
    "threads": 2,
    "torch": "2.11.0",
    "python": "3.11.7",
}
SPEED = {"precision": "bfloat16", "flops_per_image": 2e9, "matmul_flops_per_second": 4e10}


def save(folder, content, run="amoc", profile="demo"):
    path = clocks.path(profile, "cifar10", run, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_rates_by_hand(tmp_path):
    path = save(tmp_path, CLOCK | SPEED)
    assert path == tmp_path / "demo/cifar10/pretrain/amoc.clock.json"
    clock = clocks.find("demo", "cifar10", "amoc", tmp_path)
    assert clock.total_hours == 0.25  # 900 s
    assert clock.seconds_per_epoch == 200.0  # 800 s of training
    assert clock.images_per_second == 5.0
    assert clock.fraction_of_peak == pytest.approx(5.0 * 2e9 / 4e10)


@pytest.mark.parametrize("key", ["flops_per_image", "matmul_flops_per_second"])
def test_without_a_peak_there_is_no_fraction_of_it(tmp_path, key):
    content = CLOCK | SPEED
    del content[key]
    save(tmp_path, content)
    clock = clocks.find("demo", "cifar10", "amoc", tmp_path)
    assert (clock.fraction_of_peak, clock.images_per_second) == (None, 5.0)


def test_a_run_that_finished_no_epoch_has_no_rates(tmp_path):
    save(tmp_path, CLOCK | {"epochs": 0, "counts": {"images": 0}, "seconds": {"total": 1.0, "train": 0.0}})
    clock = clocks.find("demo", "cifar10", "amoc", tmp_path)
    assert (clock.seconds_per_epoch, clock.images_per_second, clock.fraction_of_peak) == (None, None, None)


def test_a_missing_clock_is_refused_but_in_the_paper_profile_none(tmp_path):
    assert clocks.find("paper", "cifar10", "acl", tmp_path) is None
    with pytest.raises(Refusal, match=r"acl\.clock\.json is missing: .*`python -m stages\.pretrain demo cifar10 acl`"):
        clocks.find("demo", "cifar10", "acl", tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": "four"}, "epochs: input should be a valid integer"),
        ({"seconds": {"total": 1.0}}, "seconds has no train"),
        ({"counts": {}}, "counts has no images"),
        ({"seconds": {"total": -1.0, "train": 0.0}}, r"seconds\.total: input should be greater than or equal to 0"),
        ({"matmul_flops_per_second": 0}, "matmul_flops_per_second: input should be greater than 0"),
    ],
)
def test_a_broken_clock_is_refused(tmp_path, change, sentence):
    save(tmp_path, CLOCK | change)
    with pytest.raises(Refusal, match=rf"amoc\.clock\.json is broken: {sentence}.*; make it again with `python -m st"):
        clocks.find("demo", "cifar10", "amoc", tmp_path)
