"""Every stage, run as dvc.yaml runs it, in a project of a few images: what it writes, and from which settings."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
import typer
from dvc.repo import Repo
from dvc.stage import PipelineStage

from amoc import datasets
from amoc.augment import to_float
from amoc.classifying.loop import Trained
from amoc.engine.clock import STAGES_AT_ONCE
from amoc.engine.files import digest, read_json
from amoc.models.classifier import Classifier
from amoc.models.files import load_classifier, load_encoder, load_heads
from amoc.params import PROFILES, Params
from amoc.pretraining import numerics
from amoc.refusal import Refusal
from amoc.reporting.evidence import checked, clocks, corruption_records, records
from stages import attack, classify, evaluate, paths, pretrain, settings
from stages.results import worst
from tests import shipped
from tests.stages import tiny

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

Question = tuple[str, tuple[Any, ...]]  # a method of Params and its arguments

STAGES = (
    *("settings", "data@demo-cifar10", "pretrain@demo-cifar10-amoc", "pretrain@demo-cifar10-moco"),
    *("pretrain-acl@demo-cifar10-acl", "evaluate@demo-cifar10-acl"),
    *("pretrain-cheaper@demo-cifar10-amoc_half", "evaluate@demo-cifar10-amoc_half"),
    *("evaluate@demo-cifar10-amoc", "evaluate@demo-cifar10-moco", "numerics@demo-cifar10-amoc"),
    *("embed@demo-cifar10-amoc", "embed@demo-cifar10-acl", "reports/figure2@demo"),
    *("evaluate-peers@demo-cifar10-amoc", "evaluate-peers@demo-cifar10-moco", "evaluate-peers@demo-cifar10-acl"),
    *("classify@demo-cifar10-standard", "finetune@demo-cifar10-amoc_finetuned"),
    *("attack@demo-cifar10-standard", "attack@demo-cifar10-amoc_finetuned", "attack-probed@demo-cifar10-amoc"),
    *("classify-again@demo-cifar10-standard_seed2", "attack-briefly@demo-cifar10-standard_seed2"),
    *("reports/table2@demo", "reports/table3@demo", "reports/table4@demo", "reports/table5@demo"),
    *("reports/table7@demo", "reports/table8@demo", "reports/figure3@demo"),
    *("pretrain@demo-cifar10-amoc_float32", "evaluate@demo-cifar10-amoc_float32"),
    *("attack-singly@demo-cifar10-amoc_half", "reports/fast@demo", "reports/precision@demo"),
    *("corrupt@demo-cifar10-acl", "corrupt@demo-cifar10-amoc", "corrupt-network@demo-cifar10-standard"),
    *("sheet@demo-cifar10", "reports/figure4@demo", "reports/v1_figure2@demo", "reports/corruptions@demo"),
    *("data@demo-cifar100", "pretrain-cifar100@demo-cifar100-amoc", "evaluate-cifar100@demo-cifar100-amoc"),
    *("evaluate-transfer@demo-cifar10-cifar100-amoc", "evaluate-transfer-back@demo-cifar100-cifar10-amoc"),
    *("attack-probed@demo-cifar100-amoc", "attack-radii@demo-cifar10-amoc_finetuned"),
    *("classify@demo-cifar100-standard", "attack@demo-cifar100-standard"),
    *("reports/table6@demo", "reports/figure5@demo", "reports/figure6@demo", "reports/figure7@demo"),
    *("reports/transfer@demo", "reports/switches@demo"),
    *("pretrain@demo-cifar10-acc_long", "evaluate@demo-cifar10-acc_long"),
    *("finetune-v1@demo-cifar10-acc_long", "attack-v1@demo-cifar10-acc_long_finetuned_v1"),
    *("reports/v1_table2@demo", "reports/v1_table3@demo", "reports/v1_table4@demo", "reports/v1_table5@demo"),
    *("reports/v1_table6@demo", "reports/peers@demo", "reports/table5_seed2@demo", "reports/claims@demo"),
    *("reports/floors@demo", "reports/index@demo"),
)
RESULTS = [
    ("evaluate", "amoc", ["stdev", "adev"], ["clean", "linf_pgd20"]),
    ("evaluate", "moco", ["stdev", "adev"], ["clean", "linf_pgd20"]),
    ("evaluate", "acl", ["stdev", "adev"], ["clean", "linf_pgd20"]),
    ("evaluate", "amoc_half", ["stdev", "adev"], ["clean", "linf_pgd20"]),
    ("attack", "standard", ["last", "early_stopped"], ["clean", "linf_pgd20", "linf_autoattack"]),
    ("attack", "amoc_finetuned", ["last", "early_stopped"], ["clean", "linf_pgd20", "linf_autoattack"]),
    ("attack", "amoc", ["last"], ["clean", "linf_pgd20", "linf_deepfool", "l1_pgd50", "l1_slide", "l2_pgd50", "l2_cw"]),
]


def whole(raw: tiny.Raw) -> None:
    """With what else the reports need to read all that they can: networks of CIFAR-100, the preprint, another seed."""
    shipping = shipped.settings()
    for section, dataset, name in (
        ("runs", "cifar10", "acc_long"),
        ("classifiers", "cifar10", "acc_long_finetuned_v1"),
        ("classifiers", "cifar10", "standard_seed2"),
        ("classifiers", "cifar100", "standard"),
    ):
        raw[section][dataset][name] = shipping[section][dataset][name]
    raw["runs"]["cifar10"]["amoc"]["batch_size"] = 256  # as the method has it, but here an edit can be tried


class Recording:
    """Settings that remember what was asked of them."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.asked: set[Question] = set()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._params, name)
        if not callable(value):
            self.asked.add((name, ()))
            return value

        def ask(*arguments: Any) -> Any:
            self.asked.add((name, tuple(frozenset(one) if isinstance(one, set) else one for one in arguments)))
            return value(*arguments)

        return ask


