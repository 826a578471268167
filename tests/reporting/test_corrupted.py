"""Figures of networks on corrupted images, from counts made by hand."""

from __future__ import annotations

import csv
from statistics import fmean

import pytest

from amoc.refusal import Refusal
from amoc.reporting import corrupted, figure4, v1_figure2
from amoc.reporting.drawing.corruption_plot import FAMILIES
from amoc.reporting.evidence.corruption_names import CORRUPTIONS
from amoc.reporting.evidence.corruption_records import NAMES

LEVELS = {"acl": 40, "acl_long": 50, "amoc": 60, "amoc_long": 70}


@pytest.fixture
def four(counted, keep, params, made):
    """ACL and AMOC, short and long, the second always 20 points above the first, most on the claim's two."""
    params.raw["runs"]["cifar10"] = {
        name: {"method": name.partition("_")[0], "epochs": "long" if "long" in name else "short"} for name in LEVELS
    }

    def write(images: str = "regenerated"):
        for name, level in LEVELS.items():
            stdev = {"clean": level + 5} | {corruption: [level] * 5 for corruption in NAMES[images]}
            if name.startswith("amoc"):
                stdev |= {"gaussian_blur": [level + 10] * 5, "impulse_noise": [level + 10] * 5}
            stdev["fog"] = [level + step for step in (4, 2, 0, -2, -4)]
            stdev["shot_noise"] = [level - 3] * 5  # so that no two means are alike
            settings = made.encoder() | {"branch": "adv", "epochs": 120 if "long" in name else 60}
            settings |= {"method": "acl"} if name.startswith("acl") else {}
            adev = {corruption: [level - 10] * 5 for corruption in NAMES[images]}
            content = counted(name, settings, images, stdev=stdev, adev=adev)
            keep(
                content | {"recipes": {head: made.probed("x", (1,) * 4)["recipes"][head] for head in ("stdev", "adev")}}
            )
        return figure4.build(params, "demo")

    return write


def test_means_leave_frost_out_where_it_is_not_the_published_one(four):
    numbers = four().metrics["amoc"]
    corruptions = {name: numbers[name] for name in CORRUPTIONS}
    assert corruptions.pop("frost") is None and numbers["frost_procedural"] == 60
    assert numbers["fog"] == 60 and numbers["gaussian_blur"] == 70 and numbers["clean"] == 65
    assert numbers["mean18"] == pytest.approx(fmean(corruptions.values()), abs=1e-4)
    common = [value for name, value in corruptions.items() if name in CORRUPTIONS[:15]]
    assert len(common) == 14 and numbers["mean14"] == pytest.approx(fmean(common), abs=1e-4)
    assert numbers["mean19"] is None and numbers["mean15"] is None
    assert numbers["adev_fog"] == 50 and numbers["adev_mean18"] == 50


def test_means_are_over_all_of_the_published_images(four):
    report = four("official")
    numbers = report.metrics["amoc"]
    assert numbers["mean19"] == pytest.approx(fmean(numbers[name] for name in CORRUPTIONS), abs=1e-4)
    assert numbers["mean15"] == pytest.approx(fmean(numbers[name] for name in CORRUPTIONS[:15]), abs=1e-4)
    assert numbers["frost"] == 60 and numbers["frost_procedural"] is None
    assert "**official**" in report.markdown and "regenerated" not in report.markdown
    assert "| mean of 19 " in report.markdown and "procedural" not in report.markdown
    assert "8. AMOC is above ACL on every corruption, most on two (journal, Figure 4) | holds" in report.markdown


def test_the_page_says_what_stands_in_for_the_published_images(four):
    markdown = four().markdown
    assert "**regenerated** from the test images" in markdown
    assert "| mean of 18 " in markdown and "| mean of 19 " not in markdown
    assert "| procedural frost " in markdown and "| frost " not in markdown
    assert "| 8. AMOC is above ACL on every corruption, most on two (journal, Figure 4) | not measured |" in markdown
    assert "AMOC (120 ep, b64), StdEv" in markdown and "AdEv |" not in markdown


