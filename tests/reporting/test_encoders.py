"""A table of encoders from hand-made results: which number goes where, what a mean is of, what is refused."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from statistics import stdev

import pytest

from amoc.refusal import Refusal
from amoc.reporting.encoders import EncoderTable, Line
from amoc.reporting.evidence import published

LISTING = EncoderTable(
    "table3",
    "Table 3: a few",
    (Line("moco"), Line("acl"), Line("amoc", ("amoc_seed2", "amoc_seed3"))),
    caption="And so on.\n",
)
FIGURES = {"moco": (96, 2, 88, 20), "amoc": (97, 75, 94, 74), "amoc_seed2": (95, 71, 94, 70),
           "amoc_seed3": (93, 73, 94, 66)}  # fmt: skip


@pytest.fixture
def everything(made, save, params, tmp_path):
    """MoCo and three seeds of AMOC; no run of params.yaml is called acl."""
    runs = {name: {"method": "amoc"} for name in FIGURES}
    runs["moco"]["variant"] = "ccc"
    params.raw["runs"]["cifar10"] = runs

    def write(profile: str = "demo", **changes: dict):
        for name, numbers in FIGURES.items():
            own = {"variant": "ccc", "branch": "clean"} if name == "moco" else {}
            seed = int(name[-1]) if name[-1].isdigit() else 1
            save(made.probed(name, numbers, seed=seed, **own) | {"profile": profile} | changes.get(name, {}))
        return tmp_path / "results"

    return write


def body(markdown: str) -> list[list[str]]:
    """The cells of the first table."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    end = next(at for at, line in enumerate(lines) if line.startswith("| Claim ")) if "| Claim " in markdown else None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def test_the_table_to_the_letter(params, everything):
    report = LISTING.build(params, "demo", everything())
    assert report.markdown.startswith("> **demo**: scikit-learn digits stand in for CIFAR-10. It shows ")
    deviations = [f"{stdev(column):.2f}" for column in ((97, 95, 93), (75, 71, 73), (94, 94, 94), (74, 70, 66))]
    assert deviations == ["2.00", "2.00", "0.00", "4.00"]
    assert body(report.markdown) == [
        ["Encoder", "StdEv clean", "StdEv PGD20", "AdEv clean", "AdEv PGD20"],
        ["MoCo (60 ep, b64) [1]", "_96_", "_2_", "_88_", "_20_"],
        ["acl (not in params.yaml)", "n/m", "n/m", "n/m", "n/m"],
        ["AMOC (60 ep, b64)", "**97**", "**75**", "**94**", "**74**"],
        ["- mean of 3 seeds", "95.00 ± 2.00", "73.00 ± 2.00", "94.00 ± 0.00", "70.00 ± 4.00"],
    ]
    assert "- [1] evaluated through the clean norm branch, the others" in report.markdown
    assert "- StdEv PGD20: PGD, Linf 0.15, 20 steps of 0.1 epsilon\n" in report.markdown
    assert "- AdEv clean: a linear layer on the frozen encoder, TRADES training, 10 epochs\n" in report.markdown
    assert "± the standard deviation" in report.markdown and "\nAnd so on.\n" in report.markdown


def test_what_a_run_has_otherwise_than_its_method_is_said(params, everything, made, save):
    """But what its name tells (the variant, epochs, the batch), and what the table is about."""
    results, attack = everything(), {"steps": 10, "relative_step": 0.25, "random_start": True}
    own = {"variant": "ccc", "branch": "clean", "lambda": 0.7, "epochs": 9, "batch_size": 8, "attack": attack}
    save(made.probed("moco", FIGURES["moco"], seed=1, **own))
    told = "- [2] unlike its method in `params.yaml`: {}attack.steps 10 instead of 5\n"
    for about, expected in (("", "lambda 0.7 instead of 0.5, "), ("lambda", "")):
        page = replace(LISTING, about=about).build(params, "demo", results).markdown
        assert body(page)[1][0] == "MoCo (9 ep, b8) [1] [2]" and told.format(expected) in page
    # what params.yaml has of the run counts no more than what it has of any other
    params.raw["runs"]["cifar10"]["moco"] |= {"lambda": 0.7, "attack": attack}
    assert told.format("lambda 0.7 instead of 0.5, ") in LISTING.build(params, "demo", results).markdown
    params.raw["pretrain"]["amoc"] |= {"lambda": 0.7, "attack": attack}
    assert "[2]" not in body(LISTING.build(params, "demo", results).markdown)[1][0]


