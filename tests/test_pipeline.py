"""dvc.yaml tells the truth: what depends on what, in every profile, and that what is committed belongs together."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from dvc import dvcfile
from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from amoc.engine.files import digest, read_json, write_json
from amoc.params import DATASETS, PROFILES, Params
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
    records,
    switches,
    table3,
    table4,
    table8,
    transfer,
    v1_figure2,
    v1_table4,
    v1_table6,
)  # fmt: skip
from amoc.reporting.paper_claims import CLAIMS
from amoc.reporting.titles import GROUPS, TITLES
from amoc.settings import METHODS
from stages import fingerprint, paths, settings
from stages.pipeline import pending
from tests import shipped
from tests.import_closure import closure
from tests.stages import tiny

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = "requirements.txt"  # code too, of others
CODE = {  # the code that stages other than fingerprints depend on
    "settings": closure("stages.settings"),
    "data": {"amoc/datasets.py"},
    "reports/table7": {"amoc/reporting", "stages/report.py", "amoc/pretraining/variants.py"},
    "numerics": {"amoc/pretraining/numerics.py"},
    "embed": {"amoc/evaluating/embedding.py"},
    "reports/fast": {"amoc/reporting", "stages/report.py", "amoc/pretraining/passes.py"},
}
REPORTS = {"amoc/reporting", "stages/report.py"}
SMALL = ("results/", "reports/")  # committed
# of the demo; the others take an hour or more there
RECORDED = (*(name for name in TITLES if name not in GROUPS["Studies"]), "index")


class Graph:
    """The pipeline of one profile, as DVC resolves it."""

    def __init__(self, folder: Path, profile: str) -> None:
        shutil.copy(ROOT / "dvc.yaml", folder)
        text = (ROOT / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(re.sub(r"(?m)^profile: \w+", f"profile: {profile}", text), encoding="utf-8")
        self.profile, self.folder = profile, folder
        with chdir(folder), Repo.init(no_scm=True) as repo, pytest.MonkeyPatch.context() as patch:
            file = dvcfile.load_file(repo, "dvc.yaml")
            patch.setattr(dvcfile, "load_file", lambda repo, path: file)  # else it is read anew for each report
            repo.index.check_graph()
            self.stages: dict[str, PipelineStage] = {stage.name: stage for stage in repo.index.stages}
            self.reports = {name: [stage.name for stage in repo.stage.collect(name)] for name in self._reports()}

    def outs(self, stage: PipelineStage) -> set[str]:
        return {self._path(out.fs_path) for out in stage.outs}

    def files(self, stage: PipelineStage) -> set[str]:
        """What a stage depends on, besides parameters."""
        return {self._path(dep.fs_path) for dep in stage.deps if dep not in stage.params}

    def needs(self, *reports: str) -> set[str]:
        """The stages that `dvc repro` runs for these reports, in a project where nothing has run."""
        made = {out: name for name, stage in self.stages.items() for out in self.outs(stage)}
        found, waiting = set(), [f"{report}@{self.profile}" for report in reports]
        while waiting:
            found.add(name := waiting.pop())
            needed = set().union(*map(places, self.files(self.stages[name])))
            waiting += {made[place] for place in needed & made.keys()} - found
        return found

    def _path(self, path: str) -> str:
        return str(Path(path).relative_to(self.folder))

    def _reports(self) -> set[str]:
        return {name.partition("@")[0] for name in self.stages if name.startswith("reports/")}


def places(path: str) -> set[str]:
    """A file, and the folders that it lies in: a stage may write a whole folder."""
    return {path, *map(str, Path(path).parents)}


def tracked(stage: PipelineStage) -> set[str]:
    return {key for dependency in stage.params for key in dependency.params}


def stage_of(graph: Graph, report: str) -> PipelineStage:
    return graph.stages[f"reports/{report}@{graph.profile}"]


def is_code(path: str) -> bool:
    return path.startswith(("amoc/", "stages/")) or path == LIBRARIES


@pytest.fixture(scope="module", params=PROFILES)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return Graph(tmp_path_factory.mktemp(request.param), request.param)


# ---------------------------------------------------------------- the graph


def test_every_command_is_one_of_ours_and_names_what_exists(graph):
    params = shipped.params()
    known = set(fingerprint.BEHAVIOURS).union(*(params.runs(d) + params.networks(d) for d in DATASETS))
    for stage in graph.stages.values():
        python, flag, module, *arguments = stage.cmd.split()
        assert (python, flag) == ("python", "-m") and module.startswith("stages.")
        app = typer.Typer(add_completion=False)
        app.command()(import_module(module).main)
        given = typer.main.get_command(app).make_context(module, arguments).params  # exits if they are wrong
        names = {given[key] for key in ("run", "model") if key in given}
        assert names <= known, stage.cmd
        assert given.get("profile", graph.profile) == graph.profile


def test_every_output_carries_the_profile(graph):
    """Else the profiles would overwrite each other; fingerprints and settings are made for all of them."""
    for stage in graph.stages.values():
        for out in graph.outs(stage):
            if not stage.name.startswith(("fingerprint", "settings")):
                assert graph.profile in Path(out).parts, out


def test_every_dependency_is_code_or_made_by_a_stage(graph):
    made = set().union(*(graph.outs(stage) for stage in graph.stages.values()))
    for stage in graph.stages.values():
        for path in graph.files(stage):
            assert (ROOT / path).exists() if is_code(path) else places(path) & made, f"{stage.name} needs {path}"


def test_every_encoder_is_evaluated_and_every_network_attacked(graph):
    params = shipped.params()
    made = set().union(*(graph.outs(stage) for stage in graph.stages.values()))
    for dataset in DATASETS:
        for kind, names in (("evaluate", params.runs(dataset)), ("attack", params.networks(dataset))):
            for name in names:
                assert f"results/{graph.profile}/{dataset}/{kind}/{name}.json" in made


def test_every_encoder_depends_on_its_own_method_and_on_no_other(graph):
    """A run that params.yaml has is named in dvc.yaml, in the group of its method."""
    runs = shipped.settings()["runs"]
    makers = {out: stage for stage in graph.stages.values() for out in graph.outs(stage)}
    for dataset, run, own in [(name, *item) for name in DATASETS for item in runs[name].items()]:
        stage = makers.get(f"models/{graph.profile}/{dataset}/{run}.safetensors")
        assert stage, f"dvc.yaml has no stage that makes the run {run} of params.yaml"
        for method in METHODS:
            fingerprinted = f"results/fingerprints/{method}.json" in graph.files(stage)
            assert fingerprinted == (method == own["method"]), stage.name


def test_every_network_depends_on_its_own_encoder(graph):
    """dvc.yaml writes it out, params.yaml decides."""
    raw = shipped.settings()
    makers = {out: stage for stage in graph.stages.values() for out in graph.outs(stage)}
    for dataset, name, own in [(d, *item) for d in DATASETS for item in raw["classifiers"][d].items()]:
        folder = f"models/{graph.profile}/{dataset}"
        stage = makers.get(f"{folder}/{name}.safetensors")
        assert stage, f"dvc.yaml has no stage that makes the network {name} of params.yaml"
        needed = {f"{folder}/{own['encoder']}.safetensors"} if own["encoder"] else set()
        assert {path for path in graph.files(stage) if path.startswith("models/")} == needed, stage.name


def settings_files(stage: PipelineStage) -> set[str]:
    """Which files of resolved settings are those of a stage's command, below results/<profile>/settings."""
    _, _, module, *arguments = stage.cmd.split()
    app = typer.Typer(add_completion=False)
    app.command()(import_module(module).main)
    given = typer.main.get_command(app).make_context(module, arguments).params
    own = f"{given.get('dataset')}/{given.get('run', given.get('model'))}"
    encoder = given.get("model") in shipped.params().runs(given.get("dataset", "cifar10"))
    match module.removeprefix("stages."):
        case "data":
            return {"data"}
        case "pretrain" | "numerics" | "classify":
            return {own}
        case "evaluate":
            return {own, f"protocols/{given['protocols']}"}
        case "embed":
            return {own, "embedding"}
        case "attack":
            return {f"suites/{given['suite']}", "attacked_probe" if encoder else "suites/early_stopped"}
        case "corrupt":
            return {"engine", "evaluate"}
        case "sheet":
            return {"evaluate"}
    return set()