def test_the_best_of_a_row_is_bold_and_the_second_underscored(four):
    row = next(line for line in four().markdown.splitlines() if line.startswith("| snow "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["snow", "40.00", "50.00", "_60.00_", "**70.00**"]


def test_the_accuracy_of_clean_images_is_no_mean_and_has_the_decimals_of_their_number(four):
    row = next(line for line in four().markdown.splitlines() if line.startswith("| clean "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["clean", "45", "55", "_65_", "**75**"]


def test_the_csv_has_both_protocols_in_plain_numbers(four):
    rows = {row["key"]: row for row in csv.DictReader(four().csv.splitlines())}
    assert list(rows) == ["clean", *corrupted.WITHOUT_FROST, "mean18", "mean14", "frost_procedural"]
    assert (rows["snow"]["amoc"], rows["snow"]["amoc_adev"], rows["snow"]["acl_long"]) == ("60", "50", "50")


def test_the_picture_shows_every_row_once():
    for images in ("official", "regenerated"):
        drawn = [row for members in FAMILIES.values() for row in members if row in corrupted.rows(images)]
        assert sorted(drawn) == sorted(corrupted.rows(images))


@pytest.mark.parametrize("figure", [figure4.FIGURE, v1_figure2.FIGURE], ids=lambda figure: figure.name)
def test_gaps_are_between_lines_that_there_are(figure):
    keys = {line.key for line in figure.lines}
    assert {key for gap in figure.gaps for key in (gap.upper, gap.lower)} <= keys


def test_networks_are_compared_by_their_own_head(counted, keep, params, made):
    networks = {
        "pgd_at": ("pgd_at", None),
        "trades": ("trades", None),
        "aca_frozen_long_finetuned_v1": ("finetune_v1", "aca_frozen"),
    }
    params.raw["runs"]["cifar10"]["aca_frozen"] = {"method": "amoc", "bank_adv": "frozen"}
    params.raw["classifiers"]["cifar10"] = {
        name: {"recipe": recipe, "encoder": encoder, "seed": 1} for name, (recipe, encoder) in networks.items()
    }
    for level, (name, (_, encoder)) in zip((40, 60, 50), networks.items(), strict=True):
        last = {corruption: [level] * 5 for corruption in NAMES["regenerated"]}
        content = counted(name, made.network("trades" if name == "trades" else "pgd_at", encoder), last=last)
        if encoder:
            content["encoder"]["settings"] |= {"bank_adv": "frozen"}
        keep(content)
    report = v1_figure2.build(params, "demo")
    assert [report.metrics[row]["mean18"] for row in ("adv_training", "trades", "aca_frozen_finetuned")] == [40, 60, 50]
    assert "AMOC-ACA frozen bank fine-tuned (60 + 12 ep PGD-AT)" in report.markdown
    assert "its encoder" not in report.markdown
    keep(made.probed("aca_frozen", (50,) * 4) | {"status": "collapsed"})
    told = v1_figure2.build(params, "demo")
    assert "\nAMOC-ACA frozen bank fine-tuned (60 + 12 ep PGD-AT): its encoder collapsed: after " in told.markdown
    assert [told.metrics[row].get("doubtful") for row in ("trades", "aca_frozen_finetuned")] == [None, 1]
    assert (
        "| 16. AMOC is above adversarial training and TRADES on corruptions (preprint, Figure 2) | does not hold"
        in (report.markdown)
    )


def test_what_was_not_measured_is_shown_as_such_but_for_the_demo(params, tmp_path):
    report = v1_figure2.build(params, "paper", tmp_path)
    assert "n/m" in report.markdown and "Nothing is measured yet" in report.markdown
    assert set(report.metrics["trades"].values()) == {None}
    with pytest.raises(Refusal, match=r"corrupt/trades\.json is missing"):
        v1_figure2.build(params, "demo", tmp_path)


def test_a_network_that_is_nan_is_shown_as_such(counted, keep, params, made):
    params.raw["classifiers"]["cifar10"] = {"trades": {"recipe": "trades", "encoder": None, "seed": 1}}
    keep(counted("trades", made.network(), last={}) | {"status": "nan", "note": "NaN", "right": {}})
    report = v1_figure2.build(params, "demo")
    row = next(line for line in report.markdown.splitlines() if line.startswith("| snow "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["snow", "n/m", "nan", "n/m"]
