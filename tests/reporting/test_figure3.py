"""Figure 3 from hand-made seeds: which runs are paired, what is tested, what is corrected; scipy as the judge."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy import stats

from amoc.refusal import Refusal
from amoc.reporting import figure3
from amoc.reporting.judgement.paper_claims import MEASURES, SEED_PAIRS
from amoc.reporting.judgement.statistics import PairedComparison
from amoc.reporting.tables import Table, to_markdown

# percent right of 100 images, by seed: the four measures of Tables 3 and 8
MOCO = {1: (96, 2, 88, 20), 2: (95, 3, 86, 23), 3: (96, 1, 89, 18), 4: (97, 2, 87, 22), 5: (96, 4, 88, 21)}
ACL = {1: (93, 60, 86, 66), 2: (92, 62, 88, 64), 3: (94, 59, 85, 67), 4: (92, 61, 86, 66), 5: (93, 63, 87, 65)}
AMOC = {1: (97, 75, 94, 74), 2: (95, 71, 93, 72), 3: (96, 74, 95, 71), 4: (98, 73, 92, 75), 5: (97, 76, 94, 70)}
METHODS = {"moco": MOCO, "acl": ACL, "amoc": AMOC}
SETTINGS = {
    "moco": {"variant": "ccc", "branch": "clean"},
    "acl": {"method": "acl", "form": "ds", "variant": None, "batch_size": 128},
    "amoc": {},
}


def run(method: str, seed: int) -> str:
    return method if seed == 1 else f"{method}_seed{seed}"


@pytest.fixture
def everything(made, save, timed, params, tmp_path):
    """All seeds of all methods, and in params.yaml a run of AMOC with another setting, which is no repeat."""
    runs = {run(method, seed): {"method": "acl" if method == "acl" else "amoc", "seed": seed}
            for method in METHODS for seed in range(1, 6)}  # fmt: skip
    params.raw["runs"]["cifar10"] = runs | {"amoc_b64": {"method": "amoc", "batch_size": 64}}

    def write(profile: str = "demo", without: tuple[str, ...] = (), **changes: dict):
        for method, seeds in METHODS.items():
            for seed, numbers in seeds.items():
                name = run(method, seed)
                content = made.probed(name, numbers, **{"seed": seed} | SETTINGS[method])
                timed(profile, name)
                if name not in without:
                    save(content | {"profile": profile} | changes.get(name, {}))
        return tmp_path / "results"

    return write


def column(method: str, measure: str, seeds: tuple[int, ...] = (1, 2, 3, 4, 5)) -> list[float]:
    return [METHODS[method][seed][MEASURES.index(measure)] for seed in seeds]


def slow_holm(p_values: dict) -> dict:
    """From the smallest up: times the number of tests left, never below the one before, at most 1."""
    adjusted, least, left = {}, 0.0, len(p_values)
    for key in sorted(p_values, key=p_values.get):
        least = max(least, min(1.0, p_values[key] * left))
        adjusted[key], left = least, left - 1
    return adjusted


def test_each_pair_is_tested_on_its_own_numbers(params, everything):
    metrics = figure3.build(params, "demo", everything()).metrics
    p_values = {}
    for pair in SEED_PAIRS:
        first, second = pair.split("_")
        for measure in MEASURES:
            one, other = column(first, measure), column(second, measure)
            result, d = stats.ttest_rel(one, other), np.subtract(one, other)
            p_values[pair, measure] = result.pvalue
            row = metrics[pair]
            assert row[f"n_{measure}"] == 5
            assert row[f"difference_{measure}"] == pytest.approx(d.mean(), abs=1e-4)
            assert row[f"d_{measure}"] == pytest.approx(d.mean() / d.std(ddof=1), abs=1e-4)
            assert row[f"t_{measure}"] == pytest.approx(result.statistic, abs=1e-4)
            assert row[f"p_{measure}"] == pytest.approx(result.pvalue, rel=1e-3)
            assert row[f"wilcoxon_{measure}"] == pytest.approx(stats.wilcoxon(one, other).pvalue, rel=1e-3)
    for (pair, measure), adjusted in slow_holm(p_values).items():
        assert metrics[pair][f"holm_{measure}"] == pytest.approx(adjusted, rel=1e-3)
    json.dumps(metrics, allow_nan=False)


def test_one_test_by_hand(params, everything):
    """AMOC - MoCo, StdEv clean: differences 1, 0, 0, 1, 1; mean 0.6, variance 0.3, so t = 0.6 / sqrt(0.3 / 5)."""
    row = figure3.build(params, "demo", everything()).metrics["amoc_moco"]
    assert row["difference_stdev_clean"] == 0.6
    assert row["t_stdev_clean"] == pytest.approx(0.6 / (0.3 / 5) ** 0.5, abs=1e-4)
    assert row["half_width_stdev_clean"] == pytest.approx(2.7764 * (0.3 / 5) ** 0.5, abs=1e-4)  # 97.5 % of Student's t
    assert row["d_stdev_clean"] == pytest.approx(0.6 / 0.3**0.5, abs=1e-4)
    assert row["p_stdev_clean"] == pytest.approx(0.0705, abs=1e-4)  # Student's t of 2.449 with 4 degrees of freedom


def test_seeds_are_paired_by_the_seed_and_not_by_the_name(params, everything, made):
    """Two runs of AMOC that swapped names swap nothing else."""
    swapped = {run("amoc", a): made.probed(run("amoc", a), AMOC[b], seed=b) for a, b in ((2, 4), (4, 2))}
    names = figure3.build(params, "demo", everything()).metrics
    assert figure3.build(params, "demo", everything(**swapped)).metrics["amoc_acl"] == names["amoc_acl"]


def test_a_seed_that_one_method_lacks_is_left_out_of_its_pairs(params, everything, made):
    only_stdev = {"stdev": made.measurement(made.percent(95), linf_pgd20=made.percent(71))}
    results = everything("paper", without=("acl_seed3",), amoc_seed2={"measurements": only_stdev, "status": "nan"})
    metrics = figure3.build(params, "paper", results).metrics
    assert SEED_PAIRS == ("amoc_acl", "amoc_moco", "moco_acl")
    assert [metrics[pair]["n_stdev_clean"] for pair in SEED_PAIRS] == [4, 5, 4]
    assert [metrics[pair]["n_adev_pgd20"] for pair in SEED_PAIRS] == [3, 4, 4]
    seeds = (1, 4, 5)
    expected = stats.ttest_rel(column("amoc", "adev_pgd20", seeds), column("acl", "adev_pgd20", seeds))
    assert metrics["amoc_acl"]["p_adev_pgd20"] == pytest.approx(expected.pvalue, rel=1e-3)


def test_without_acl_its_pairs_are_not_measured_and_the_rest_is_corrected_for_itself(params, everything):
    acl = tuple(run("acl", seed) for seed in ACL)
    for name in acl:
        del params.raw["runs"]["cifar10"][name]
    report = figure3.build(params, "demo", everything(without=acl))
    rows = {row["key"]: row for row in csv.DictReader(report.csv.splitlines())}
    assert rows["amoc_acl_stdev_clean"]["n"] == "0" and rows["amoc_acl_stdev_clean"]["p"] == ""
    assert rows["amoc_acl_stdev_clean"]["label"] == "AMOC - ACL, StdEv clean"
    assert report.metrics["moco_acl"]["holm_adev_clean"] is None
    four = {m: stats.ttest_rel(column("amoc", m), column("moco", m)).pvalue for m in MEASURES}
    for measure, adjusted in slow_holm(four).items():
        assert report.metrics["amoc_moco"][f"holm_{measure}"] == pytest.approx(adjusted, rel=1e-3)
    assert "the smallest of 4 p-values" in " ".join(report.markdown.split())
    page, _ = report.draw().axes
    assert [text.get_text() for text in page.texts].count("not measured") == 8


def test_differences_that_do_not_vary_are_shown_as_they_are(params, everything, made):
    """AMOC one point above MoCo in every seed: t and d are infinite, and JSON has no word for that."""
    constant = {run("amoc", s): made.probed(run("amoc", s), tuple(n + 1 for n in MOCO[s]), seed=s) for s in MOCO}
    report = figure3.build(params, "demo", everything(**constant))
    assert report.metrics["amoc_moco"]["d_stdev_clean"] is None and report.metrics["amoc_moco"]["p_stdev_clean"] == 1.0
    row = next(line for line in report.markdown.splitlines() if line.startswith("| AMOC - MoCo, StdEv clean"))
    cells = [cell.strip() for cell in row.strip("|").split("|")[1:]]
    assert cells == ["5", "+1.00", "inf", "inf", "inf", "1", "1", "0.0625"]
    json.dumps(report.metrics, allow_nan=False)
    report.draw()


def test_all_seeds_of_params_yaml_are_read_and_other_settings_are_not(params, everything):
    runs = figure3.repeats(params).runs
    assert runs == tuple(run(method, seed) for method in METHODS for seed in range(1, 6))


def test_a_seed_with_other_settings_is_refused(params, everything, made):
    other = made.probed("amoc_seed4", AMOC[4], seed=4, batch_size=32)
    with pytest.raises(Refusal, match="amoc_seed4 does not repeat amoc: they differ in batch_size too"):
        figure3.build(params, "demo", everything(amoc_seed4=other))


def test_a_missing_seed_is_refused(params, everything):
    with pytest.raises(Refusal, match=r"amoc_seed4\.json is missing"):
        figure3.build(params, "demo", everything(without=("amoc_seed4",)))


def test_the_page_says_what_so_many_pairs_can_show(params, everything):
    report = figure3.build(params, "demo", everything())
    words = " ".join(report.markdown.split())
    # t(0.975; 4) / sqrt(5) = 2.776 / 2.236, and t(1 - 0.05 / 24; 4) / sqrt(5) = 5.891 / 2.236 or so
    assert "With 5 pairs a t-test gives p < 0.05 only if |d| exceeds 1.242," in words
    assert "the smallest of 12 p-values meets Holm's p < 0.00417 only if |d| exceeds 2.632:" in words
    assert "2/2^5 = 0.0625, so it can never reach 0.05." in words
    assert "| - mean of 5 seeds" in report.markdown and report.metrics["acl_mean"]["adev_clean"] == 86.4
    assert max(map(len, report.markdown.splitlines())) <= 150


def test_a_number_near_a_bound_shows_its_side():
    """p is above 0.05, and d below what would give it: rounded to two decimals, both would be at their bounds."""
    compared = PairedComparison(5, 31.6, 31.7, 2.77, 0.05036, 0.125, 1.2386)
    near = figure3.Tested("amoc_moco", "stdev_pgd20", (1, 2, 3, 4, 5), compared, 0.37)
    names = {"amoc": "AMOC", "moco": "MoCo"}
    row = to_markdown(Table("Pair", figure3.COLUMNS, (figure3._row(near, names),))).splitlines()[2]
    assert "| 1.239 | 2.77 | 0.0504 |" in row
    assert "gives p < 0.05 only if |d| exceeds 1.242," in " ".join(figure3.can_show([near]).split())


def test_the_journals_claim_is_judged_on_the_uncorrected_p(params, everything):
    report = figure3.build(params, "demo", everything())
    assert "| - p < 0.05 for each pair and each of four measures " in report.markdown
    row = next(line for line in report.markdown.splitlines() if line.startswith("| 6. "))
    assert row.split("|")[2].strip() == "does not hold"  # 0.0705 between AMOC and MoCo


def test_one_seed_is_no_test(params, everything):
    for name in [name for name in params.raw["runs"]["cifar10"] if "_seed" in name]:
        del params.raw["runs"]["cifar10"][name]
    report = figure3.build(params, "demo", everything())
    assert "No test could be made" in report.markdown
    tested = [number for pair in SEED_PAIRS for key, number in report.metrics[pair].items() if key[:2] != "n_"]
    assert set(tested) == {None}
    page, _ = report.draw().axes
    assert "Paired tests over no seeds: p-values" in [text.get_text() for text in page.texts]


def test_the_picture_groups_by_measure_and_colours_by_method(params, everything):
    report = figure3.build(params, "demo", everything())
    page, _ = report.draw().axes
    texts = [text.get_text() for text in page.texts]
    assert [text for text in texts if text in ("StdEv clean", "StdEv PGD20", "AdEv clean", "AdEv PGD20")] == [
        "StdEv clean", "StdEv PGD20", "AdEv clean", "AdEv PGD20",
    ]  # fmt: skip
    names = [text for text in texts if "\N{MINUS SIGN} " in text]
    assert names == [f"{a} \N{MINUS SIGN} {b}" for a, b in (("AMOC", "ACL"), ("AMOC", "MoCo"), ("MoCo", "ACL"))] * 4