def settings_of(graph: Graph) -> set[str]:
    return {str(path) for path, _ in settings.resolved(shipped.params(), graph.profile)}


def test_a_stage_depends_on_the_settings_of_what_its_command_names(graph):
    """That these are all that it reads, and nothing else, tests/stages/test_stages.py finds out by running it."""
    folder = paths.settings(graph.profile)
    written = settings_of(graph)
    for stage in graph.stages.values():
        needed = {path for path in graph.files(stage) if Path(path).is_relative_to(folder)}
        assert needed <= written, stage.name
        if not stage.name.startswith("reports/"):
            assert needed == {str(folder / f"{name}.json") for name in settings_files(stage)}, stage.name


@pytest.mark.parametrize("behaviour", fingerprint.BEHAVIOURS)
def test_a_fingerprint_depends_on_all_code_that_it_runs(graph, behaviour):
    stage = graph.stages[f"fingerprint-{behaviour}"]
    code = closure(fingerprint.BEHAVIOURS[behaviour], "stages.fingerprint")
    assert graph.files(stage) == code | {LIBRARIES}


def test_the_other_stages_depend_on_behaviour_and_not_on_code(graph):
    for name, stage in graph.stages.items():
        group = name.partition("@")[0]
        if not group.startswith("fingerprint"):
            expected = CODE.get(group, REPORTS if group.startswith("reports/") else set())
            assert {path for path in graph.files(stage) if is_code(path)} == expected, name


