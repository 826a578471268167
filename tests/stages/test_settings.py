"""stages.settings: each file is what a stage uses, changes with that and with nothing else, and can be foreseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amoc.engine.files import digest, read_json
from amoc.params import DATASETS, PROFILES, Params
from amoc.refusal import Refusal
from stages import paths, pretrain, settings
from tests import shipped
from tests.stages import tiny

FOLDER = Path("results/demo/settings")


def contents() -> dict[str, str]:
    return {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*") if path.is_file()}


def edit(*changes: tuple[str, object]) -> None:
    """Of the tiny project's params.yaml, which is JSON."""
    raw = read_json(Path("params.yaml"))
    for path, value in changes:
        raw = tiny.changed(raw, tuple(path.split(".")), value)
    Path("params.yaml").write_text(json.dumps(raw))


def with_a_long_run(raw: tiny.Raw) -> None:
    raw["runs"]["cifar10"]["moco_long"] = raw["runs"]["cifar10"]["moco"] | {"epochs": "long"}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tiny.project(tmp_path, with_a_long_run))
    settings.main()
    return contents()


def test_a_file_is_what_its_run_network_or_suite_uses(written):
    params = Params.load()
    assert json.loads(written["cifar10/amoc.json"]) == {
        "settings": params.pretraining("demo", "cifar10", "amoc").plain(), "engine": params.engine("demo").plain(),
    }  # fmt: skip
    assert json.loads(written["cifar10/amoc_half.json"])["engine"] == params.engine("demo").plain() | {"threads": 1}
    network = json.loads(written["cifar10/amoc_finetuned.json"])["settings"]
    assert network == params.classifying("demo", "cifar10", "amoc_finetuned").plain()
    assert network["recipe"]["epochs"] == 2  # the profile's
    suite = json.loads(written["suites/table5.json"])
    assert suite["attacks"] == [[name, params.attack("demo", name).plain()] for name in params.raw["suites"]["table5"]]
    fewer = [name for name in params.raw["suites"]["early_stopped"] if name in dict(suite["attacks"])]
    assert suite["twin"] == [[name, params.attack("demo", name).plain()] for name in fewer] != []
    assert json.loads(written["probed_suites/table5.json"]) == {
        **{key: value for key, value in suite.items() if key != "twin"}, "probe": "adev",
    }  # fmt: skip
    assert [name for name, _ in json.loads(written["protocols/peers.json"])["recipes"]] == ["slf", "alf", "aff"]


@pytest.mark.parametrize("profile", PROFILES)
def test_there_is_a_file_for_each_run_network_suite_and_list_of_protocols(profile):
    params, folder = shipped.params(), paths.settings(profile)
    found = {str(path.relative_to(folder).with_suffix("")) for path, _ in settings.resolved(params, profile)}
    named = {f"{dataset}/{name}" for dataset in DATASETS for name in params.runs(dataset) + params.networks(dataset)}
    named |= {f"{kind}/{name}" for kind in ("suites", "probed_suites") for name in params.raw["suites"]}
    named |= {"protocols/probes", *(f"protocols/{name}" for name in params.raw["protocols"])}
    named |= {f"sections/{name}" for name in (*settings.SECTIONS, "stands_in")}
    assert found == named | {"data", "embedding", "corrupt", "sheet"}


def of_suites(*names: str) -> set[str]:
    """Of networks and of encoders."""
    return {f"{kind}/{name}" for kind in ("suites", "probed_suites") for name in names}


