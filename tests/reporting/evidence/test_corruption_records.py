"""What stages.corrupt counted, read and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amoc.refusal import Refusal
from amoc.reporting.evidence.checked import read
from amoc.reporting.evidence.corruption_names import CORRUPTIONS
from amoc.reporting.evidence.corruption_records import NAMES, PROCEDURAL, CorruptionRecord, find
from amoc.reporting.evidence.records import compare_alike, path


def test_regenerated_images_have_another_frost_and_nothing_else():
    assert NAMES["official"] == CORRUPTIONS
    assert set(NAMES["official"]) ^ set(NAMES["regenerated"]) == {"frost", PROCEDURAL}


def test_accuracies_are_counted(params, counted, keep):
    keep(counted("amoc", stdev={"clean": 90, "fog": [80, 70, 60, 50, 44]}))
    record = find(params, "demo", "cifar10", "amoc", Path("results"))
    assert record.accuracy("stdev", "clean") == 90
    assert record.severities("stdev", "fog") == [80, 70, 60, 50, 44]
    assert record.accuracy("stdev", "fog") == pytest.approx(60.8)
    assert record.accuracy("stdev", "frost") is None and record.accuracy("robev", "fog") is None


def damaged(content: dict, change: str) -> dict:
    counts = content["right"]["stdev"]
    match change:
        case "four":
            counts["fog"] = counts["fog"][:4]
        case "more":
            counts["fog"] = [101] * 5
        case "negative":
            counts["fog"][0] = -1
        case "official":
            content["images"] = "official"
        case "key":
            content["seconds"] = 1
        case "name":
            content["name"] = "moco"
    return content


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("four", "right.stdev must have one number for clean, five"),
        ("more", "counts more than the 100 test images"),
        ("negative", "right.stdev.fog.0: input should be greater than or equal to 0"),
        ("official", "right.stdev must have"),
        ("key", "seconds: extra"),
        ("name", "says that its name is 'moco', not 'amoc'"),
    ],
)
def test_a_broken_file_is_refused_with_the_command_that_makes_it(params, counted, keep, change, sentence):
    content = damaged(counted("amoc"), change)
    path("corrupt", "demo", "cifar10", "amoc").parent.mkdir(parents=True)
    path("corrupt", "demo", "cifar10", "amoc").write_text(json.dumps(content))
    with pytest.raises(Refusal, match=sentence) as refused:
        find(params, "demo", "cifar10", "amoc", Path("results"))
    assert "`python -m stages.corrupt demo cifar10 amoc`" in str(refused.value)


def test_a_missing_file_is_refused_in_the_demo_only(params, tmp_path):
    with pytest.raises(Refusal, match=r"corrupt/amoc\.json is missing"):
        find(params, "demo", "cifar10", "amoc", tmp_path)
    assert find(params, "paper", "cifar10", "amoc", tmp_path) is None


@pytest.mark.parametrize(
    "difference",
    [
        {"test_images": 101},
        {"evaluate": {"batch_size": 250, "seed": 2}},
        {"fingerprints": {"corrupt": "1" * 32}},
        {"source": "cifar"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_only_counts_of_the_same_images_are_compared(counted, keep, difference):
    files = keep(counted("amoc")), keep({**counted("acl"), **difference})
    records = [read(CorruptionRecord, file) for file in files]
    compare_alike(records[:1] * 2)
    with pytest.raises(Refusal, match=r"acl was measured with other images than amoc: measure again with `python -m "):
        compare_alike(records)


def test_only_counts_under_the_same_protocol_are_compared(params, counted, keep):
    keep(counted("amoc"))
    other = counted("acl")
    other["recipes"]["stdev"]["epochs"] = 3
    keep(other)
    with pytest.raises(Refusal, match="acl was measured with other settings of stdev than amoc"):
        compare_alike(find(params, "demo", "cifar10", name, Path("results")) for name in ("amoc", "acl"))
