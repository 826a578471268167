"""The study of switches: what differs from what, when a difference is shown, and what the picture shows."""

from __future__ import annotations

import re
from statistics import fmean, variance

import pytest

from amoc.params import PROFILES, Params
from amoc.refusal import Refusal
from amoc.reporting import switches
from amoc.reporting.drawing.difference_plot import Change, Effect, draw
from amoc.reporting.judgement.paper_claims import MEASURES
from amoc.reporting.judgement.statistics import blocked_deviation, least_difference
from tests import shipped

# percent right of 100 images on two seeds: StdEv clean and PGD20, AdEv clean and PGD20.
FIGURES = {
    "amoc": ((34, 18, 30, 22), (38, 20, 34, 23)), "aca_frozen": ((35, 17, 30, 22), (38, 20, 35, 24)),
    "amoc_enqueue_before": ((34, 18, 31, 21), (39, 19, 34, 23)),
    "amoc_attack_mode_train": ((45, 8, 41, 12), (50, 9, 44, 14)),
    "amoc_no_blur": ((34, 19, 29, 22), (37, 20, 34, 22)), "amoc_float32": ((35, 18, 30, 22), (38, 21, 34, 24)),
    "amoc_official": ((34, 18, 30, 23), (38, 20, 33, 23)),
}  # fmt: skip


@pytest.fixture
def study_params() -> Params:
    """The project's own runs: what is compared must be what params.yaml has."""
    return shipped.params()


@pytest.fixture
def everything(made, save, tmp_path):
    """Two seeds of AMOC, of most choices, and of all of the official code's."""

    def write(**changes: dict):
        for name, seeds in FIGURES.items():
            for seed, numbers in enumerate(seeds, start=1):
                run = name if seed == 1 else f"{name}_seed2"
                save(made.probed(run, numbers, seed=seed, way=name) | {"profile": "small"} | changes.get(run, {}))
        return tmp_path / "results"

    return write


def told(report) -> str:
    """The page as one line."""
    return " ".join(report.markdown.split())


@pytest.mark.parametrize("profile", PROFILES)
def test_each_run_differs_from_amoc_in_its_choice_alone(study_params, profile):
    """Where a profile has the choice anyway, in nothing."""
    for choice in switches.CHOICES:
        assert switches.changes(study_params, profile, choice.run).keys() <= {choice.setting}
    found = {choice.run: switches.changes(study_params, "small", choice.run) for choice in switches.CHOICES}
    assert all(len(changed) == 1 for changed in found.values())
    assert found["amoc_zero_init"] == {"zero_init_last": True} and found["amoc_no_blur"] == {"views.blur": None}


def test_second_seeds_repeat_the_first(study_params):
    for line in switches.STUDY.lines:
        one, other = (switches.settings(study_params, "small", run) for run in (line.run, *line.repeats))
        assert (one.pop("seed"), other.pop("seed")) == (1, 2) and one == other


