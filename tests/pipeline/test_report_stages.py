"""Report stages depend on what they read, train no more than they show, and are called as people ask for them."""

from __future__ import annotations

from pathlib import Path

from amoc.params import DATASETS, Params
from amoc.reporting import (
    claims,
    corruptions,
    fast,
    figure2,
    figure3,
    figure4,
    figure6,
    figure7,
    floors,
    index,
    peers,
    precision,
    switches,
    table3,
    table4,
    table5,
    table5_seed2,
    table6,
    table8,
    transfer,
    v1_figure2,
    v1_table3,
    v1_table4,
    v1_table5,
    v1_table6,
)
from amoc.reporting.evidence import records
from amoc.reporting.judgement.paper_claims import CLAIMS
from amoc.reporting.titles import GROUPS, TITLES
from tests import shipped
from tests.pipeline.graph import ROOT, is_code, stage_of


def test_a_report_is_asked_for_by_its_name(graph):
    """`dvc repro reports/table5`; it reads small results only, and lies where it is called."""
    assert len(graph.reports) >= 4
    for group, found in graph.reports.items():
        assert found == [f"{group}@{graph.profile}"]
        stage = graph.stages[found[0]]
        assert {str(Path(out).parent) for out in graph.outs(stage)} == {f"{group}/{graph.profile}"}
        read = {path for path in graph.files(stage) if not is_code(path)}
        if group == "reports/index":
            read = {path for path in read if not path.startswith("reports/")}  # of other reports, the whole folders
        assert {Path(path).suffix for path in read} == {".json"}


def runs_of_reports(params: Params) -> dict[str, tuple[str, set[str]]]:
    """Report -> which file it reads of each encoder, and the encoders that its module asks for."""
    return {
        "table3": ("evaluate/{}.json", set(table3.TABLE.runs)),
        "table4": ("pretrain/{}.clock.json", set(table4.RUNS)),
        "table8": ("evaluate/{}.json", set(table8.TABLE.runs)),
        "figure2": ("embed/{}.json", set(figure2.RUNS)),
        "figure3": ("evaluate/{}.json", set(figure3.repeats(params).runs)),
        "figure4": ("corrupt/{}.json", {line.name for line in figure4.FIGURE.lines}),
        "figure6": ("evaluate/{}.json", set(figure6.TABLE.runs)),
        "figure7": ("evaluate/{}.json", set(figure7.TABLE.runs)),
        "v1_table4": ("evaluate/{}.json", set(v1_table4.TABLE.runs)),
        "v1_table6": ("evaluate/{}.json", set(v1_table6.TABLE.runs)),
        "fast": ("evaluate/{}.json", set(fast.STUDY.runs)),
        "precision": ("evaluate/{}.json", set(precision.STUDY.runs)),
        "switches": ("evaluate/{}.json", set(switches.STUDY.runs)),
        "peers": ("evaluate/{}.peers.json", set(peers.TABLE.runs)),
        "floors": ("evaluate/{}.json", set(floors.ENCODERS)),
    }


def test_a_report_depends_on_the_encoders_that_it_reads_and_on_no_others(graph):
    params = shipped.params()
    for report, (file, runs) in runs_of_reports(params).items():
        stage = stage_of(graph, report)
        folder = f"results/{graph.profile}/cifar10"
        kinds = tuple(f"{folder}/{kind}/" for kind in ("evaluate", "pretrain", "embed", "corrupt"))
        on_which_machine = report in (*GROUPS["Studies"], "table3", "table8", "figure3", "figure6", "figure7")
        files = (file, "pretrain/{}.clock.json") if on_which_machine else (file,)
        expected = {f"{folder}/{file.format(run)}" for file in files for run in runs}
        assert {path for path in graph.files(stage) if path.startswith(kinds)} == expected, report
        assert runs <= set(params.runs("cifar10")), report


def test_a_report_of_fine_tuned_networks_depends_on_their_encoders(graph):
    """On how their pre-training ended, which the networks' own results do not tell."""
    params = shipped.params()
    shown = {
        ("table5", "cifar10"): table5.TABLE.models.values(),
        ("table5_seed2", "cifar10"): table5_seed2.TABLE.models.values(),
        ("table6", "cifar100"): table6.TABLE.models.values(),
        ("v1_table3", "cifar10"): v1_table3.TABLE.models.values(),
        ("v1_table5", "cifar10"): v1_table5.TABLE.models.values(),
        ("v1_figure2", "cifar10"): [line.name for line in v1_figure2.FIGURE.lines],
    }
    for (report, dataset), models in shown.items():
        own = {params.classifying(graph.profile, dataset, model).encoder
               for model in models if model in params.networks(dataset)} - {None}  # fmt: skip
        folder = f"results/{graph.profile}/{dataset}/evaluate/"
        found = {path for path in graph.files(stage_of(graph, report)) if path.startswith(folder)}
        assert found == {f"{folder}{encoder}.json" for encoder in own} and own, report


