"""Figures 6 and 7: which number stands where, and what the page says of it."""

from __future__ import annotations

import pytest

from amoc.params import Params
from amoc.reporting import encoders, figure6, figure7
from amoc.reporting.judgement.paper_claims import LENGTHS, MEASURES
from tests import shipped

SECOND_SEED = {"amoc_seed2": (40, 22, 38, 30)}


@pytest.fixture
def settings() -> Params:
    return shipped.params()


@pytest.fixture
def swept(settings, made, save, timed, tmp_path):
    """Every run of a figure, each on a machine; the numbers of a run are told by its place."""

    def write(table: encoders.EncoderTable, *, without: tuple[str, ...] = (), profile: str = "demo", **devices: str):
        for at, run in enumerate(table.runs):
            if run not in without:
                resolved = settings.pretraining(profile, "cifar10", run).plain()
                numbers = SECOND_SEED.get(run, (50 + at, 20 + at, 40 + at, 30 + at))
                save(made.probed(run, numbers, **resolved) | {"profile": profile})
                timed(profile, run, **({"device": devices[run]} if run in devices else {}))
        return tmp_path / "results"

    return write


def test_lengths_are_the_papers(settings):
    lengths = [settings.pretraining("paper", "cifar10", line.run).bank_length for line in figure6.TABLE.lines]
    assert lengths == [1024, 4096, 16384, 32768, 65536]
    assert tuple(line.key for line in figure6.TABLE.lines) == LENGTHS  # as the claim reads them


def test_weights_are_the_papers(settings):
    weights = {line.key: settings.pretraining("paper", "cifar10", line.run).lambda_ for line in figure7.TABLE.lines}
    assert weights == {"amoc" if t == 5 else f"amoc_lambda0{t}": t / 10 for t in range(1, 10)}


@pytest.mark.parametrize("table", [figure6.TABLE, figure7.TABLE], ids=lambda table: table.name)
def test_a_run_differs_from_amoc_in_that_setting_alone(settings, table):
    plain = {line.key: settings.pretraining("paper", "cifar10", line.run).plain() for line in table.lines}
    for key, own in plain.items():
        different = {setting for setting, value in own.items() if value != plain["amoc"][setting]}
        assert different <= {table.draw.axis.setting}, key


@pytest.mark.parametrize("table", [figure6.TABLE, figure7.TABLE], ids=lambda table: table.name)
def test_the_lines_go_through_the_numbers_of_the_table(settings, swept, table):
    report = table.build(settings, "demo", swept(table))
    _, *panels = report.draw().axes
    plain = [settings.pretraining("demo", "cifar10", line.run).plain() for line in table.lines]
    values = [own[table.draw.axis.setting] for own in plain]
    for panel, recipe in zip(panels, ("stdev", "adev"), strict=True):
        drawn = {tuple(line.get_ydata()): list(line.get_xdata()) for line in panel.lines if line.get_marker() == "o"}
        for attack in ("clean", "pgd20"):
            numbers = tuple(report.metrics[line.key][f"{recipe}_{attack}"] for line in table.lines)
            assert drawn[numbers] == values
        others = [(x, y) for line in panel.lines if line.get_marker() == "_" for x, y in line.get_xydata()]
        default = settings.pretraining("demo", "cifar10", "amoc").plain()[table.draw.axis.setting]
        second = [SECOND_SEED["amoc_seed2"][MEASURES.index(f"{recipe}_{attack}")] for attack in ("clean", "pgd20")]
        assert others == [(default, number) for number in second]
    assert f"![{table.title}, demo profile]({table.name}.svg)" in report.markdown


def test_neighbours_of_unlike_machines_are_named(settings, swept):
    assert "kind of machine" not in figure6.build(settings, "demo", swept(figure6.TABLE)).markdown
    page = figure6.build(settings, "demo", swept(figure6.TABLE, amoc="a GPU")).markdown.replace("\n", " ")
    assert "`amoc_seed2`, `amoc_k65536` on a CPU; `amoc` on a GPU. Each kind rounds" in page


def test_what_was_not_measured_is_left_out_of_the_lines(settings, swept):
    results = swept(figure6.TABLE, without=("amoc_k4096",), profile="small")
    report = figure6.build(settings, "small", results)
    assert set(report.metrics["amoc_k4096"].values()) == {None}
    for panel in report.draw().axes[1:]:
        assert [len(line.get_xdata()) for line in panel.lines if line.get_marker() == "o"] == [4, 4]


def test_nothing_measured_says_so(settings, tmp_path):
    _, *panels = figure7.build(settings, "paper", tmp_path).draw().axes
    assert [[text.get_text() for text in panel.texts] for panel in panels] == [["not measured"]] * 2


def test_other_seeds_are_seen_beside_the_points_and_explained(settings, swept):
    """Wider than a point, and above it: seeds often lie closer than a point is large."""
    report = figure6.build(settings, "demo", swept(figure6.TABLE))
    page, *panels = report.draw().axes
    for panel in panels:
        points = [line for line in panel.lines if line.get_marker() == "o"]
        dashes = [line for line in panel.lines if line.get_marker() == "_" and len(line.get_xdata())]
        assert len(points) == len(dashes) == 2
        for point, dash in zip(points, dashes, strict=True):
            assert dash.get_markersize() > 2 * point.get_markersize() and dash.get_zorder() > point.get_zorder()
    assert [text.get_text() for text in page.get_legend().get_texts()] == ["the default with another seed"]
    assert "a dash is the default with another seed" in report.markdown
    results = swept(figure6.TABLE, without=("amoc_seed2",), profile="small")
    page, *_ = figure6.build(settings, "small", results).draw().axes
    assert page.get_legend() is None


def test_names_of_ticks_do_not_touch():
    names = figure6.TABLE.draw._names
    assert names([96.0, 128.0, 512.0, 1024.0, 2048.0]) == ["96", "", "512", "1k", "2k"]
    assert names([1024.0, 4096.0, 16384.0, 32768.0, 65536.0]) == ["1k", "4k", "16k", "32k", "64k"]
    assert figure7.TABLE.draw._names([tenth / 10 for tenth in range(1, 10)])[:4] == ["0.1", "", "0.3", ""]
    assert names([1024.0]) == ["1k"]
