"""Figure 5 from hand-made results: each radius in its place, and a curve that stays up is doubted."""

from __future__ import annotations

import pytest

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import figure5
from amoc.reporting.judgement.paper_claims import LARGER
from tests import shipped

EIGHTHS = (0, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32)


@pytest.fixture
def settings() -> Params:
    return shipped.params()


def accuracy(at: int, eighths: int) -> int:
    """Of the network that is the so-manieth: falls by 2 points an eighth, from 60."""
    return max(60 + at - 2 * eighths, 0)


@pytest.fixture
def measured(settings, made, save, tmp_path):
    """Every network of both data sets, in percent of 100 images; the peers' step leaves a point less."""

    def write(profile: str = "demo", left: int = 0, **changes: dict):
        for dataset in figure5.DATASETS:
            for at, model in enumerate(figure5.MODELS):
                outcomes = {"clean": made.outcome(made.percent(accuracy(at, 0)))}
                for name, attack in settings.suite(profile, figure5.SUITE).items():
                    base, _, eighths = name.rpartition("_eps_")
                    right = max(accuracy(at, int(eighths)) - base.endswith("peers"), left)
                    outcomes[name] = made.outcome(made.percent(right), attack.plain())
                own = settings.classifying(profile, dataset, model).plain()
                content = made.result(model, "radii", own, {"last": outcomes}, test_images=100)
                save(content | {"profile": profile, "dataset": dataset} | changes.get(f"{model}_{dataset}", {}))
        return tmp_path / "results"

    return write


def test_rows_and_columns_are_those_that_the_claim_reads(settings, measured):
    numbers = figure5.build(settings, "demo", measured()).metrics
    assert list(numbers) == [*figure5.MODELS, *(f"{model}_cifar100" for model in figure5.MODELS)]
    for at, model in enumerate(figure5.MODELS):
        for key in (model, f"{model}_cifar100"):
            for eighths in EIGHTHS:
                assert numbers[key][f"eps_{eighths}"] == accuracy(at, eighths)
                if eighths:
                    assert numbers[key][f"eps_{eighths}_peers"] == max(accuracy(at, eighths) - 1, 0)
    assert set(LARGER) <= numbers["alp"].keys()


def test_the_first_lines_name_both_data_sets(settings, measured):
    first = figure5.build(settings, "demo", measured()).markdown.partition("\n\n")[0].replace("\n> ", " ")
    assert "stand in for CIFAR-10 and " in first and "stand in for CIFAR-100. " in first


def test_the_radius_is_so_many_eighths_of_the_training_epsilon(settings, measured):
    figure5.build(settings, "demo", measured())
    for name, attack in settings.suite("demo", "radii").items():
        assert attack.epsilon == pytest.approx(settings.epsilon("demo").linf * int(name.rpartition("_")[2]) / 8)
        assert attack.relative_step == (0.25 if "peers" in name else 0.1)


def test_at_the_radius_of_training_it_is_the_attack_of_table5_from_another_start(settings, measured):
    """The same settings by another name, by which a suite draws its random starts."""
    radii, table5 = (settings.suite("paper", suite) for suite in ("radii", "table5"))
    for attack in figure5.ATTACKS:
        assert radii[f"{attack}_eps_8"] == table5[attack] and f"{attack}_eps_8" not in table5
    report = figure5.build(settings, "demo", measured())
    told = " ".join(report.markdown.split())
    assert "8/8 is the attack of Tables 5 and 6, PGD20 or PGD20p, from another random start" in told
    assert figure5.STARTS in [text.get_text() for text in report.draw().axes[0].texts]


def test_the_claim_is_judged(settings, measured):
    markdown = figure5.build(settings, "demo", measured()).markdown
    verdict = next(line for line in markdown.splitlines() if line.startswith("| ") and "holds better" in line)
    assert "| holds " in verdict  # it is the fourth of the networks, against the first and second


def test_each_panel_draws_its_data_set(settings, measured):
    _, *panels = figure5.build(settings, "demo", measured()).draw().axes
    for panel in panels:
        drawn = [tuple(line.get_ydata()) for line in panel.lines if line.get_marker() == "o"]
        assert drawn == [tuple(accuracy(at, eighths) for eighths in EIGHTHS) for at in range(4)]
        assert panel.get_ylim() == (0, 1.05 * max(map(max, drawn)))  # a scale of its own
        assert [text.get_text() for text in panel.texts] == ["AMOC fine-tuned", "TRADES", "ALP", "PGD-AT"]


def test_a_curve_that_does_not_come_down_is_doubted(settings, measured):
    assert "At the largest radius" not in figure5.build(settings, "demo", measured()).markdown
    markdown = figure5.build(settings, "demo", measured(left=6)).markdown
    assert "**At the largest radius more than 5 % are still correct: pgd_at (6.0 %), alp (6.0 %)," in markdown


def test_a_run_that_went_wrong_is_not_ranked_and_says_why(settings, measured):
    lost = {"alp_cifar10": {"status": "nan", "note": "last: diverged"}}
    report = figure5.build(settings, "demo", measured(**lost))
    assert "ALP [1]" in report.markdown and "[1] last: diverged" in report.markdown


def test_what_is_missing(settings, tmp_path, measured):
    with pytest.raises(Refusal, match=r"radii/pgd_at.json is missing.*stages.attack demo cifar10 pgd_at --suite radii"):
        figure5.build(settings, "demo", tmp_path / "results")
    report = figure5.build(settings, "paper", tmp_path / "results")
    assert {value for row in report.metrics.values() for value in row.values()} == {None}
    assert "PGD-AT (not measured)" in report.markdown
    _, *panels = report.draw().axes
    assert [[text.get_text() for text in panel.texts] for panel in panels] == [["not measured"]] * 2
