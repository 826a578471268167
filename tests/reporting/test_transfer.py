"""Encoders on another data set, from hand-made results."""

from __future__ import annotations

import json

import pytest

from amoc.refusal import Refusal
from amoc.reporting import transfer

OWN, TRANSFERRED = (90, 70, 80, 60), (60, 30, 55, 25)  # StdEv clean and PGD20, AdEv clean and PGD20


@pytest.fixture
def both(params):
    """The settings, with an AMOC of each data set."""
    params.raw["runs"]["cifar100"] = {"amoc": {"method": "amoc"}}
    return params


@pytest.fixture
def measured(made, save, tmp_path):
    """Write what `stages.evaluate` would write of AMOC's encoder of a data set, on another one or on its own."""

    def write(source: str, on: str, numbers: tuple[int, int, int, int], profile: str = "demo", **changes: object):
        images = {"dataset": on, "profile": profile, "source": "digits" if profile == "demo" else "cifar"}
        content = made.probed("amoc", numbers) | images | changes
        if source == on:
            save(content)
        else:
            there = tmp_path / "results" / profile / on / "evaluate"
            there.mkdir(parents=True, exist_ok=True)
            (there / f"amoc.from_{source}.json").write_text(json.dumps({"pretrained_on": source} | content))
        return tmp_path / "results"

    return write


@pytest.fixture
def four(measured):
    """Each encoder on each data set."""
    measured("cifar10", "cifar10", OWN)
    measured("cifar100", "cifar10", TRANSFERRED)
    measured("cifar100", "cifar100", (50, 40, 45, 35))
    return measured("cifar10", "cifar100", (51, 20, 45, 15))


def rows(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_an_encoder_stands_beside_the_one_that_was_pretrained_there(both, four):
    report = transfer.build(both, "demo", four)
    assert rows(report.markdown) == [
        ["Evaluated on", "Encoder", "StdEv clean", "StdEv PGD20", "AdEv clean", "AdEv PGD20"],
        ["CIFAR-10", "of CIFAR-10, AMOC (60 ep, b64)", "90", "70", "80", "60"],
        ["CIFAR-10", "of CIFAR-100, AMOC (60 ep, b64)", "60", "30", "55", "25"],
        ["-", "transferred minus own", "-30", "-40", "-25", "-35"],
        ["CIFAR-100", "of CIFAR-100, AMOC (60 ep, b64)", "50", "40", "45", "35"],
        ["CIFAR-100", "of CIFAR-10, AMOC (60 ep, b64)", "51", "20", "45", "15"],
        ["-", "transferred minus own", "+1", "-20", "+0", "-20"],
    ]
    assert "- AdEv PGD20: PGD, Linf 0.15, 20 steps of 0.1 epsilon\n" in report.markdown
    assert report.markdown.startswith("> **demo**: scikit-learn digits stand in for CIFAR-10 and scikit-learn digits, ")
    assert report.metrics["cifar100_on_cifar10"]["adev_pgd20"] == 25.0
    assert report.metrics["cifar100_difference"] == {
        "stdev_clean": 1.0, "stdev_pgd20": -20.0, "adev_clean": 0.0, "adev_pgd20": -20.0
    }  # fmt: skip
    assert report.csv.splitlines()[1].startswith('cifar10_on_cifar10,CIFAR-10,"of CIFAR-10, AMOC (60 ep, b64)",90,100,')


def test_the_demo_says_that_its_data_sets_are_the_same_digits(both, four):
    assert "the same digits" in transfer.build(both, "demo", four).markdown
    assert "the same digits" not in transfer.build(both, "small", four).markdown


def test_what_was_not_measured_says_so_and_has_no_difference(both, measured):
    results = measured("cifar10", "cifar100", OWN, profile="small")
    report = transfer.build(both, "small", results)
    *_, own, transferred, difference = rows(report.markdown)
    assert own[1:] == ["of CIFAR-100, AMOC (20 ep, b64, not measured)", *["n/m"] * 4]
    assert transferred[2:] == ["90", "70", "80", "60"]
    assert difference[2:] == ["n/m"] * 4 and set(report.metrics["cifar100_difference"].values()) == {None}


def test_an_encoder_that_params_yaml_does_not_have_is_not_asked_for(both, measured):
    both.raw["runs"]["cifar100"] = {}
    measured("cifar10", "cifar10", OWN)
    report = transfer.build(both, "demo", measured("cifar10", "cifar100", TRANSFERRED))
    assert [row[2] for row in rows(report.markdown)[1:]] == ["90", "n/m", "n/m", "n/m", "60", "n/m"]
    assert rows(report.markdown)[2][1] == "of CIFAR-100 (not in params.yaml)"


def test_the_paper_profile_stands_in_for_nothing(both, tmp_path):
    assert transfer.build(both, "paper", tmp_path).markdown.startswith(
        "> **paper**: CIFAR-10 and CIFAR-100 and the papers' settings.\n\n#"
    )


def test_a_run_that_collapsed_is_shown_as_such(both, four, made, measured):
    spoilt = measured("cifar10", "cifar100", OWN, status="nan", note="the loss became NaN", measurements={})
    report = transfer.build(both, "demo", spoilt)
    *_, transferred, difference = rows(report.markdown)
    assert transferred[1:] == ["of CIFAR-10, AMOC (60 ep, b64, nan)", *["nan"] * 4]
    assert difference[2:] == ["n/m"] * 4 and "- [1] the loss became NaN\n" in report.markdown


def test_a_missing_result_of_the_demo_is_refused(both, measured):
    results = measured("cifar10", "cifar10", OWN)
    command = "python -m stages.evaluate demo cifar100 amoc --on cifar10"
    with pytest.raises(Refusal, match=rf"cifar10/evaluate/amoc\.from_cifar100\.json is missing: .*`{command}`"):
        transfer.build(both, "demo", results)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pretrained_on": "cifar100"}, "its pretrained_on is 'cifar100', not 'cifar10'"),
        ({"dataset": "cifar10"}, "its dataset is 'cifar10', not 'cifar100'"),
        ({"test_images": 7}, "n is 100, but there are 7 test images"),
    ],
)
def test_a_result_of_something_else_is_refused(both, four, measured, changes, sentence):
    (four / "demo/cifar100/evaluate/amoc.from_cifar10.json").unlink()
    results = measured("cifar10", "cifar100", OWN, **changes)
    with pytest.raises(Refusal, match=sentence):
        transfer.build(both, "demo", results)


def test_encoders_measured_in_different_ways_are_not_put_beside_each_other(both, four, made, measured):
    longer = {"objective": "trades", "train": "head", "epochs": 11, "batch_size": 64}
    results = measured("cifar10", "cifar100", OWN, recipes={"stdev": longer, "adev": longer})
    command = "python -m stages.evaluate demo cifar10 amoc --on cifar100"
    with pytest.raises(Refusal, match=rf"amoc was measured with other settings .*`{command}`"):
        transfer.build(both, "demo", results)
