"""Adopting weights of others, and measuring them with the commands that measure our own."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from amoc.engine.files import digest, read_json
from amoc.models.files import load_encoder, load_heads
from amoc.models.norm import branch
from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting.evidence import checked, records
from stages import adopt, attack, classify, command, evaluate, paths, pretrain, pretrained
from tests.models import checkpoints
from tests.stages import tiny

OPTIONS = {"epochs": 1000, "batch_size": 512}


def resnet18(raw: tiny.Raw) -> None:
    """The architecture that others have, as narrow as can be."""
    raw["profiles"]["demo"]["model"] = {"architecture": "resnet18", "width": 2}
    raw["suites"]["table5"] = ["linf_pgd20"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project with two checkpoints of others, one of them adopted and measured, and an encoder of its own."""
    folder = tiny.project(tmp_path_factory.mktemp("finished"), resnet18)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("acl", "plain"):
            torch.save({"epoch": 1000, "state_dict": checkpoints.state(name, 2)}, f"{name}.pt")
        pretrain.main("demo", "cifar10", "amoc")
        adopt.main("demo", "cifar10", "others", Path("acl.pt"), **OPTIONS)
        evaluate.main("demo", "cifar10", "others")
        attack.main("demo", "cifar10", "others")
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "project"))
    for variable in ("DVC_ROOT", "AMOC_CHECKPOINTS"):
        monkeypatch.delenv(variable, raising=False)
    return Path.cwd()


# ---------------------------------------------------------------- what is written


def test_an_adopted_encoder_tells_where_it_comes_from(project):
    encoder, about = load_encoder(paths.encoder("demo", "cifar10", "others"))
    assert about == {
        "kind": "encoder", "profile": "demo", "dataset": "cifar10", "run": "others", "source": "digits",
        "branch": "adv", "architecture": "resnet18", "width": 2, "status": "ok", "epoch": 1000, "fingerprints": {},
        "mean": pytest.approx(checkpoints.IMAGENET[0]), "std": pytest.approx(checkpoints.IMAGENET[1]),
        "settings": {
            "method": "adopted", "layout": "acl", "md5": digest(Path("acl.pt")), "branch": "adv",
            "epochs": 1000, "batch_size": 512, "seed": Params.load().evaluate.seed,
            "model": {"architecture": "resnet18", "width": 2},
        },
    }  # fmt: skip
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    with branch(encoder, "adv"):
        expected = checkpoints.features(checkpoints.state("acl", 2), "acl", "adv", images)
        torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=1e-5)


def test_the_same_file_gives_the_same_bytes(project):
    adopt.main("demo", "cifar10", "others", Path("acl.pt"), output=Path("again"), **OPTIONS)
    path = paths.encoder("demo", "cifar10", "others")
    assert ("again" / path).read_bytes() == path.read_bytes()


def test_options_come_before_what_the_layout_says(project, monkeypatch, capsys):
    words = "demo cifar10 mine plain.pt --epochs 7 --batch-size 3 --layout plain --branch adv --seed 0"
    numbers = "--mean 0.25 0 0.5 --std 1 0.5 0.25"
    monkeypatch.setattr(sys, "argv", ["adopt", *words.split(), *numbers.split()])
    with pytest.raises(SystemExit) as ending:
        command.run(adopt.main)
    assert ending.value.code == 0
    _, about = load_encoder(paths.encoder("demo", "cifar10", "mine"))
    assert (about["mean"], about["std"], about["branch"]) == ([0.25, 0, 0.5], [1, 0.5, 0.25], "adv")
    assert about["settings"]["seed"] == 0 and about["settings"]["epochs"] == about["epoch"] == 7
    assert "mine.safetensors: layout plain, adv norms, normalises with mean [0.25, 0.0, 0.5]" in capsys.readouterr().out


# ---------------------------------------------------------------- how it is measured


def test_it_is_evaluated_and_attacked_as_our_own_are(project):
    _, about = load_encoder(paths.encoder("demo", "cifar10", "others"))
    files = [paths.result(kind, "demo", "cifar10", "others") for kind in ("evaluate", "attack")]
    evaluated, attacked = (checked.read(records.Record, file) for file in files)
    for record, file in zip((evaluated, attacked), files, strict=True):
        assert read_json(file)["settings"] == about["settings"] and record.status == "ok"
        assert record.fingerprints == {key: digest(paths.fingerprint(key)) for key in ("classify", "evaluate")}
    assert sorted(evaluated.measurements) == sorted(load_heads(paths.heads("demo", "cifar10", "others"))[0])
    assert attacked.measurements["last"]["linf_pgd20"] == evaluated.measurements["adev"]["linf_pgd20"]