def test_metrics_have_every_row_and_the_deviation_of_a_mean(params, everything):
    numbers = LISTING.build(params, "demo", everything()).metrics
    assert list(numbers) == ["moco", "acl", "amoc", "amoc_mean"]
    assert numbers["moco"] == {"stdev_clean": 96.0, "stdev_pgd20": 2.0, "adev_clean": 88.0, "adev_pgd20": 20.0}
    assert set(numbers["acl"].values()) == {None}
    assert numbers["amoc"]["adev_pgd20"] == 74.0  # the run itself: floors and claims read it
    assert (numbers["amoc_mean"]["adev_pgd20"], numbers["amoc_mean"]["adev_pgd20_std"]) == (70.0, 4.0)
    json.dumps(numbers, allow_nan=False)


def test_csv_has_n_interval_and_deviation_but_no_published_numbers(params, everything):
    report = LISTING.build(params, "demo", everything())
    rows = {row["key"]: row for row in csv.DictReader(report.csv.splitlines())}
    assert (rows["amoc"]["stdev_pgd20"], rows["amoc"]["stdev_pgd20_n"], rows["amoc"]["stdev_pgd20_std"]) == (
        "75", "100", "")  # fmt: skip
    assert (rows["amoc_mean"]["stdev_pgd20"], rows["amoc_mean"]["stdev_pgd20_n"]) == ("73", "")
    assert rows["amoc_mean"]["stdev_pgd20_std"] == "2"
    assert not any("published" in column for column in rows["amoc"])


def test_a_mean_of_which_a_seed_lacks_a_number_is_none(params, everything, made):
    lost = {"stdev": made.measurement(made.percent(95), linf_pgd20=made.percent(71)), "adev": {}}
    report = LISTING.build(params, "demo", everything(amoc_seed2={"measurements": lost, "status": "nan"}))
    row = body(report.markdown)[-1]
    assert row == ["- mean of 3 seeds [2]", "95.00 ± 2.00", "73.00 ± 2.00", "n/m", "n/m"]
    assert "- [2] seed 2: nan: its loss, features or logits were no longer finite\n" in report.markdown


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"batch_size": 32}, r"amoc_seed2 does not repeat amoc: they differ in batch_size too"),
        ({"variant": "acc", "epochs": 61}, r"amoc_seed2 does not repeat amoc: they differ in epochs, variant too"),
        ({"seed": 1}, r"amoc_seed2 does not repeat amoc: both have the seed 1"),
    ],
)
def test_what_differs_in_more_than_its_seed_is_no_repeat(params, everything, made, settings, sentence):
    results = everything(amoc_seed2=made.probed("amoc_seed2", FIGURES["amoc_seed2"], **{"seed": 2} | settings))
    with pytest.raises(Refusal, match=sentence):
        LISTING.build(params, "demo", results)


def test_encoders_probed_in_different_ways_are_not_put_beside_each_other(params, everything, made):
    content = made.probed("moco", FIGURES["moco"], variant="ccc")
    content["recipes"]["adev"] = content["recipes"]["adev"] | {"lr": 0.01}
    with pytest.raises(Refusal, match=r"amoc was measured with other settings of adev than moco: .*stages\.ev"):
        LISTING.build(params, "demo", everything(moco=content))


def test_a_missing_result_is_refused(params, everything):
    results = everything()
    (results / "demo/cifar10/evaluate/amoc_seed3.json").unlink()
    with pytest.raises(Refusal, match=r"amoc_seed3\.json is missing: .*`python -m stages\.evaluate demo cif"):
        LISTING.build(params, "demo", results)


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("stdev: a doubt", "stdev: a doubt"),
        ("", "collapsed: after pre-training its features were almost a point or a line, "),
    ],
)
def test_a_collapsed_encoder_shows_its_numbers_and_is_not_ranked(params, everything, note, told):
    lost = {"status": "collapsed", "note": note}
    markdown = LISTING.build(params, "demo", everything(amoc=lost)).markdown
    rows = body(markdown)
    assert f"- [2] {told}" in markdown
    assert rows[3] == ["AMOC (60 ep, b64), collapsed [2]", "97", "75", "94", "74"]
    assert rows[1][1] == "96"  # alone, it has no mark


