"""dvc.yaml tells the truth: what depends on what, in every profile, and that what is committed belongs together."""

from __future__ import annotations

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
from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from amoc.engine.files import digest, read_json
from amoc.params import PROFILES, Params
from stages import fingerprint
from tests.import_closure import closure
from tests.stages import tiny

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[1]
CODE = {  # the code that stages other than fingerprints depend on
    "data": {"amoc/datasets.py"},
    "reports/table7": {"amoc/reporting", "stages/report.py", "amoc/pretraining/variants.py"},
}
REPORTS = {"amoc/reporting", "stages/report.py"}


class Graph:
    """The pipeline of one profile, as DVC resolves it."""

    def __init__(self, folder: Path, profile: str) -> None:
        shutil.copy(ROOT / "dvc.yaml", folder)
        text = (ROOT / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(re.sub(r"(?m)^profile: \w+", f"profile: {profile}", text), encoding="utf-8")
        self.profile, self.folder = profile, folder
        with Repo.init(str(folder), no_scm=True) as repo:
            repo.index.check_graph()
            self.stages: dict[str, PipelineStage] = {stage.name: stage for stage in repo.index.stages}
            self.asked_for = {name: [stage.name for stage in repo.stage.collect(name)] for name in groups(self.stages)}

    def outs(self, stage: PipelineStage) -> set[str]:
        return {self._path(out.fs_path) for out in stage.outs}

    def files(self, stage: PipelineStage) -> set[str]:
        """What a stage depends on, besides parameters."""
        return {self._path(dep.fs_path) for dep in stage.deps if dep not in stage.params}

    def _path(self, path: str) -> str:
        return str(Path(path).relative_to(self.folder))


def groups(names: Any) -> set[str]:
    return {name.partition("@")[0] for name in names}


def tracked(stage: PipelineStage) -> set[str]:
    return {key for dependency in stage.params for key in dependency.params}


def is_code(path: str) -> bool:
    return path.startswith(("amoc/", "stages/"))


@pytest.fixture(scope="module", params=PROFILES)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return Graph(tmp_path_factory.mktemp(request.param), request.param)


# ---------------------------------------------------------------- the graph


def test_every_command_is_one_of_ours_and_names_what_exists(graph):
    params = Params.load(ROOT / "params.yaml")
    known = {*params.runs("cifar10"), *params.networks("cifar10"), *fingerprint.BEHAVIOURS}
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
    """Else the profiles would overwrite each other; fingerprints belong to all of them."""
    for stage in graph.stages.values():
        for out in graph.outs(stage):
            if not stage.name.startswith("fingerprint"):
                assert graph.profile in Path(out).parts, out


def test_every_dependency_is_code_or_made_by_a_stage(graph):
    made = set().union(*(graph.outs(stage) for stage in graph.stages.values()))
    for stage in graph.stages.values():
        for path in graph.files(stage):
            assert (ROOT / path).exists() if is_code(path) else path in made, f"{stage.name} needs {path}"


def test_every_encoder_is_evaluated_and_every_network_attacked(graph):
    params = Params.load(ROOT / "params.yaml")
    made = set().union(*(graph.outs(stage) for stage in graph.stages.values()))
    for kind, names in (("evaluate", params.runs("cifar10")), ("attack", params.networks("cifar10"))):
        for name in names:
            assert f"results/{graph.profile}/cifar10/{kind}/{name}.json" in made


@pytest.mark.parametrize("behaviour", fingerprint.BEHAVIOURS)
def test_a_fingerprint_depends_on_all_code_that_it_runs(graph, behaviour):
    stage = graph.stages[f"fingerprint-{behaviour}"]
    assert graph.files(stage) == closure(fingerprint.BEHAVIOURS[behaviour], "stages.fingerprint")


def test_the_other_stages_depend_on_behaviour_and_not_on_code(graph):
    for name, stage in graph.stages.items():
        group = name.partition("@")[0]
        if not group.startswith("fingerprint"):
            expected = CODE.get(group, REPORTS if group.startswith("reports/") else set())
            assert {path for path in graph.files(stage) if is_code(path)} == expected, name


def test_a_report_is_asked_for_by_its_name(graph):
    """`dvc repro reports/table5`; it reads small results only, and lies where it is called."""
    for group in groups(graph.stages):
        if group.startswith("reports/"):
            assert graph.asked_for[group] == [f"{group}@{graph.profile}"]
            stage = graph.stages[f"{group}@{graph.profile}"]
            assert {str(Path(out).parent) for out in graph.outs(stage)} == {f"{group}/{graph.profile}"}
            assert {Path(path).suffix for path in graph.files(stage) if not is_code(path)} <= {".json"}


def test_what_is_committed_is_not_in_the_cache(graph):
    for stage in graph.stages.values():
        for out in stage.outs:
            assert out.use_cache == out.def_path.startswith(("data/", "models/")), out.def_path


def test_every_setting_of_the_profile_is_tracked(graph):
    keys = set().union(*(tracked(stage) for stage in graph.stages.values()))
    raw = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["profiles"] = {graph.profile: raw["profiles"][graph.profile]}
    raw.pop("profile")  # names the stages
    leaves = {".".join(leaf) for leaf in tiny.leaves(raw)}
    assert [leaf for leaf in leaves if not any(f"{leaf}.".startswith(f"{key}.") for key in keys)] == []


# ---------------------------------------------------------------- DVC at work


PAPER = {"cmd": "python -m stages.report table7 paper", "outs": [{"path": "reports/table7/paper/table7.md", "hash": "md5",
         "md5": "0" * 32, "size": 1}]}  # fmt: skip


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project in which the cheap stages of the profile `demo` ran, beside one of `paper` that ran before."""
    folder = tmp_path_factory.mktemp("reproduced")
    for name in ("amoc", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    with (folder / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML().dump({"schema": "2.0", "stages": {"reports/table7@paper": PAPER}}, file)
    with chdir(folder), Repo.init(no_scm=True) as repo, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # stages call `python`
        ran = repo.reproduce(["data", "reports/table2", "reports/table7"])
        assert {stage.name for stage in ran} == {"data@demo-cifar10", "reports/table2@demo", "reports/table7@demo"}
    yield folder


def test_what_other_profiles_recorded_stays(reproduced):
    recorded = YAML(typ="safe").load((reproduced / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert recorded.keys() == {"reports/table7@paper", "data@demo-cifar10", "reports/table2@demo", "reports/table7@demo"}
    assert recorded["reports/table7@paper"] == PAPER


def stale(folder: Path) -> set[str]:
    with chdir(folder), Repo() as repo:
        return {name.partition("@")[0] for name in repo.status(["data", "reports/table2", "reports/table7"])}


def test_nothing_is_stale_after_a_run(reproduced):
    assert stale(reproduced) == set()
