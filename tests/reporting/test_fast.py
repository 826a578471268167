"""The study of cheaper attacks: what each costs, which one wins, what the picture shows."""

from __future__ import annotations

import pytest

from amoc.params import Params
from amoc.reporting import fast
from tests import shipped

# percent right of 100 images on two seeds: StdEv clean and PGD20, AdEv clean and PGD20
FIGURES = {
    "amoc": ((40, 20, 36, 24), (38, 22, 36, 22)),
    "amoc_pgd2": ((41, 20, 38, 23), (40, 20, 37, 21)), "amoc_fgsm": ((44, 15, 40, 19), (43, 16, 39, 18)),
    "amoc_half": ((41, 17, 38, 21), (41, 18, 37, 20)), "moco": ((50, 4, 42, 12), (49, 5, 41, 13)),
}  # fmt: skip


@pytest.fixture
def study_params() -> Params:
    """The project's own runs: what is compared must be what params.yaml has."""
    return shipped.params()


@pytest.fixture
def everything(made, save, study_params, tmp_path):
    """Two seeds of some of the ways, and the single step on one of them."""

    def write(**single: int):
        for name, seeds in FIGURES.items():
            for seed, numbers in enumerate(seeds, start=1):
                run = name if seed == 1 else f"{name}_seed2"
                own = {"variant": "ccc"} if name == "moco" else {"way": name}
                save(made.probed(run, numbers, seed=seed, **own) | {"profile": "small"})
        for run, right in single.items():
            steps = {"kind": "pgd", "norm": "linf", "epsilon": 0.15, "images": None, "steps": 1, "relative_step": 2.0}
            broken = made.outcome(made.percent(right), steps)
            outcomes = {"clean": made.outcome(made.percent(50)), "linf_one_step": broken}
            settings = made.encoder() | {"seed": 1}
            save(made.result(run, "attack", settings, {"last": outcomes}, test_images=100) | {"profile": "small"})
        return tmp_path / "results"

    return write


def told(params: Params, results) -> str:
    """The page as one line."""
    return " ".join(fast.build(params, "small", results).markdown.split())


def test_costs_are_those_of_the_settings(study_params, everything):
    numbers = fast.build(study_params, "small", everything()).metrics
    assert {key: row["passes"] for key, row in numbers.items()} == {
        "amoc": 19, "amoc_pgd2": 13, "amoc_fgsm": 11, "amoc_warm": 11, "amoc_half": 11.5, "amoc_free": 8, "moco": 4,
    }  # fmt: skip
    assert numbers["amoc_free"]["cost"] == pytest.approx(100 * 8 / 19, abs=1e-4)
    assert (numbers["amoc_pgd2"]["adev_pgd20"], numbers["amoc_free"]["adev_pgd20"]) == (22.0, None)


def test_what_wins_is_the_cheapest_that_loses_at_most_a_point_of_both(study_params, everything):
    """PGD-2 loses 1 and 1 at 13 passes; half of the batch loses 3.5 and 2.5, one step more, at less."""
    text = told(study_params, everything())
    assert "is **AMOC, 2 steps of 0.75 ε**, at 68 % of AMOC's passes: StdEv PGD20 -1.00, AdEv PGD20 -1.00." in text
    assert "made on the test images shown here" in text
    lacking = "AMOC, 1 step of 1.25 ε, warm start, AMOC, free, 4 updates."
    assert f"Not judged, without two seeds that ended well: {lacking}" in text


@pytest.mark.parametrize("numbers", [(41, 18, 38, 30), (41, 30, 38, 18)])
def test_a_loss_in_either_measure_loses(study_params, everything, made, save, numbers):
    results = everything()
    for seed, run in enumerate(("amoc_pgd2", "amoc_pgd2_seed2"), start=1):
        save(made.probed(run, numbers, seed=seed, way="amoc_pgd2") | {"profile": "small"})
    text = told(study_params, results)
    assert "None of the measured attacks loses at most 1 point of StdEv PGD20 and of AdEv PGD20" in text


def test_the_run_that_is_recommended_is_held_against_what_wins(study_params, everything):
    runs, results = study_params.raw["runs"]["cifar10"], everything()
    runs["amoc_fast"] = dict(runs["amoc_pgd2"])
    assert "`amoc_fast` of `params.yaml` is AMOC, 2 steps of 0.75 ε: the same." in told(study_params, results)
    runs["amoc_fast"] = dict(runs["amoc_fgsm"])
    assert "is AMOC, 1 step of 1.25 ε: not the same:" in told(study_params, results)
    del runs["amoc_fast"]
    assert "`params.yaml` has no run amoc_fast yet." in told(study_params, results)


def test_a_single_step_stands_beside_pgd20(study_params, everything):
    report = fast.build(study_params, "small", everything(amoc_fgsm=30, amoc_fgsm_seed2=34))
    assert report.metrics["amoc_fgsm"]["one_step"] == 32.0
    assert report.metrics["amoc_pgd2"]["one_step"] is None


def test_nothing_measured(study_params, tmp_path):
    report = fast.build(study_params, "small", tmp_path)
    assert "Nothing can be said" in report.markdown
    assert report.metrics["amoc"]["passes"] == 19


def test_the_picture_has_a_bar_per_way_and_a_dot_per_seed(study_params, everything):
    page, bars, dots = fast.build(study_params, "small", everything()).draw().axes
    assert [bar.get_width() for bar in bars.patches] == [19, 13, 11, 11, 11.5, 8, 4]
    seeds = [sorted(line.get_xdata()) for line in dots.lines if line.get_marker() == "o"]
    assert seeds == [[22, 24], [21, 23], [18, 19], [20, 21], [12, 13]]
    means = [line.get_xdata()[0] for line in dots.lines if line.get_marker() == "|"]
    assert means == [23, 22, 18.5, 20.5, 12.5]
    assert [text.get_text() for text in dots.texts] == 2 * ["not measured"]
    words = [text.get_text() for text in page.texts]
    assert "AMOC, 5 steps of 0.25 ε" in words and "MoCo, no attack" in words and "free, 4 updates" in words


def test_the_key_of_the_picture_tells_dots_ticks_and_the_line(study_params, everything, tmp_path):
    page, _, dots = fast.build(study_params, "small", everything()).draw().axes
    legend = page.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    key = dict(zip(texts, legend.get_lines(), strict=True))
    assert list(key) == ["a seed", "mean of the seeds", "mean of AMOC"]
    assert [mark.get_marker() for mark in key.values()] == ["o", "|", "|"]
    (line,) = (line for line in dots.lines if list(line.get_xdata()) == [23, 23])
    assert key["mean of AMOC"].get_color() == line.get_color()
    assert key["mean of AMOC"].get_markeredgewidth() == line.get_linewidth()
    page, *_ = fast.build(study_params, "paper", tmp_path / "nowhere").draw().axes
    assert page.get_legend() is None


def test_names_of_the_picture_have_room(study_params, everything):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from amoc.reporting.drawing.figures import style

    with style():
        figure = fast.build(study_params, "small", everything()).draw()
        renderer = FigureCanvasAgg(figure).get_renderer()
        page, bars, _ = figure.axes
        start = bars.get_window_extent(renderer).x0
        longest = ("MoCo, no attack", "5 steps of 0.25 ε, 50% of batch")
        names = [text for text in page.texts if text.get_text() in longest]
        assert len(names) == 2
        assert all(text.get_window_extent(renderer).x1 < start for text in names)