SUITES = ("probe", "table5", "early_stopped", "v1", "radii", "single", "peers")
EDITS = {
    "of a run": ([("runs.cifar10.moco.seed", 7)], {"cifar10/moco"}),
    "of one of two lengths": ([("profiles.demo.scale.long", 4)], {"cifar10/moco_long"}),
    "masked by the profile": ([("recipes.finetune.epochs", 99)], set()),
    "of a recipe": ([("recipes.finetune.lr", 0.5)], {"cifar10/amoc_finetuned", "protocols/peers"}),  # which aff extends
    "of an attack": (
        [("attacks.linf_pgd20.steps", 9)],
        {"protocols/probes", *of_suites("probe", "table5", "early_stopped", "v1", "radii")},
    ),
    "the order of attacks": (
        [("suites.peers", ["linf_autoattack", "linf_pgd20_peers"])],
        {"protocols/peers", *of_suites("peers")},
    ),
    "of what a twin gets": (
        [("suites.early_stopped", ["linf_autoattack"])],
        {"suites/probe", "suites/table5", "suites/v1", "suites/peers", *of_suites("early_stopped")},
    ),
    "of the head that is attacked": (
        [("attacked_probe", "stdev")],
        {f"probed_suites/{name}" for name in SUITES},
    ),
    "of the twin": ([("early_stopping.every", 2)], {"cifar10/standard", "cifar10/amoc_finetuned"}),
    "of evaluation": (
        [("evaluate.seed", 9)],
        {"protocols/probes", "protocols/peers", *of_suites(*SUITES), "embedding", "corrupt", "sheet"},
    ),
    "of the engine": (
        [("profiles.demo.engine.precision", "bfloat16")],
        {
            *(f"cifar10/{name}" for name in ("amoc", "moco", "moco_long", "acl", "amoc_half")),  # one says its own
            *("cifar100/amoc", "cifar10/standard", "cifar10/amoc_finetuned", *of_suites(*SUITES), "corrupt"),
        },
    ),
    "of another profile": ([("profiles.small.scale.short", 99)], set()),
    "the profile": ([("profile", "small")], set()),
}


@pytest.mark.parametrize(("changes", "stale"), EDITS.values(), ids=EDITS)
def test_an_edit_changes_the_files_of_those_that_use_it(written, changes, stale):
    edit(*changes)
    settings.main()
    after = contents()
    assert after.keys() == written.keys()
    changed = {name.removesuffix(".json") for name in after if after[name] != written[name]}
    assert {name for name in changed if not name.startswith("sections/")} == stale


def test_what_was_foreseen_is_then_written(written):
    edit(("runs.cifar10.moco.seed", 7))
    foreseen = settings.foreseen(Params.load(), "demo")
    assert contents() == written  # nothing was
    settings.main()
    assert foreseen == {path: digest(path) for path in foreseen}
    assert {str(path.relative_to(FOLDER)) for path in foreseen} == written.keys()


def test_the_file_of_a_run_that_is_no_more_goes(written):
    raw = read_json(Path("params.yaml"))
    del raw["runs"]["cifar10"]["moco"]
    Path("params.yaml").write_text(json.dumps(raw))
    settings.main()
    assert contents().keys() == written.keys() - {"cifar10/moco.json"}


def test_files_of_the_other_profiles_are_written_too(written):
    params = Params.load()
    for profile in PROFILES:
        found = {path: read_json(path) for path in paths.settings(profile).rglob("*.json")}
        assert found == dict(settings.resolved(params, profile))


def test_a_stage_refuses_settings_that_its_file_does_not_have(written):
    """Else DVC would record what it computes under the settings of the file."""
    edit(("runs.cifar10.moco.seed", 7))
    params = Params.load()
    settings.agree(params, "demo", ("cifar10", "amoc"), ("protocols", "probes"))
    with pytest.raises(Refusal, match=r"settings/cifar10/moco\.json is not what params\.yaml says now: run `dvc r"):
        settings.agree(params, "demo", ("cifar10", "moco"))
    with pytest.raises(Refusal, match="cifar10/moco"):
        pretrain.main("demo", "cifar10", "moco")
    assert not paths.encoder("demo", "cifar10", "moco").exists()
    settings.main()
    settings.agree(params, "demo", ("cifar10", "moco"))


def test_where_nothing_was_resolved_nothing_is_compared(tmp_path, monkeypatch):
    """A stage that is run by hand, in a project without DVC."""
    monkeypatch.chdir(tiny.project(tmp_path))
    settings.agree(Params.load(), "demo", ("cifar10", "moco"))