class Built:
    """The tiny project, with what each stage wrote and asked of the settings; on a machine of so many cores."""

    def __init__(self, folder: Path, cores: int = 1) -> None:
        self.folder, self.cores = tiny.project(folder, whole), cores
        shutil.copy(tiny.ROOT / "dvc.yaml", folder)
        with Repo.init(str(folder), no_scm=True) as repo:
            repo.index.check_graph()
            self.stages: dict[str, PipelineStage] = {stage.name: stage for stage in repo.index.stages}
            self.graph = repo.index.graph
        self.written: dict[str, set[str]] = {}
        self.asked: dict[str, set[Question]] = {}
        self.agreed: dict[str, tuple[Any, ...]] = {}  # a profile and keys of files of resolved settings

    def run(self, name: str) -> None:
        """Run a stage as DVC does: what it wrote before is gone."""
        for out in self.stages[name].outs:
            path = Path(out.fs_path)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        before = tiny.contents(self.folder)
        recording = Recording(Params(read_json(self.folder / "params.yaml")))  # which is JSON: read in no time
        with chdir(self.folder), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Params, "load", lambda: recording)
            module = import_module(self.stages[name].cmd.split()[2])
            patch.setattr(module, "agree", lambda _, *keys: self.agreed.update({name: keys}), raising=False)
            patch.setattr(os, "sched_getaffinity", lambda _: set(range(self.cores)), raising=False)
            for variable in ("DVC_ROOT", "AMOC_CHECKPOINTS", STAGES_AT_ONCE):
                patch.delenv(variable, raising=False)
            call(self.stages[name].cmd)
        after = tiny.contents(self.folder)
        self.written[name] = {path for path, content in after.items() if before.get(path) != content}
        self.asked[name] = recording.asked


def call(command: str) -> None:
    """Run `python -m stages.x ...` in this process."""
    _, _, module, *arguments = command.split()
    app = typer.Typer(add_completion=False)
    app.command()(import_module(module).main)
    app(arguments, standalone_mode=False)


@pytest.fixture(scope="module")
def _short() -> Iterator[None]:
    put_back = tiny.shorten_autoattack()
    with pytest.MonkeyPatch.context() as patch:
        eager = {name: path for name, path in numerics.PATHS.items() if not path.compile}
        patch.setattr("stages.numerics.errors", partial(numerics.errors, paths=eager))
        patch.setattr(numerics, "WARM_UP", 2)
        yield
    put_back()


