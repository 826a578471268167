"""A study from hand-made seeds: means, paired differences, the deviation between seeds."""

from __future__ import annotations

from math import sqrt
from statistics import mean, stdev, variance

import pytest

from amoc.refusal import Refusal
from amoc.reporting import study
from amoc.reporting.encoders import Line
from amoc.reporting.study import Study
from amoc.reporting.tables import metrics, to_markdown

STUDY = Study(
    "fast",
    "A few",
    (Line("amoc", ("amoc_seed2", "amoc_seed3")), Line("half", ("half_seed2",)), Line("free")),
    lambda params, profile, run: run.upper(),
)
# percent right of 100 images: StdEv clean and PGD20, AdEv clean and PGD20
FIGURES = {
    "amoc": (97, 75, 94, 74), "amoc_seed2": (95, 71, 93, 70), "amoc_seed3": (90, 71, 92, 66),
    "half": (96, 70, 94, 75), "half_seed2": (96, 62, 91, 73),
}  # fmt: skip


@pytest.fixture
def everything(made, save, params, tmp_path):
    """Three seeds of AMOC, two of half of it, none of free."""
    params.raw["runs"]["cifar10"] = {name: {"method": "amoc"} for name in (*FIGURES, "free")}

    def write(**changes: dict):
        for name, numbers in FIGURES.items():
            seed = int(name[-1]) if name[-1].isdigit() else 1
            own = {"share": 0.5} if name.startswith("half") else {}
            save(made.probed(name, numbers, seed=seed, **own) | {"profile": "small"} | changes.get(name, {}))
        return tmp_path / "results"

    return write


def column(line: str, place: int, count: int) -> list[int]:
    return [FIGURES[name][place] for name in (line, f"{line}_seed2", f"{line}_seed3")[:count]]


def test_machines_are_told_where_they_are_not_the_same(params, everything, timed):
    results = everything()
    found = study.find(params, "small", STUDY, results)
    assert study.machines("small", found, results) is None  # nothing is known of them
    for run in FIGURES:
        timed("small", run)
    assert study.machines("small", found, results) is None
    timed("small", "half", device="a GPU")
    timed("small", "free", device="a third")  # which has no results
    told = study.machines("small", found, results)
    assert told.replace("\n", " ").startswith(
        "Not all encoders were pre-trained on the same kind of machine: "
        "`amoc`, `amoc_seed2`, `amoc_seed3`, `half_seed2` on a CPU; `half` on a GPU. Each kind rounds"
    )


def test_a_row_is_the_mean_over_its_seeds(params, everything):
    found = study.find(params, "small", STUDY, everything())
    table = study.accuracies(params, "small", STUDY, found)
    assert [row.label for row in table.rows] == ["AMOC", "HALF", "FREE"]
    numbers = metrics(table)
    for line, count in (("amoc", 3), ("half", 2)):
        for place, measure in enumerate(("stdev_clean", "stdev_pgd20", "adev_clean", "adev_pgd20")):
            values = column(line, place, count)
            assert numbers[line][measure] == pytest.approx(mean(values), abs=1e-4)
            assert numbers[line][f"{measure}_std"] == pytest.approx(stdev(values), abs=1e-4)
        assert numbers[line]["seeds"] == count
    assert set(numbers["free"].values()) == {0.0, None}


def test_differences_are_seed_by_seed(params, everything):
    """Of the seeds that both have, not of the means over all."""
    found = study.find(params, "small", STUDY, everything())
    table = study.differences(params, "small", STUDY, found)
    numbers = metrics(table)
    for place, measure in enumerate(("stdev_clean", "stdev_pgd20", "adev_clean", "adev_pgd20")):
        pairs = [one - other for one, other in zip(column("half", place, 2), column("amoc", place, 2), strict=True)]
        assert numbers["half"][measure] == pytest.approx(mean(pairs))
        assert numbers["half"][f"{measure}_std"] == pytest.approx(stdev(pairs), abs=1e-4)
        own, half = column("amoc", place, 3), column("half", place, 2)
        pooled = sqrt((2 * variance(own) + variance(half)) / 3)  # degrees of freedom: 2 of three seeds, 1 of two
        assert numbers["spread"][measure] == pytest.approx(pooled, abs=1e-4)
    assert (numbers["half"]["seeds"], numbers["free"]["seeds"], numbers["spread"]["seeds"]) == (2, 0, None)
    text = to_markdown(table)
    assert "| Minus AMOC " in text and "+0.00 ± 1.41" in text and "-7.00 ± 2.83" in text


def test_one_seed_has_no_deviation_and_no_spread(params, everything, save, made):
    results = everything()
    for name in ("amoc_seed2", "amoc_seed3", "half_seed2"):
        (results / "small" / "cifar10" / "evaluate" / f"{name}.json").unlink()
    found = study.find(params, "small", STUDY, results)
    assert metrics(study.accuracies(params, "small", STUDY, found))["amoc"] == {
        "seeds": 1.0, "stdev_clean": 97.0, "stdev_pgd20": 75.0, "adev_clean": 94.0, "adev_pgd20": 74.0
    }  # fmt: skip
    numbers = metrics(study.differences(params, "small", STUDY, found))
    assert numbers["half"]["stdev_pgd20"] == -5.0 and "stdev_pgd20_std" not in numbers["half"]
    assert numbers["spread"]["stdev_pgd20"] is None


def test_a_run_that_collapsed_says_so_and_is_not_ranked(params, everything):
    found = study.find(params, "small", STUDY, everything(half_seed2={"status": "collapsed", "note": "all the same"}))
    text = to_markdown(study.accuracies(params, "small", STUDY, found))
    assert "| HALF [1]" in text and "- [1] seed 2: all the same" in text
    assert "96.00 ± 0.00" in text and "**96.00**" not in text  # the better mean of StdEv clean is not marked


def test_no_mean_leaves_out_a_seed_that_ended_badly(params, everything):
    """Else a way that diverges half of the time would be shown by its luck."""
    found = study.find(params, "small", STUDY, everything(half_seed2={"status": "nan", "measurements": {}}))
    numbers = metrics(study.accuracies(params, "small", STUDY, found))["half"]
    assert numbers == {"seeds": 2.0, "stdev_clean": None, "stdev_pgd20": None, "adev_clean": None, "adev_pgd20": None}
    assert metrics(study.differences(params, "small", STUDY, found))["half"]["stdev_pgd20"] is None


def test_the_deviation_between_seeds_is_pooled(params, everything):
    """Squares from each line's own mean, over the seeds less one for each line."""
    found = study.find(params, "small", STUDY, everything())
    amoc, half = (75, 71, 71), (70, 62)
    squares = sum((x - mean(amoc)) ** 2 for x in amoc) + sum((x - mean(half)) ** 2 for x in half)
    assert study.deviation(found, "stdev_pgd20") == pytest.approx((squares / (2 + 1)) ** 0.5)
    assert study.deviation({"free": {}}, "stdev_pgd20") is None


def test_what_is_no_repeat_is_refused(params, everything, made):
    other = made.probed("half_seed2", FIGURES["half_seed2"], seed=2, share=0.25) | {"profile": "small"}
    with pytest.raises(Refusal, match="half_seed2 does not repeat half: they differ in share too"):
        study.find(params, "small", STUDY, everything(half_seed2=other))


def test_runs_are_named_once():
    assert STUDY.runs == ("amoc", "amoc_seed2", "amoc_seed3", "half", "half_seed2", "free")