def test_a_report_is_asked_for_by_its_name(graph):
    """`dvc repro reports/table5`; it reads small results only, and lies where it is called."""
    assert len(graph.reports) >= 4
    for group, found in graph.reports.items():
        assert found == [f"{group}@{graph.profile}"]
        stage = graph.stages[found[0]]
        assert {str(Path(out).parent) for out in graph.outs(stage)} == {f"{group}/{graph.profile}"}
        read = {".json", ".md", ".svg", ".png"} if group == "reports/index" else {".json"}
        assert {Path(path).suffix for path in graph.files(stage) if not is_code(path)} <= read


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
        expected = {f"{folder}/{file.format(run)}" for run in runs}
        assert {path for path in graph.files(stage) if path.startswith(kinds)} == expected, report
        assert runs <= set(params.runs("cifar10")), report


def test_a_report_of_networks_depends_on_those_that_it_shows(graph):
    networks = {"v1_figure2": {line.name for line in v1_figure2.FIGURE.lines}, "corruptions": {corruptions.MODEL.name}}
    for report, names in networks.items():
        stage = stage_of(graph, report)
        folder = f"results/{graph.profile}/cifar10/corrupt/"
        found = {path for path in graph.files(stage) if path.startswith(folder)}
        assert found == {f"{folder}{name}.json" for name in names}
        assert names <= set(shipped.params().networks("cifar10"))


def test_claims_depend_on_every_report_that_one_of_them_reads_and_floors_on_table5(graph):
    read = {table for claim in CLAIMS for part in claim.parts for table in part.tables}
    assert set(claims.READS) == read
    for name, given in (("claims", read), ("floors", {"table5"})):
        files = {f"reports/{report}/{graph.profile}/metrics.json" for report in given}
        assert {path for path in graph.files(stage_of(graph, name)) if path.startswith("reports/")} == files


def test_the_index_has_every_report_and_depends_on_its_page_and_picture(graph):
    (stage,) = (graph.stages[name] for name in graph.reports["reports/index"])
    names = {group.removeprefix("reports/") for group in graph.reports} - {"index"}
    assert set(TITLES) == names
    shown = {out for name in names - set(GROUPS["Studies"]) for out in graph.outs(stage_of(graph, name))}
    files = {out for out in shown if Path(out).suffix in (".md", ".svg", ".png")}
    files |= {f"reports/{name}/{graph.profile}/metrics.json" for name in GROUPS["Claims"]}
    assert {path for path in graph.files(stage) if path.startswith("reports/")} == files
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
    found = {path for path in graph.files(stage) if path.startswith("results/")} - settings_of(graph)
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


def test_what_is_committed_is_not_in_the_cache(graph):
    for stage in graph.stages.values():
        for out in stage.outs:
            assert out.use_cache == out.def_path.startswith(("data/", "models/")), out.def_path