def test_the_page_says_what_each_choice_is(study_params, everything):
    text = switches.build(study_params, "small", everything()).markdown
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| `")}
    cells = {name: [cell.strip() for cell in line.strip("|").split("|")][-2:] for name, line in rows.items()}
    assert cells == {
        "`bank_adv`": ["moving", "frozen"], "`enqueue`": ["after", "before"], "`attack_key`": ["clean", "noisy"],
        "`attack_mode`": ["eval", "train"], "`zero_init_last`": ["false", "true"], "`views.blur`": ["on", "none"],
        "`engine.precision`": ["bfloat16", "float32"],
    }  # fmt: skip
    assert "| as the official code (enqueue: before, attack_key: noisy, precision: float32) " in text


def test_differences_are_seed_by_seed_and_a_limit_stands_beside(study_params, everything):
    """The limit once more from its definition: Student's t on what rows and seeds leave."""
    numbers = switches.build(study_params, "small", everything()).metrics
    for place, measure in enumerate(MEASURES):
        rows = [[seed[place] for seed in seeds] for seeds in FIGURES.values()]
        deviation, freedom = blocked_deviation(rows)
        row = numbers["amoc_attack_mode_train_minus_amoc"]
        expected = [one - other for one, other in zip(rows[3], rows[0], strict=True)]
        assert freedom == 6 and row[measure] == pytest.approx(fmean(expected))
        assert row[f"{measure}_limit"] == pytest.approx(least_difference(deviation, 6, 2, 0.05), abs=1e-4)
    assert numbers["amoc_zero_init_minus_amoc"]["stdev_clean_limit"] is None
    ended_well = [[seed[0] for seed in seeds] for seeds in FIGURES.values()]
    assert numbers["spread"]["stdev_clean"] == pytest.approx(fmean(map(variance, ended_well)) ** 0.5, abs=1e-4)


def test_verdicts_are_words(study_params, everything):
    report = switches.build(study_params, "small", everything())
    lines = report.markdown.split("## Verdicts")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    verdicts = {name: cells for name, *cells in rows}
    assert verdicts["attack_mode: train"] == ["higher", "lower", "higher", "lower"]
    assert verdicts["bank_adv: frozen"] == 4 * ["within"]
    assert verdicts["zero_init_last: true"] == 4 * ["n/m"]
    words = "24 verdicts were made, and 4 of them are higher or lower; 1.2 would be expected from seeds alone."
    assert words in told(report)


def test_the_answer_comes_first(study_params, everything):
    text = told(switches.build(study_params, "small", everything()))
    assert "minus ours, in points (± what seeds alone would do): StdEv clean +0.00 (±" in text
    answer = "in no measure is this more than seeds alone would do, which does not show that there is no difference."
    assert answer in text
    far = {f"amoc_official{end}": {"measurements": {}, "status": "nan"} for end in ("", "_seed2")}
    text = told(switches.build(study_params, "small", everything(**far)))
    assert "How far this is from the official code is not measured" in text


def test_a_difference_of_the_official_code_is_told(study_params, everything, made, save):
    results = everything()
    for seed, run in enumerate(("amoc_official", "amoc_official_seed2"), start=1):
        save(made.probed(run, (34, 40, 30, 23), seed=seed, way="amoc_official") | {"profile": "small"})
    text = told(switches.build(study_params, "small", results))
    assert "; this is more than seeds alone would do in StdEv PGD20." in text


@pytest.mark.parametrize("badly", [{"status": "nan", "measurements": {}}, {"status": "collapsed"}])
def test_a_seed_that_ended_badly_leaves_no_verdict_and_no_trace_in_the_limits(study_params, everything, badly):
    """Its choice is shown and not judged; the others are judged as if it were not there."""
    results = everything(amoc_attack_mode_train_seed2=badly)
    report = switches.build(study_params, "small", results)
    numbers, verdicts = report.metrics, report.markdown.split("## Verdicts")[1]
    assert re.search(rf"\| attack_mode: train +(\| {badly['status']} +){{4}}\|", verdicts)
    assert numbers["amoc_attack_mode_train_minus_amoc"]["stdev_clean_limit"] is None
    rows = [[seed[0] for seed in seeds] for name, seeds in FIGURES.items() if name != "amoc_attack_mode_train"]
    limit = least_difference(*blocked_deviation(rows), 2, 0.05)
    assert numbers["aca_frozen_minus_amoc"]["stdev_clean_limit"] == pytest.approx(limit, abs=1e-4)


def test_one_seed_of_amoc_judges_nothing(study_params, everything):
    results = everything()
    (results / "small" / "cifar10" / "evaluate" / "amoc_seed2.json").unlink()
    assert "No verdict: AMOC and a choice need two seeds each" in told(switches.build(study_params, "small", results))


def test_what_a_profile_has_anyway_is_left_out(study_params, tmp_path):
    """The digits are not blurred, and are computed in float32: those runs are AMOC again, and are not read."""
    with pytest.raises(Refusal, match=r"evaluate/amoc\.json is missing"):
        switches.build(study_params, "demo", tmp_path)
    for run in ("aca_frozen", "amoc_enqueue_before", "amoc_attack_key_noisy", "amoc_attack_mode_train",
                "amoc_zero_init", "amoc_official"):  # fmt: skip
        assert switches.changes(study_params, "demo", run)
    for run in ("amoc_no_blur", "amoc_float32"):
        assert not switches.changes(study_params, "demo", run)
    text = told(switches.build(study_params, "paper", tmp_path))
    assert "Left out below" not in text and "precision: float32" in text


def test_the_picture_has_a_dot_per_seed_and_a_band(study_params, everything):
    page, *panels = switches.build(study_params, "small", everything()).draw().axes
    assert len(panels) == 4
    clean = panels[0]
    dots = [sorted(line.get_xdata()) for line in clean.lines if line.get_marker() == "o"]
    assert dots == [[0, 1], [0, 1], [11, 12], [-1, 0], [0, 1], [0, 0]]
    ticks = [line.get_xdata()[0] for line in clean.lines if line.get_marker() == "|"]
    assert ticks == [fmean(pair) for pair in dots]
    assert len(clean.patches) == 6 and [text.get_text() for text in clean.texts] == 2 * ["n/m"]
    shown = {line.get_color() for line in clean.lines if line.get_marker() == "o" and max(line.get_xdata()) > 10}
    assert len(shown) == 1 and shown.isdisjoint(
        line.get_color() for line in clean.lines if line.get_marker() == "o" and max(line.get_xdata()) < 10
    )
    assert "as the official code" in [text.get_text() for text in page.texts]


def test_a_change_without_a_band_is_written_where_it_leaves_the_scale():
    effects = [
        Effect("small", {"StdEv clean": Change((1.0, 3.0), 4.0, False)}),
        Effect("lost", {"StdEv clean": Change((-20.0, -18.0), None, False)}),
        Effect("found", {"StdEv clean": Change((5.5, 4.0), None, False)}),
    ]
    _, panel = draw("a", "b", effects).axes
    assert panel.get_xlim() == (-5, 5)
    assert [(text.get_text(), text.get_position()[0]) for text in panel.texts] == [
        ("← \N{MINUS SIGN}19.0", -5),
        ("+4.8 →", 5),
    ]
    assert [list(line.get_xdata()) for line in panel.lines if line.get_marker() == "o"] == [[1, 3]]
    _, alone = draw("a", "b", effects[1:2]).axes  # where no band is known the dots make the scale
    assert alone.get_xlim() == (-21, 21) and not alone.texts


def test_names_of_the_picture_have_room(study_params, everything):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from amoc.reporting.drawing.figures import style

    with style():
        figure = switches.build(study_params, "small", everything()).draw()
        renderer = FigureCanvasAgg(figure).get_renderer()
        page, first, *_ = figure.axes
        names = [text for text in page.texts if text.get_position()[0] == 0]
        lines = {switches.call(study_params, "small", choice.run) for choice in switches.CHOICES}
        start = first.get_window_extent(renderer).x0
        shown = {text.get_text(): text.get_window_extent(renderer).x1 for text in names}
        assert lines <= shown.keys() and all(shown[name] < start for name in lines)
        assert max(shown.values()) <= figure.bbox.x1