@pytest.fixture(scope="module")
def built(_short: None, tmp_path_factory: pytest.TempPathFactory) -> Built:
    project = Built(tmp_path_factory.mktemp("built"))
    for name in STAGES:
        project.run(name)
    return project


@pytest.fixture
def here(built: Built, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(built.folder)
    return built.folder


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_writes_what_dvc_yaml_says(built, name):
    declared = {str(Path(out.fs_path).relative_to(built.folder)) for out in built.stages[name].outs}
    written = built.written[name]
    if name == "settings":  # folders
        folders = [paths.settings(profile) for profile in PROFILES]
        written = {str(folder) for path in written for folder in folders if Path(path).is_relative_to(folder)}
    assert written == declared


def test_no_state_is_left_to_resume(built):
    assert tiny.contents(built.folder / ".checkpoints") == {}


def test_another_run_elsewhere_gives_the_same_bytes(built, tmp_path):
    """In another folder, by several processes where a stage can share its work out; clock files aside."""
    again = Built(tmp_path, cores=3)
    for name in ("data@demo-cifar10", "pretrain@demo-cifar10-amoc", "evaluate@demo-cifar10-amoc",
                 "embed@demo-cifar10-amoc", "finetune@demo-cifar10-amoc_finetuned",
                 "attack-probed@demo-cifar10-amoc"):  # fmt: skip
        again.run(name)
    for name in set().union(*again.written.values()):
        if not name.endswith(".clock.json"):
            assert (again.folder / name).read_bytes() == (built.folder / name).read_bytes(), name
    for folder, processes in ((built.folder, 1), (again.folder, 3)):
        for stage in ("evaluate", "attack"):
            assert read_json(folder / paths.clock(stage, "demo", "cifar10", "amoc"))["processes"] == processes


@pytest.mark.parametrize("stage", ["pretrain", "evaluate", "classify", "attack", "corrupt"])
def test_only_clock_files_hold_times(built, stage):
    clocks = sorted(built.folder.glob(f"results/**/{stage}/*.clock.json"))
    assert clocks
    for path in clocks:
        clock = read_json(path)
        assert {"seconds", "counts", "device", "threads", "torch", "python"} <= clock.keys()
        assert clock["threads"] == 1 and all(seconds >= 0 for seconds in clock["seconds"].values())
        measured = path.with_name(path.name.replace(".clock.json", ".json"))
        kept = measured if measured.exists() else measured.with_suffix(".csv")
        assert not any(word in kept.read_text() for word in ("second", clock["device"], str(built.folder)))


def test_the_clock_of_an_encoder_knows_the_peak_that_its_speed_is_a_fraction_of(here):
    for run in ("amoc", "moco", "acl"):
        clock = clocks.find("demo", "cifar10", run, Path("results"))
        assert (clock.epochs, clock.counts["images"], clock.precision) == (2, 2 * 64, "float32")
        assert 0 < clock.fraction_of_peak < 1
    needed = {run: clocks.find("demo", "cifar10", run, Path("results")).flops_per_image for run in ("amoc", "moco")}
    # of one step of attack, an input gradient: AMOC 2 + 1 + 3 * 2 + 2 passes, MoCo 3 + 1
    assert needed["amoc"] / needed["moco"] == pytest.approx(11 / 4)


def test_weights_hold_no_times_or_paths(built):
    for path in sorted(built.folder.glob("models/**/*.safetensors")):
        header = path.read_bytes()[:20_000]
        assert b"seconds" not in header and str(built.folder).encode() not in header


# ---------------------------------------------------------------- settings


@pytest.fixture(scope="module")
def others(built: Built) -> dict[str, Params]:
    """Each leaf of params.yaml -> the settings with another value there, the first that is not refused."""
    raw = tiny.settings()
    whole(raw)
    found = {}
    for leaf in tiny.leaves(raw):
        for value in tiny.others(leaf, raw):
            with suppress(Refusal):
                params = Params(tiny.changed(raw, leaf, value))
                params.check()
                found[".".join(leaf)] = params
                break
    return found


@pytest.fixture(scope="module")
def readers(built: Built, others: dict[str, Params]) -> dict[str, set[str]]:
    """Leaf -> the stages that asked for something that another value of it changes."""
    asked = set().union(*built.asked.values())
    before, found = answers(Params(read_json(built.folder / "params.yaml")), asked), {}
    for leaf, params in others.items():
        after = answers(params, asked)
        differ = {question for question in asked if after[question] != before[question]}
        found[leaf] = {name for name in STAGES if built.asked[name] & differ}
    return found


@pytest.fixture(scope="module")
def stale(built: Built, others: dict[str, Params]) -> dict[str, set[str]]:
    """Leaf -> the files of resolved settings that another value of it changes."""
    before = dict(settings.resolved(Params(read_json(built.folder / "params.yaml")), "demo"))
    return {
        leaf: {str(built.folder / path) for path, value in settings.resolved(params, "demo") if before[path] != value}
        for leaf, params in others.items()
    }


def answers(params: Params, asked: set[Question]) -> dict[Question, Any]:
    found = {}
    for name, arguments in asked:
        attribute = getattr(params, name)
        found[name, arguments] = attribute(*arguments) if callable(attribute) else attribute
    return found


def files(stage: PipelineStage) -> set[str]:
    return {dependency.fs_path for dependency in stage.deps}


@pytest.mark.parametrize("name", STAGES[1:])
def test_dvc_yaml_tracks_what_a_stage_reads(built, readers, stale, name):
    """Itself, or through a stage that it depends on, which then writes something else."""
    upstream = nx.descendants(built.graph, built.stages[name])  # DVC's edges lead from a stage to what it needs
    needed = set().union(*map(files, (built.stages[name], *upstream)))
    read = [leaf for leaf, names in readers.items() if name in names]
    assert [leaf for leaf in read if not stale[leaf] & needed] == []


@pytest.mark.parametrize("name", STAGES)
def test_dvc_yaml_tracks_nothing_that_is_not_read(built, readers, stale, name):
    """Else an edit that changes nothing would run it again. Reports, which are cheap, may read a part of a file."""
    resolved = {path for path in files(built.stages[name]) if path in set().union(*stale.values())}
    read = {path: [name in names for leaf, names in readers.items() if path in stale[leaf]] for path in resolved}
    enough = any if name.startswith("reports/") else all
    assert [path for path, found in read.items() if not enough(found)] == []


@pytest.mark.parametrize("name", [name for name in STAGES[1:] if not name.startswith("reports/")])
def test_a_stage_looks_whether_the_settings_that_it_depends_on_are_those_that_it_uses(built, name):
    """Itself, all of them, or through the stage that made its encoder."""
    profile, *keys = built.agreed[name]
    folder, stage = built.folder / paths.settings("demo"), built.stages[name]
    own, all_of_them = (
        {path for path in set().union(*map(files, stages)) if Path(path).is_relative_to(folder)}
        for stages in ([stage], [stage, *nx.descendants(built.graph, stage)])
    )
    assert own <= {str(built.folder / paths.settings(profile, *key)) for key in keys} <= all_of_them


def test_settings_are_resolved_again_after_any_edit(built, others):
    assert STAGES[0] == "settings"
    keys = {key for dependency in built.stages["settings"].params for key in dependency.params}
    read = others.keys() - {"profile"}
    assert [leaf for leaf in read if not any(f"{leaf}.".startswith(f"{key}.") for key in keys)] == []


# ---------------------------------------------------------------- content


def test_an_encoder_tells_where_it_comes_from(here):
    for run, method, branch in (("amoc", "amoc", "adv"), ("moco", "amoc", "clean"), ("acl", "acl", "adv")):
        _, about = load_encoder(paths.encoder("demo", "cifar10", run))
        params = Params.load()
        assert about["settings"] == params.pretraining("demo", "cifar10", run).plain()
        assert about["engine"] == params.engine("demo").plain()
        assert about["fingerprints"] == {method: digest(paths.fingerprint(method))}
        assert (about["branch"], about["status"], about["epoch"], about["source"]) == (branch, "ok", 2, "digits")


def test_a_network_and_its_twin_tell_where_they_come_from(here):
    for twin in (False, True):
        _, about = load_classifier(paths.classifier("demo", "cifar10", "standard", twin))
        assert about["settings"] == Params.load().classifying("demo", "cifar10", "standard").plain()
        assert about["fingerprints"] == {"classify": digest(paths.fingerprint("classify"))}
        assert about["branch"] == "clean" and about["status"] == "ok"
        assert about["epoch"] in (1, 2) if twin else about["epoch"] == 2


def test_the_twin_is_the_best_epoch_and_not_the_last(tmp_path, monkeypatch):
    def trained(network: Classifier, *given: object, **options: object) -> Trained:
        best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        best["head.bias"] += 7
        return Trained([{"epoch": 1}, {"epoch": 2}], 1, best, "ok")

    monkeypatch.chdir(tiny.project(tmp_path))
    monkeypatch.setattr(classify, "train_classifier", trained)
    classify.main("demo", "cifar10", "standard")
    last, twin = (load_classifier(paths.classifier("demo", "cifar10", "standard", twin)) for twin in (False, True))
    assert torch.equal(twin[0].head.bias, last[0].head.bias + 7)
    assert (last[1]["epoch"], twin[1]["epoch"]) == (2, 1)


def test_a_finetuned_network_tells_of_its_encoder(here):
    _, encoder = load_encoder(paths.encoder("demo", "cifar10", "amoc"))
    _, about = load_classifier(paths.classifier("demo", "cifar10", "amoc_finetuned"))
    assert about["encoder"] == encoder and about["branch"] == encoder["branch"] == "adv"
    assert about["fingerprints"].keys() == {"amoc", "classify"}


def test_heads_tell_their_recipes(here):
    heads, about = load_heads(paths.heads("demo", "cifar10", "amoc"))
    params = Params.load()
    assert list(heads) == ["adev", "stdev"]
    assert about["recipes"] == {name: params.recipe("demo", name).plain() for name in heads}


def test_a_curve_has_a_row_for_each_epoch(here):
    for stage, names, column in (("pretrain", ("amoc", "moco"), "loss_variant"), ("pretrain", ("acl",), "loss_adv"),
                                 ("classify", ("standard", "amoc_finetuned"), "held_out_pgd")):  # fmt: skip
        for name in names:
            rows = list(csv.DictReader(paths.curve(stage, "demo", "cifar10", name).read_text().splitlines()))
            assert [row["epoch"] for row in rows] == ["1", "2"]
            assert all(np.isfinite(float(row[key])) for row in rows for key in ("lr", "loss", column))


@pytest.mark.parametrize(("kind", "name", "measured", "attacks"), RESULTS)
def test_a_result_can_be_read_and_is_complete(here, kind, name, measured, attacks):
    path = paths.result(kind, "demo", "cifar10", name)
    record, params = checked.read(records.Record, path), Params.load()
    assert (record.kind, record.profile, record.dataset, record.name) == (kind, "demo", "cifar10", name)
    assert (record.source, record.train_images, record.test_images, record.status) == ("digits", 64, 24, "ok")
    network = name in params.networks("cifar10")
    settings = params.classifying if network else params.pretraining
    content = read_json(path)
    assert content["settings"] == settings("demo", "cifar10", name).plain()
    assert content["evaluate"] == params.evaluate.plain()
    read = load_classifier if network else load_encoder
    about = read((paths.classifier if network else paths.encoder)("demo", "cifar10", name))[1]
    assert content["engine"] == about["engine"] == params.engine("demo", "cifar10", name).plain()
    assert content["epoch"] == about["epoch"]
    tuned = about.get("encoder")
    assert content["encoder"] == (tuned and {key: tuned[key] for key in ("settings", "engine", "epoch")})
    twin = load_classifier(paths.classifier("demo", "cifar10", name, twin=True))[1]["epoch"] if network else None
    assert record.early_stopped_epoch == twin
    probes = {"evaluate": ["stdev", "adev"], "attack": [] if network else ["adev"]}[kind]
    assert content["recipes"] == {probe: params.recipe("demo", probe).plain() for probe in probes}
    others = {"standard": ["classify"], "acl": ["acl", "classify"], "amoc_half": ["amoc_cheaper", "classify"]}
    trained = others.get(name, ["amoc", "classify"])
    assert record.fingerprints == {key: digest(paths.fingerprint(key)) for key in (*trained, "evaluate")}
    assert sorted(record.measurements) == sorted(measured)
    for outcomes in content["measurements"].values():
        assert set(attacks) <= outcomes.keys()
        for attack_name, outcome in outcomes.items():
            expected = None if attack_name == "clean" else params.attack("demo", attack_name).plain()
            assert outcome["attack"] == expected
            assert outcome["n"] == ((expected or {}).get("images") or 24)


def test_the_peers_protocols_have_a_result_and_files_of_their_own(here):
    params, named = Params.load(), paths.by("amoc", "peers")
    path = paths.result("evaluate", "demo", "cifar10", named)
    record = records.find(params, "evaluate", "demo", "cifar10", "amoc", Path("results"), "peers")
    content = read_json(path)
    assert path == records.path("evaluate", "demo", "cifar10", "amoc", Path("results"), "peers")
    assert (record.name, record.protocols, record.status) == ("amoc", "peers", "ok")
    assert "protocols" not in read_json(paths.result("evaluate", "demo", "cifar10", "amoc"))
    recipes, suite = params.protocols("demo", "peers")
    assert content["recipes"] == {name: recipe.plain() for name, recipe in recipes.items()}
    assert sorted(record.measurements) == sorted(recipes) == ["aff", "alf", "slf"]
    for outcomes in content["measurements"].values():
        assert {name: outcome["attack"] for name, outcome in outcomes.items()} == {
            "clean": None, **{name: attack.plain() for name, attack in suite.items()}
        }  # fmt: skip
    heads, about = load_heads(paths.heads("demo", "cifar10", named))
    assert list(heads) == ["alf", "slf"] == list(about["recipes"])
    linear, _ = load_heads(paths.heads("demo", "cifar10", "amoc"))
    assert torch.equal(heads["slf"].weight, linear["stdev"].weight)  # the same protocol by another name


@pytest.mark.parametrize(("source", "on", "classes"), [("cifar10", "cifar100", 20), ("cifar100", "cifar10", 10)])
def test_an_encoder_on_another_data_set_says_where_it_comes_from(here, source, on, classes):
    named = paths.by("amoc", "probes", source)
    path, own = (paths.result("evaluate", "demo", on, name) for name in (named, "amoc"))
    assert path == records.path("evaluate", "demo", on, "amoc", Path("results"), pretrained_on=source)
    record = records.find(Params.load(), "evaluate", "demo", on, "amoc", Path("results"), pretrained_on=source)
    assert (record.dataset, record.pretrained_on, record.name, record.status) == (on, source, "amoc", "ok")
    content, params = read_json(path), Params.load()
    assert "pretrained_on" not in read_json(own)
    assert content["settings"] == params.pretraining("demo", source, "amoc").plain()
    assert content["recipes"] == read_json(own)["recipes"] and content["train_images"] == 64
    encoder, _ = load_encoder(paths.encoder("demo", source, "amoc"))
    heads, about = load_heads(paths.heads("demo", on, named))
    assert (about["dataset"], about["pretrained_on"]) == (on, source)
    images = datasets.read(paths.data("demo", on)).test
    assert images.labels.max() >= classes / 2
    for name, head in heads.items():  # what was measured is the encoder's file, under its branch, on those images
        assert len(head.weight) == classes
        network = Classifier(encoder, head, "adv").eval()
        right = network(to_float(torch.from_numpy(images.pixels))).argmax(dim=1).numpy() == images.labels
        assert right.tolist() == record.measurements[name]["clean"].images.tolist()


def test_an_encoder_on_its_own_data_set_is_not_transferred(here, tmp_path):
    evaluate.main("demo", "cifar10", "amoc", on="cifar10", output=tmp_path)
    written = tiny.reproducible(tmp_path)
    assert sorted(written) == ["models/demo/cifar10/amoc.heads.safetensors", "results/demo/cifar10/evaluate/amoc.json"]
    assert all((here / name).read_bytes() == content for name, content in written.items())


def test_a_protocol_of_the_whole_network_leaves_the_encoder_as_it_was(built, tmp_path, monkeypatch):
    """Wherever it stands among the protocols; what it made is kept as it was measured."""
    shutil.copytree(built.folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    raw = tiny.settings()
    raw["protocols"]["peers"] = ["aff", "slf"]
    Path("params.yaml").write_text(json.dumps(raw))
    settings.main()
    encoder = paths.encoder("demo", "cifar10", "amoc")
    result, kept = paths.result("evaluate", "demo", "cifar10", "amoc.peers"), encoder.read_bytes()
    before = checked.read(records.Record, result).measurements
    monkeypatch.setattr(evaluate, "processes", lambda device: 1)  # as on a GPU: several have an encoder each
    evaluate.main("demo", "cifar10", "amoc", protocols="peers")
    assert encoder.read_bytes() == kept
    after = checked.read(records.Record, result).measurements
    assert after == {name: before[name] for name in ("aff", "slf")}
    network, about = load_classifier(paths.classifier("demo", "cifar10", "amoc.peers.aff"))
    start, _ = load_encoder(encoder)
    moved = zip(network.encoder.parameters(), start.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in moved)
    assert about["branch"] == about["encoder"]["branch"] == "adv"
    assert about["recipe"] == Params.load().recipe("demo", "aff").plain()
    images = datasets.read(paths.data("demo", "cifar10")).test
    right = network(to_float(torch.from_numpy(images.pixels))).argmax(dim=1).numpy() == images.labels
    assert right.tolist() == after["aff"]["clean"].images.tolist()


def test_a_twin_is_attacked_by_what_both_suites_have(here):
    attacked = checked.read(records.Record, paths.result("attack", "demo", "cifar10", "standard")).measurements
    assert set(attacked["last"]) == {"clean", *Params.load().suite("demo", "table5")}
    assert set(attacked["early_stopped"]) == {"clean", *Params.load().suite("demo", "early_stopped")}
    attack.main("demo", "cifar10", "standard", suite="probe", output=Path("briefly"))
    file = "briefly" / paths.result("attack", "demo", "cifar10", "standard")
    briefly = checked.read(records.Record, file).measurements
    assert {name: sorted(outcomes) for name, outcomes in briefly.items()} == {
        "last": ["clean", "linf_pgd20"],
        "early_stopped": ["clean", "linf_pgd20"],
    }
    assert briefly["last"]["linf_pgd20"] == attacked["last"]["linf_pgd20"]


def test_a_network_without_defence_is_held_against_its_attacks(here):
    """The tiny attacks of these tests are weak, and the result says so; of a defended network it does not."""
    undefended = read_json(paths.result("attack", "demo", "cifar10", "standard"))
    assert "leaves more than half of an undefended model's images" in undefended["note"]
    defended = read_json(paths.result("attack", "demo", "cifar10", "amoc_finetuned"))
    assert "undefended" not in defended["note"]


def test_a_probe_is_attacked_as_it_was_evaluated(here):
    """The encoder and the head from files give what they gave in memory: stages.evaluate and stages.attack agree."""
    evaluated = checked.read(records.Record, paths.result("evaluate", "demo", "cifar10", "amoc")).measurements["adev"]
    attacked = checked.read(records.Record, paths.result("attack", "demo", "cifar10", "amoc")).measurements["last"]
    assert attacked["clean"] == evaluated["clean"] and attacked["linf_pgd20"] == evaluated["linf_pgd20"]


def test_clean_images_are_counted_as_they_were_evaluated(here):
    """What is counted on corrupted images has the same head, branch and network as everything else."""
    for run, heads in (("amoc", ["adev", "stdev"]), ("acl", ["adev", "stdev"]), ("standard", ["last"])):
        found = corruption_records.find(Params.load(), "demo", "cifar10", run, Path("results"))
        assert sorted(found.right) == heads and found.images == "regenerated"
        kind = "attack" if run == "standard" else "evaluate"
        measured = checked.read(records.Record, paths.result(kind, "demo", "cifar10", run)).measurements
        for head in heads:
            assert found.right[head]["clean"] == [measured[head]["clean"].right]
        assert found.fingerprints["corrupt"] == digest(paths.fingerprint("corrupt"))


def test_reports_show_what_was_measured(here):
    result = checked.read(records.Record, paths.result("attack", "demo", "cifar10", "standard"))
    metrics = read_json(Path("reports/table5/demo/metrics.json"))
    assert metrics["standard"]["linf_pgd20"] == pytest.approx(result.measurements["last"]["linf_pgd20"].exact, abs=1e-4)
    assert {"standard", "standard_early_stopped", "amoc", "amoc_finetuned"} <= metrics.keys()
    encoder = checked.read(records.Record, paths.result("evaluate", "demo", "cifar10", "amoc"))
    shown = read_json(Path("reports/table3/demo/metrics.json"))
    assert shown["amoc"]["adev_pgd20"] == pytest.approx(encoder.outcome("adev", "linf_pgd20").exact, abs=1e-4)
    assert read_json(Path("reports/table8/demo/metrics.json"))["aca"] == shown["amoc"]


# ---------------------------------------------------------------- other ways to run them


def test_a_trial_writes_elsewhere_and_trains_less(here, tmp_path):
    before = tiny.contents(here)
    pretrain.main("demo", "cifar10", "amoc", output=tmp_path, epochs=1, steps_per_epoch=2)
    assert tiny.contents(here) == before
    _, about = load_encoder(tmp_path / paths.encoder("demo", "cifar10", "amoc"))
    assert about["epoch"] == 1
    assert read_json(tmp_path / paths.clock("pretrain", "demo", "cifar10", "amoc"))["counts"]["images"] == 2 * 16


def test_a_probe_whose_training_diverged_says_so_whatever_it_still_gets_right(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished)
    monkeypatch.setattr(evaluate, "train_classifier", lambda *given, **options: Trained([], None, None, "nan"))
    evaluate.main("demo", "cifar10", "amoc", output=tmp_path)
    record = checked.read(records.Record, tmp_path / paths.result("evaluate", "demo", "cifar10", "amoc"))
    assert record.status == "nan" and "adev: training ceased to be finite" in record.note
    assert record.measurements["adev"]["clean"].n == 24


def test_of_several_ends_the_worst_is_reported():
    assert worst("ok", "nan", "collapsed") == worst("collapsed", "nan") == "nan"
    assert worst("ok", "collapsed", "ok") == "collapsed" and worst("ok", "ok") == "ok"


def test_a_run_that_diverged_is_reported_and_stops_nothing(tmp_path, monkeypatch, _short):
    def diverge(raw: tiny.Raw) -> None:
        raw["runs"]["cifar10"] = {"amoc": {"method": "amoc", "optimizer": {"lr": 1e30}}}
        raw["classifiers"]["cifar10"] = {"standard": {"recipe": "standard", "encoder": None, "seed": 1}}
        raw["profiles"]["demo"]["recipes"]["standard"]["lr"] = 1e30

    monkeypatch.chdir(tiny.project(tmp_path / "diverged", diverge))
    for command in ("pretrain demo cifar10 amoc", "evaluate demo cifar10 amoc", "attack demo cifar10 amoc",
                    "classify demo cifar10 standard", "attack demo cifar10 standard",
                    "report table5 demo", "report floors demo"):  # fmt: skip
        call(f"python -m stages.{command}")
    for stage, name, load, path in (
        ("pretrain", "amoc", load_encoder, paths.encoder), ("classify", "standard", load_classifier, paths.classifier)
    ):  # fmt: skip
        _, about = load(path("demo", "cifar10", name))
        clock = read_json(paths.clock(stage, "demo", "cifar10", name))
        assert clock["epochs"] == about["epoch"] + 1  # with the unfinished one, whose seconds are in the sum
    for kind, name in (("evaluate", "amoc"), ("attack", "amoc"), ("attack", "standard")):
        record = checked.read(records.Record, paths.result(kind, "demo", "cifar10", name))
        assert record.status == "nan" and "NaN" in record.note
        assert all(outcomes == {} for outcomes in record.measurements.values())
    assert "nan" in Path("reports/table5/demo/table5.md").read_text()
    assert tiny.contents(Path(".checkpoints")) == {}