def test_every_setting_of_the_profile_is_tracked(graph):
    keys = set().union(*(tracked(stage) for stage in graph.stages.values()))
    raw = shipped.settings()
    raw["profiles"] = {graph.profile: raw["profiles"][graph.profile]}
    raw.pop("profile")  # names the stages
    leaves = {".".join(leaf) for leaf in tiny.leaves(raw)}
    assert [leaf for leaf in leaves if not any(f"{leaf}.".startswith(f"{key}.") for key in keys)] == []


# ---------------------------------------------------------------- DVC at work


PAPER = {  # as dvc.lock would record it
    "cmd": "python -m stages.report table7 paper",
    "outs": [{"path": "reports/table7/paper/table7.md", "hash": "md5", "md5": "0" * 32, "size": 1}],
}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project in which cheap stages of the profile `demo` ran, and one of `paper` on another day."""
    folder = tmp_path_factory.mktemp("reproduced")
    for name in ("amoc", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    with (folder / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML().dump({"schema": "2.0", "stages": {"reports/table7@paper": PAPER}}, file)
    with chdir(folder), Repo.init(no_scm=True) as repo, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # stages call `python`
        ran = repo.reproduce(["reports/table2", "reports/table7"])
        assert {stage.name for stage in ran} == {"settings", "reports/table2@demo", "reports/table7@demo"}
    yield folder


def test_what_other_profiles_recorded_stays(reproduced):
    stages = YAML(typ="safe").load((reproduced / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert stages.pop("reports/table7@paper") == PAPER
    assert stages.keys() == {"settings", "reports/table2@demo", "reports/table7@demo"}


@pytest.mark.parametrize(
    ("leaf", "value", "stale"),
    [
        (None, None, set()),
        (("attacks", "linf_pgd20", "steps"), 21, {"settings", "reports/table2"}),
        (("profiles", "demo", "scale", "short"), 41, {"settings", "reports/table2", "reports/table7"}),
        (("profiles", "small", "scale", "short"), 21, {"settings"}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_a_changed_setting_makes_stale_what_reads_it(reproduced, monkeypatch, leaf, value, stale):
    monkeypatch.chdir(reproduced)
    before = Path("params.yaml").read_text(encoding="utf-8")
    try:
        if leaf is not None:
            raw = tiny.changed(YAML(typ="safe").load(before), leaf, value)
            Path("params.yaml").write_text(json.dumps(raw), encoding="utf-8")
        found = pending(["reports/table2", "reports/table7"], "demo", settings.foreseen(Params.load(), "demo"))
        assert {stage.name.removesuffix("@demo") for stage in found} == stale
    finally:
        Path("params.yaml").write_text(before, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("amoc/reporting/words.py", {"reports/table2", "reports/table7"}),
        ("amoc/pretraining/variants.py", {"reports/table7"}),
        ("amoc/perturb.py", set()),
    ],
)
def test_changed_code_makes_stale_what_depends_on_it(reproduced, file, stale):
    before = (reproduced / file).read_bytes()
    (reproduced / file).write_bytes(before + b"# more\n")
    try:
        assert stages_to_run(reproduced) == stale
    finally:
        (reproduced / file).write_bytes(before)


def stages_to_run(folder: Path) -> set[str]:
    """Of the cheap stages, by their group."""
    with chdir(folder), Repo() as repo:
        return {name.partition("@")[0] for name in repo.status(["reports/table2", "reports/table7"])}


# ---------------------------------------------------------------- what is committed


def recorded(project: Path) -> dict[str, str]:
    """The files that dvc.lock records as outputs, with their md5; of a folder of settings, as they should be."""
    lock = project / "dvc.lock"
    stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"] if lock.exists() else {}
    outs = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}
    if "settings" in stages:
        outs = {path: md5 for path, md5 in outs.items() if not md5.endswith(".dir")} | resolved_md5(project)
    return outs


def resolved_md5(project: Path) -> dict[str, str]:
    params = Params.load(project / "params.yaml")
    found = [settings.foreseen(params, profile) for profile in PROFILES]
    return {str(path): md5 for files in found for path, md5 in files.items()}


def disagreements(project: Path, committed: set[str]) -> list[str]:
    """Where the committed results are not those that dvc.lock, the fingerprints and params.yaml speak of."""
    params, md5, said = Params.load(project / "params.yaml"), recorded(project), []

    def hold(name: str, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            said.append(f"{name}: {what} is {found!r}, not {expected!r}")

    kept = {name for name in md5 if name.startswith(SMALL)}
    said += [f"{name} is committed, but dvc.lock does not know it" for name in sorted(committed - kept)]
    said += [f"{name} is in dvc.lock, but it is not committed" for name in sorted(kept - committed)]
    for name in sorted(committed & kept):
        if not (project / name).exists():
            said.append(f"{name} is committed, but it is not there")
            continue
        hold(name, "its md5", digest(project / name), md5[name])
        kinds = "evaluate|attack|radii|corrupt"
        if match := re.fullmatch(rf"results/(\w+)/(\w+)/({kinds})/(\w+)(?:\.(?!clock)\w+)*\.json", name):
            profile, dataset, kind, key = match.groups()
            radii = params.suite(profile, "radii") if kind == "radii" else {}
            result = read_json(project / name)
            own = params.classifying if key in params.networks(dataset) else params.pretraining
            origin = result.get("pretrained_on", dataset)
            hold(name, "settings", result["settings"], own(profile, origin, key).plain())
            hold(name, "evaluate", result["evaluate"], params.evaluate.plain())
            for behaviour, found in result["fingerprints"].items():
                hold(name, f"fingerprint {behaviour}", found, md5.get(f"results/fingerprints/{behaviour}.json"))
            for recipe, found in result["recipes"].items():
                hold(name, f"recipe {recipe}", found, params.recipe(profile, recipe).plain())
            for measured, outcomes in result.get("measurements", {}).items():
                for attack, outcome in outcomes.items():
                    expected = None if attack == "clean" else radii.get(attack) or params.attack(profile, attack)
                    expected = expected and expected.plain()
                    hold(name, f"attack {attack} of {measured}", outcome["attack"], expected)
        if match := re.fullmatch(r"results/(\w+)/(\w+)/embed/(\w+)\.json", name):
            result = read_json(project / name)
            hold(name, "settings", result["settings"], params.pretraining(*match.groups()).plain())
            hold(name, "embedding", result["embedding"], params.embedding.plain())
            for behaviour, found in result["fingerprints"].items():
                hold(name, f"fingerprint {behaviour}", found, md5.get(f"results/fingerprints/{behaviour}.json"))
    return said


def test_what_is_recorded_was_made_with_the_settings_of_today():
    """Each stage in dvc.lock, by the md5 of the files of resolved settings that it depends on."""
    stages, now = YAML(typ="safe").load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"], resolved_md5(ROOT)
    used = [(name, dep["path"], dep["md5"]) for name, stage in stages.items() for dep in stage.get("deps", ())]
    used = [(name, path, md5) for name, path, md5 in used if "/settings/" in path]
    assert len(used) > 100 and [(name, path) for name, path, md5 in used if now.get(path) != md5] == []


def committed_files() -> set[str]:
    """What git keeps of results/ and reports/; all that is there, where the project came without git."""
    if not (ROOT / ".git").exists():
        return {str(path.relative_to(ROOT)) for room in SMALL for path in (ROOT / room).rglob("*") if path.is_file()}
    listed = subprocess.run(["git", "ls-files", *SMALL], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def test_committed_results_are_those_of_the_lock_and_the_settings():
    assert disagreements(ROOT, committed_files()) == []


@pytest.mark.parametrize("graph", ["demo"], indirect=True)
def test_what_is_recorded_of_the_demo_is_whole(graph):
    """The reports of RECORDED, and all that they are made from."""
    stages = graph.needs(*(f"reports/{name}" for name in RECORDED))
    small = {out for name in stages for out in graph.outs(graph.stages[name]) if out.startswith(SMALL)}
    assert small - set().union(*map(places, recorded(ROOT))) == set()


@pytest.fixture
def consistent(tmp_path: Path) -> Path:
    """A project with one result, as it should be."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    params = shipped.params()
    outcome = {"attack": params.attack("demo", "linf_pgd20").plain()}
    result = {
        "settings": params.pretraining("demo", "cifar10", "amoc").plain(),
        "evaluate": params.evaluate.plain(),
        "recipes": {"stdev": params.recipe("demo", "stdev").plain()},
        "measurements": {"stdev": {"clean": {"attack": None}, "linf_pgd20": outcome}},
    }
    outs = ["results/fingerprints/amoc.json", "results/demo/cifar10/evaluate/amoc.json"]
    write_json(tmp_path / outs[0], {"a": 1})
    write_json(tmp_path / outs[1], {**result, "fingerprints": {"amoc": digest(tmp_path / outs[0])}})
    lock = {"stages": {name: {"outs": [{"path": name, "md5": digest(tmp_path / name)}]} for name in outs}}
    write_json(tmp_path / "dvc.lock", lock)
    return tmp_path