def test_a_report_of_networks_depends_on_those_that_it_shows(graph):
    networks = {"v1_figure2": {line.name for line in v1_figure2.FIGURE.lines}, "corruptions": {corruptions.MODEL}}
    for report, names in networks.items():
        stage = stage_of(graph, report)
        folder = f"results/{graph.profile}/cifar10/corrupt/"
        found = {path for path in graph.files(stage) if path.startswith(folder)}
        assert found == {f"{folder}{name}.json" for name in names}
        assert names <= set(shipped.params().networks("cifar10"))


def test_claims_depend_on_every_report_that_one_of_them_reads_and_floors_on_table5(graph):
    """And on those that tell how far seeds go."""
    read = {table for claim in CLAIMS for part in claim.parts for table in part.tables} | {"figure3", "table5_seed2"}
    assert set(claims.READS) == read
    for name, given in (("claims", read), ("floors", {"table5"})):
        files = {f"reports/{report}/{graph.profile}/metrics.json" for report in given}
        assert {path for path in graph.files(stage_of(graph, name)) if path.startswith("reports/")} == files


def test_the_index_has_every_report_and_depends_on_all_but_studies(graph):
    (stage,) = (graph.stages[name] for name in graph.reports["reports/index"])
    names = {group.removeprefix("reports/") for group in graph.reports} - {"index"}
    assert set(TITLES) == names
    shown = names - set(GROUPS["Studies"])
    folders = {f"reports/{name}/{graph.profile}" for name in shown}
    assert {path for path in graph.files(stage) if path.startswith("reports/")} == folders
    assert {f"reports/{name}@{graph.profile}" for name in shown} <= graph.needs("reports/index")
    drawn = [out for stage in graph.stages.values() for out in graph.outs(stage) if out.endswith(".svg")]
    assert len(drawn) >= 10 and len(drawn) * index.LARGEST_SVG * 4 / 3 < 3_800_000  # in base 64; the words are small
    for name in names:  # the commands that it tells people
        assert stage_of(graph, name).cmd == f"python -m stages.report {name} {graph.profile}"


def test_transfer_depends_on_both_encoders_on_both_data_sets(graph):
    stage = stage_of(graph, "transfer")
    read = {
        str(records.path("evaluate", graph.profile, on, transfer.RUN, pretrained_on=source))
        for on, other in transfer.PAIRS
        for source in (None, other)
    }
    found = {path for path in graph.files(stage) if path.startswith("results/")} - graph.settings()
    assert found == read and len(read) == 4
    assert encoders(graph.needs("reports/transfer")) == {("cifar10", "amoc"), ("cifar100", "amoc")}
    away = graph.stages[f"evaluate-transfer@{graph.profile}-cifar10-cifar100-amoc"]
    assert f"results/{graph.profile}/cifar100/evaluate/amoc.from_cifar10.json" in graph.outs(away)
    needed = {f"data/{graph.profile}/cifar100.safetensors", f"models/{graph.profile}/cifar10/amoc.safetensors"}
    assert {path for path in graph.files(away) if path.startswith(("data/", "models/"))} == needed


def encoders(stages: set[str]) -> set[tuple[str, str]]:
    """Data set and run of each encoder that these stages train."""
    return {tuple(name.split("-")[-2:]) for name in stages if name.startswith("pretrain")}


def test_the_readme_tells_what_each_report_trains(graph):
    """How many encoders, and how many epochs of the paper profile."""
    params, told = shipped.params(), {}
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `reports/"):
            name, _, count, _, epochs = line.strip("| ").split(" | ")
            told[name.strip("`")] = (int(count), int(epochs))
    needed = {name: encoders(graph.needs(name)) for name in graph.reports}
    epochs = {(d, run): params.pretraining("paper", d, run).epochs for d in DATASETS for run in params.runs(d)}
    assert told == {name: (len(runs), sum(epochs[run] for run in runs)) for name, runs in needed.items()}


def test_a_report_trains_no_more_than_it_shows(graph):
    names = runs_of_reports(shipped.params())
    trained = {name: len(encoders(graph.needs(f"reports/{name}"))) for name in names}
    assert trained == {
        "table3": 13, "table4": 5, "table8": 9, "figure2": 4, "figure3": 15, "figure4": 4, "figure6": 6, "figure7": 10,
        "v1_table4": 3, "v1_table6": 5, "fast": 14, "precision": 4, "switches": 18, "peers": 6,
        "floors": 4,
    }  # fmt: skip
    assert encoders(graph.needs("reports/table5")) == {("cifar10", "amoc")}
    assert encoders(graph.needs("reports/table6")) == {("cifar100", "amoc")}
    assert encoders(graph.needs("reports/figure5")) == {("cifar10", "amoc"), ("cifar100", "amoc")}
    assert encoders(graph.needs("reports/v1_figure2")) == {("cifar10", "aca_frozen_long")}
    assert not encoders(graph.needs("reports/corruptions"))
    for report in ("table4", "figure2"):
        assert not any(name.startswith(("evaluate", "classify")) for name in graph.needs(f"reports/{report}"))
    assert len(graph.stages) <= 265  # DVC does nothing with 240 in 3 s; writing their lock entries is quadratic