def test_a_protocol_that_is_at_chance_on_clean_images_says_so(params, everything, made):
    """Both of its numbers; the encoder's other protocol is what it is. Of 100 images 15 are near enough to 10."""
    changes = made.probed("moco", (96, 2, 15, 9), variant="ccc", branch="clean")
    report = LISTING.build(params, "demo", everything(moco=changes))
    moco = body(report.markdown)[1]
    assert moco[1:] == ["_96_", "_2_", "_15_ [2]", "_9_ [2]"]
    assert "- [2] at chance on clean images" in report.markdown
    assert report.metrics["moco"]["adev_clean"] == 15.0
    above = made.probed("moco", (96, 2, 16, 9), variant="ccc", branch="clean")
    assert "at chance" not in LISTING.build(params, "demo", everything(moco=above)).markdown


def test_a_mean_with_a_seed_at_chance_names_the_seed(params, everything, made):
    """In that protocol's columns, and the numbers stand as they are."""
    report = LISTING.build(params, "demo", everything(amoc_seed3=made.probed("amoc_seed3", (97, 73, 12, 9), seed=3)))
    mean = body(report.markdown)[-1]
    assert [("[2]" in cell) for cell in mean] == [False, False, False, True, True]
    assert "- [2] for seed 3: at chance on clean images" in report.markdown


def test_the_words_below_a_table_explain_no_label_that_it_lacks(params, everything):
    *_, below = LISTING.build(params, "demo", everything()).markdown.partition("Percentage of the test images")
    assert "The brackets give the epochs and batch size (b) of pre-training." in " ".join(below.split())
    assert re.search(r"\d ep\b", below) is None


def test_a_listing_names_its_rows_its_own_way(params, everything):
    own = LISTING.lines[2:]
    listing = EncoderTable("figure6", "Bank lengths", own, call=lambda settings: f"seed {settings['seed']}")
    report = listing.build(params, "demo", everything())
    assert [row[0] for row in body(report.markdown)[1:]] == ["seed 1 (60 ep, b64)", "- mean of 3 seeds"]
    assert "12. The bank's length does not matter" in report.markdown  # what a figure6 can judge


# ---------------------------------------------------------------- paper profile


def test_published_and_difference_stand_below_each_run_and_not_below_a_mean(params, everything):
    report = LISTING.build(params, "paper", everything("paper"))
    rows = body(report.markdown)
    assert rows[1:4] == [
        ["MoCo (60 ep, b64) [1]", "_96_", "_2_", "_88_", "_20_"],
        ["- published", "80.44", "0.17", "75.27", "1.36"],
        ["- difference", "+15.56", "+1.83", "+12.73", "+18.64"],
    ]
    assert rows[4] == ["acl (not in params.yaml)", *["n/m"] * 4]
    assert rows[5] == ["- published", "77.17", "33.19", "69.13", "40.42"]
    assert rows[8][1:] == ["79.10", "37.12", "74.36", "43.36 [2]"]
    assert rows[10][0] == "- mean of 3 seeds" and len(rows) == 11
    assert f"- [2] {published.TYPOS['table3', 'amoc', 'adev_pgd20']}\n" in report.markdown


def test_the_paper_profile_works_with_what_is_there(params, everything, tmp_path):
    everything()  # for the runs in params.yaml
    report = LISTING.build(params, "paper", tmp_path / "nothing")
    assert all(number is None for row in report.metrics.values() for number in row.values())
    assert [row[0] for row in body(report.markdown) if not row[0].startswith("- ")] == [
        "Encoder", "MoCo (200 ep, b256, not measured)", "acl (not in params.yaml)", "AMOC (200 ep, b256, not measured)",
    ]  # fmt: skip


def test_a_table_that_nobody_published_and_no_claim_reads_has_neither(params, everything):
    markdown = EncoderTable("mine", "Mine", LISTING.lines).build(params, "paper", everything("paper")).markdown
    assert "published" not in markdown and "can check" not in markdown