def test_heads_are_trained_with_its_seed(project):
    path = paths.heads("demo", "cifar10", "others")
    heads = {}
    for seed in (Params.load().evaluate.seed, 7):
        adopt.main("demo", "cifar10", "others", Path("acl.pt"), seed=seed, **OPTIONS)
        evaluate.main("demo", "cifar10", "others", output=Path("again"))
        heads[seed] = ("again" / path).read_bytes()
    assert path.read_bytes() in heads.values() and len(set(heads.values())) == 2


# ---------------------------------------------------------------- what is refused


@pytest.fixture
def refused(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """Adopting with these words must be refused in a sentence that matches, and must leave every file as it was."""

    def refused(words: str, sentence: str) -> None:
        monkeypatch.setattr(sys, "argv", ["adopt", *words.split(), "--epochs", "1", "--batch-size", "1"])
        before = tiny.contents(project)
        with pytest.raises(SystemExit) as ending:
            command.run(adopt.main)
        said = capsys.readouterr().err
        assert ending.value.code == 2
        assert re.fullmatch(rf"adopt: [^\n]*{sentence}[^\n]*\n", said), said
        assert tiny.contents(project) == before

    return refused


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("demo cifar10 amoc acl.pt", "amoc is a key of runs.cifar10 in params.yaml: choose another name"),
        ("demo cifar10 standard acl.pt", "standard is a key of classifiers.cifar10 in params.yaml"),
        ("demo cifar10 Theirs/1 acl.pt", "the name is 'Theirs/1', allowed is a letter a-z"),
        ("demo cifar99 theirs acl.pt", "runs has no cifar99"),
        ("demo cifar10 theirs nothing.pt", "nothing.pt is missing"),
        ("demo cifar10 theirs params.yaml", "params.yaml is damaged, or not a checkpoint"),
        ("demo cifar10 theirs acl.pt --layout amoc", "does not have the keys of the layout amoc"),
        ("demo cifar10 theirs acl.pt --mean 0 0 0", "--mean and --std belong together"),
        ("demo cifar10 theirs acl.pt --std 1 1 1", "--mean and --std belong together"),
        ("demo cifar10 theirs acl.pt --mean 0 0 0 --std 1 0 1", "cannot be normalised with mean"),
        ("demo cifar10 theirs plain.pt", "the layout plain does not say how images were normalised"),
        ("paper cifar10 theirs acl.pt", r"conv1.weight has the shape \[2, 3, 3, 3\], expected is \[64, 3, 3, 3\]"),
    ],
)
def test_names_and_files(refused, words, sentence):
    refused(words, sentence)


def test_an_adopted_encoder_does_not_pass_for_a_run(project):
    """Nor does the encoder of a run that params.yaml does not have pass for an adopted one."""
    own, other = (paths.encoder("demo", "cifar10", name) for name in ("amoc", "others"))
    unknown = {evaluate.main: r"runs\.cifar10 has no nobody", attack.main: "no network or encoder is called nobody"}
    for measure, sentence in unknown.items():
        shutil.copy(own, paths.encoder("demo", "cifar10", "former"))
        with pytest.raises(Refusal, match=r"former.* holds an encoder of the method amoc, but former is not a run of"):
            measure("demo", "cifar10", "former")
        with pytest.raises(Refusal, match=sentence):
            measure("demo", "cifar10", "nobody")
    shutil.copy(other, own)
    for stage, name in ((evaluate, "amoc"), (attack, "amoc"), (classify, "amoc_finetuned")):
        with pytest.raises(Refusal, match=r"amoc.* holds an encoder of the method adopted, but amoc is a run of amoc"):
            stage.main("demo", "cifar10", name)


def test_a_data_set_without_runs_of_its_own(project):
    raw = tiny.settings()
    resnet18(raw)
    raw["runs"]["cifar100"] = raw["classifiers"]["cifar100"] = {}
    Path("params.yaml").write_text(json.dumps(raw))
    torch.save(checkpoints.state("amoc", 2), "paras.pt")
    adopt.main("demo", "cifar100", "official", Path("paras.pt"), **OPTIONS)
    encoder, about, _ = pretrained.load(Params.load(), "demo", "cifar100", "official")
    assert about["mean"] == pytest.approx([0.5071, 0.4867, 0.4408]) and encoder.width == 2


def test_an_adopted_encoder_of_another_width_than_the_profile(project):
    raw = tiny.settings()
    resnet18(raw)
    raw["profiles"]["demo"]["model"]["width"] = 4
    Path("params.yaml").write_text(json.dumps(raw))
    for measure in (evaluate.main, attack.main):
        with pytest.raises(Refusal, match=r"others.* holds an encoder with width 2, but the settings say 4"):
            measure("demo", "cifar10", "others")