DISAGREEMENTS = {
    "recipe": (("recipes", "stdev", "lr"), 0.2, "recipe stdev is"),
    "run": (("runs", "cifar10", "amoc", "seed"), 7, "settings is"),
    "profile": (("profiles", "demo", "scale", "short"), 41, "settings is"),
    "attack": (("attacks", "linf_pgd20", "steps"), 21, "attack linf_pgd20 of stdev is"),
    "evaluate": (("evaluate", "seed"), 2, "evaluate is"),
}


@pytest.mark.parametrize(("leaf", "value", "sentence"), DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_a_result_of_other_settings_is_found(consistent, leaf, value, sentence):
    raw = YAML(typ="safe").load((consistent / "params.yaml").read_text(encoding="utf-8"))
    committed = set(recorded(consistent))
    assert disagreements(consistent, committed) == []
    (consistent / "params.yaml").write_text(json.dumps(tiny.changed(raw, leaf, value)), encoding="utf-8")
    (said,) = disagreements(consistent, committed)
    assert f"results/demo/cifar10/evaluate/amoc.json: {sentence}" in said


@pytest.mark.parametrize(
    ("leaf", "value", "sentence"), [(("embedding", "seed"), 2, "embedding is"), DISAGREEMENTS["profile"]]
)
def test_features_of_other_settings_are_found(consistent, leaf, value, sentence):
    params, name = Params.load(consistent / "params.yaml"), "results/demo/cifar10/embed/amoc.json"
    (consistent / "results/demo/cifar10/evaluate/amoc.json").unlink()
    own, fingerprints = params.pretraining("demo", "cifar10", "amoc").plain(), {"amoc": "0" * 32}
    result = {"settings": own, "embedding": params.embedding.plain(), "fingerprints": fingerprints}
    write_json(consistent / name, result)
    lock = {"stages": {"embed": {"outs": [{"path": name, "md5": digest(consistent / name)}]}}}
    write_json(consistent / "dvc.lock", lock)
    (said,) = disagreements(consistent, {name})
    assert said == f"{name}: fingerprint amoc is '{'0' * 32}', not None"
    raw = YAML(typ="safe").load((consistent / "params.yaml").read_text(encoding="utf-8"))
    (consistent / "params.yaml").write_text(json.dumps(tiny.changed(raw, leaf, value)), encoding="utf-8")
    said, _ = disagreements(consistent, {name})
    assert f"{name}: {sentence}" in said


def test_a_result_of_another_lock_or_fingerprint_is_found(consistent):
    committed = set(recorded(consistent))
    fingerprint, result = sorted(committed, reverse=True)
    assert disagreements(consistent, {result}) == [f"{fingerprint} is in dvc.lock, but it is not committed"]
    (consistent / fingerprint).rename(consistent / "away")
    assert disagreements(consistent, committed) == [f"{fingerprint} is committed, but it is not there"]
    (consistent / "away").rename(consistent / fingerprint)
    extra = result.replace("amoc", "moco")
    assert disagreements(consistent, {*committed, extra}) == [f"{extra} is committed, but dvc.lock does not know it"]
    changed = read_json(consistent / result)
    write_json(consistent / result, {**changed, "fingerprints": {"amoc": "0" * 32}})
    md5, said = disagreements(consistent, committed)
    assert "its md5 is" in md5 and f"fingerprint amoc is '{'0' * 32}'" in said
