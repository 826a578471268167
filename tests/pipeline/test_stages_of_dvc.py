"""dvc.yaml tells the truth: what depends on what, in every profile."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import typer
from dvc.stage import PipelineStage

from amoc.params import DATASETS
from amoc.settings import METHODS
from stages import fingerprint, paths
from tests import shipped
from tests.import_closure import closure
from tests.pipeline.graph import LIBRARIES, ROOT, is_code, overlap, tracked
from tests.stages import tiny

CODE = {  # the code that stages other than fingerprints depend on
    "settings": closure("stages.settings"),
    "data": {"amoc/datasets.py"},
    "reports/table7": {"amoc/reporting", "stages/report.py", "amoc/pretraining/variants.py"},
    "numerics": {"amoc/pretraining/numerics.py"},
    "embed": {"amoc/evaluating/embedding.py"},
    "reports/fast": {"amoc/reporting", "stages/report.py", "amoc/pretraining/passes.py"},
}
REPORTS = {"amoc/reporting", "stages/report.py"}


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
            there = (ROOT / path).exists() if is_code(path) else any(overlap(path, out) for out in made)
            assert there, f"{stage.name} needs {path}"


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
            return {f"protocols/{given['protocols']}"}
        case "attack":
            return {f"{'probed_suites' if encoder else 'suites'}/{given['suite']}"}
        case "embed":
            return {"embedding"}
        case "corrupt" | "sheet" as stage:
            return {stage}
    return set()


def test_a_stage_depends_on_the_settings_of_what_its_command_names(graph):
    """That these are all that it reads, and nothing else, tests/stages/test_stages.py finds out by running it.

    An encoder's settings are in its file, so stages that measure it depend on them through that.
    """
    folder = paths.settings(graph.profile)
    written = graph.settings()
    for stage in graph.stages.values():
        needed = {path for path in graph.files(stage) if Path(path).is_relative_to(folder)}
        assert needed <= written, stage.name
        if not stage.name.startswith("reports/"):
            assert needed == {str(folder / f"{name}.json") for name in settings_files(stage)}, stage.name


def test_a_long_stage_has_few_dependencies(graph):
    """Images, weights, behaviour, and one file of settings: what it depends on is seen at a glance."""
    cheap = ("fingerprint", "settings", "reports/")
    many = {name: len(stage.deps) for name, stage in graph.stages.items() if not name.startswith(cheap)}
    assert len(many) > 100 and max(many.values()) <= 5


@pytest.mark.parametrize("behaviour", fingerprint.BEHAVIOURS)
def test_a_fingerprint_depends_on_all_code_that_it_runs(graph, behaviour):
    stage = graph.stages[f"fingerprint-{behaviour}"]
    alike = METHODS if behaviour in METHODS else (behaviour,)  # methods of pre-training share one list
    code = closure(*(fingerprint.BEHAVIOURS[name] for name in alike), "stages.fingerprint")
    assert graph.files(stage) == code | {LIBRARIES}


def test_the_other_stages_depend_on_behaviour_and_not_on_code(graph):
    for name, stage in graph.stages.items():
        group = name.partition("@")[0]
        if not group.startswith("fingerprint"):
            expected = CODE.get(group, REPORTS if group.startswith("reports/") else set())
            assert {path for path in graph.files(stage) if is_code(path)} == expected, name


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
