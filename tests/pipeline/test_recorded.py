"""What is committed belongs together: results, dvc.lock, fingerprints and params.yaml."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from amoc.engine.files import digest, read_json, write_json
from amoc.params import PROFILES, Params
from amoc.reporting import reports
from amoc.reporting.titles import GROUPS, TITLES
from stages import settings
from tests import shipped
from tests.pipeline.graph import ROOT, overlap
from tests.stages import tiny

SMALL = ("results/", "reports/")  # committed
GUIDE = "results/README.md"  # about them, and the only thing there that no stage writes
# of the demo; the others take an hour or more there
RECORDED = (*(name for name in TITLES if name not in GROUPS["Studies"]), "index")


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


def of_what_is_there(name: str) -> bool:
    """Whether a file is of a report that may be made without all results: of the demo none may."""
    return name.startswith("reports/") and Path(name).parts[2] != "demo"


def disagreements(project: Path, committed: set[str]) -> list[str]:
    """Where the committed results are not those that dvc.lock, the fingerprints and params.yaml speak of."""
    params, md5, said = Params.load(project / "params.yaml"), recorded(project), []

    def hold(name: str, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            said.append(f"{name}: {what} is {found!r}, not {expected!r}")

    kept = {name for name in md5 if name.startswith(SMALL)}
    unknown = sorted(name for name in committed - kept if not of_what_is_there(name))
    said += [f"{name} is committed, but dvc.lock does not know it" for name in unknown]
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
    assert len(used) > 100
    stale = dict.fromkeys(name for name, path, md5 in used if now.get(path) != md5)
    assert not stale, f"made with other settings, `dvc repro --allow-missing` in their profile: {' '.join(stale)}"


def committed_files() -> set[str]:
    """What git keeps of results/ and reports/; all that is there, where the project came without git."""
    if not (ROOT / ".git").exists():
        there = (path.relative_to(ROOT) for room in SMALL for path in (ROOT / room).rglob("*") if path.is_file())
        return {str(path) for path in there} - {GUIDE}
    listed = subprocess.run(["git", "ls-files", *SMALL], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines()) - {GUIDE}


def test_committed_results_are_those_of_the_lock_and_the_settings():
    assert disagreements(ROOT, committed_files()) == []


def test_in_the_lock_each_stage_read_what_the_other_wrote_and_what_is_here():
    """Else DVC would run it again, and for want of weights that are in no repository it could not."""
    stages = YAML(typ="safe").load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    written = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    read = [(name, dep["path"], dep["md5"]) for name, stage in stages.items() for dep in stage.get("deps", [])]
    assert len(written) > 500 and sum(path in written for _, path, _ in read) > 1000
    assert [(name, path) for name, path, md5 in read if written.get(path, md5) != md5] == []
    today = {path: digest(ROOT / path) for path in {path for _, path, _ in read} if is_here(path)}
    assert [(name, path) for name, path, md5 in read if today.get(path, md5) != md5] == []


def is_here(path: str) -> bool:
    """Whether it is a file of the repository; DVC sums folders otherwise, and images and weights may be lacking."""
    return not path.startswith(("data/", "models/")) and (ROOT / path).is_file()


@pytest.mark.parametrize("graph", ["small", "paper"], indirect=True)
def test_a_report_of_what_is_there_is_that(graph, monkeypatch, tmp_path):
    """One that dvc.lock does not know: DVC would train something first, and `stages.report` makes the same today."""
    lock = YAML(typ="safe").load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    committed, params = committed_files(), shipped.params()
    monkeypatch.chdir(ROOT)
    for group in graph.reports:
        folder = Path(group) / graph.profile
        written = {Path(name) for name in committed if Path(name).parent == folder}
        if not written or f"{group}@{graph.profile}" in lock:
            continue
        assert graph.needs(group) - {f"{group}@{graph.profile}"} - set(lock), f"`dvc commit {group}` can record it"
        report = import_module(f"amoc.reporting.{folder.parent.name}").build(params, graph.profile)
        anew = reports.write(report, tmp_path)
        assert {path.name for path in anew} == {path.name for path in written}, group
        for path in anew:
            if path.suffix in (".md", ".csv", ".json"):  # pictures are drawn from the same numbers
                assert path.read_bytes() == (folder / path.name).read_bytes(), f"`python -m stages.report` for {folder}"


@pytest.mark.parametrize("graph", ["demo"], indirect=True)
def test_what_is_recorded_of_the_demo_is_whole(graph):
    """The reports of RECORDED, and all that they are made from."""
    stages = graph.needs(*(f"reports/{name}" for name in RECORDED))
    small = {out for name in stages for out in graph.outs(graph.stages[name]) if out.startswith(SMALL)}
    there = recorded(ROOT)
    assert [out for out in small if not any(overlap(out, path) for path in there)] == []


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
