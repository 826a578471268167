"""What a person can get wrong: exit status 2, one sentence that names the place and what is allowed, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from amoc import datasets
from amoc.engine.interruption import Interrupted, Stop
from amoc.models.files import (
    load_classifier,
    load_encoder,
    load_heads,
    save_classifier,
    save_encoder,
    save_heads,
)
from amoc.models.norm import same
from amoc.params import Params
from stages import attack, classify, command, evaluate, paths, pretrain, pretrained
from tests.stages import tiny

PRETRAIN, EVALUATE = "pretrain demo cifar10 amoc", "evaluate demo cifar10 amoc"
CLASSIFY, ATTACK = "classify demo cifar10 standard", "attack demo cifar10 standard"
ENCODER = paths.encoder("demo", "cifar10", "amoc")
HEADS = paths.heads("demo", "cifar10", "amoc")
NETWORK = paths.classifier("demo", "cifar10", "standard")
IMAGES = paths.data("demo", "cifar10")


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "project"))
    for variable in ("DVC_ROOT", "AMOC_CHECKPOINTS", datasets.FOLDER_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    return Path.cwd()


@pytest.fixture
def refused(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """Run a command that must be refused in a sentence that matches, and must leave every file as it was."""

    def refused(words: str, sentence: str) -> None:
        stage, *arguments = words.split()
        monkeypatch.setattr(sys, "argv", [stage, *arguments])
        before = tiny.contents(project)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            command.run(import_module(f"stages.{stage}").main)
        said = capsys.readouterr().err
        assert ending.value.code == 2
        assert re.fullmatch(rf"{stage}: [^\n]*{sentence}[^\n]*\n", said), said
        assert tiny.contents(project) == before

    return refused


# ---------------------------------------------------------------- params.yaml


def put(*path: str, value: object) -> Callable[[], None]:
    """Set a key of params.yaml."""

    def edit() -> None:
        file = Path("params.yaml")
        raw = json.loads(file.read_text())
        place = raw
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        file.write_text(json.dumps(raw))

    return edit


def write(path: str, content: str) -> Callable[[], object]:
    def edit() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)

    return edit


def demo(section: str, key: str, value: object) -> Callable[[], None]:
    """Set a key of the profile."""
    return put("profiles", "demo", section, key, value=value)


def run(key: str, value: object) -> Callable[[], None]:
    """Set a key of the encoder."""
    return put("runs", "cifar10", "amoc", key, value=value)


SETTINGS = {
    "unknown key": (run("temprature", 0.2), "unknown key runs.cifar10.amoc.temprature.*temperature"),
    "unknown section": (put("pretraining", value={}), "unknown key pretraining.*pretrain"),
    "wrong type": (put("recipes", "adev", "epochs", value="many"), 'recipes.adev.epochs is "many".*whole number'),
    "fraction": (put("evaluate", "batch_size", value=8.5), "evaluate.batch_size is 8.5.*whole number"),
    "null": (put("pretrain", "amoc", "lambda", value=None), "pretrain.amoc.lambda is null.*0.*1"),
    "epsilon": (demo("epsilon", "linf", 8), "profiles.demo.epsilon.linf is 8.*up to 1, such as 8/255"),
    "bank": (put("pretrain", "amoc", "bank_length", value=128), "bank_length 128 must be larger than batch_size 256"),
    "architecture": (demo("model", "architecture", "resnet18q"), "resnet18q.*resnet18.*resnet50"),
    "all held out": (demo("early_stopping", "images", 64), "demo.early_stopping.images is 64, allowed is at most 63"),
    "method": (run("method", "simclr"), 'runs.cifar10.amoc.method is "simclr".*amoc'),
    "variant": (run("variant", "xyz"), 'runs.cifar10.amoc.variant is "xyz".*aca'),
    "form": (put("runs", "cifar10", "acl", "form", value="s2s"), 'runs.cifar10.acl.form is "s2s".*ds, a2s or a2a'),
    "branch": (put("pretrain", "amoc", "branch", value="both"), 'pretrain.amoc.branch is "both".*auto, clean or adv'),
    "probe": (put("attacked_probe", value="finetune"), 'attacked_probe is "finetune".*stdev, adev'),
    "encoder": (put("classifiers", "cifar10", "standard", "encoder", value="byol"), 'encoder is "byol".*moco, acl'),
    "not YAML": (write("params.yaml", "profile: ]"), "params.yaml line 1 is not valid YAML"),
    "no file": (lambda: Path("params.yaml").unlink(), "params.yaml is missing.*folder"),
}


@pytest.mark.parametrize(("edit", "sentence"), SETTINGS.values(), ids=SETTINGS)
def test_settings(refused, edit, sentence):
    edit()
    refused(PRETRAIN, sentence)  # long before the stage that reads it


def test_a_radius_beyond_one_is_legal_where_it_is_no_pixel(project):
    put("profiles", "demo", "epsilon", "l1", value=12)()
    put("profiles", "demo", "epsilon", "l2", value=1.5)()
    assert Params.load().epsilon("demo").l1 == 12


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("pretrain demo cifar10 amok", "runs.cifar10 has no amok.*amoc, moco"),
        ("pretrain demo cifar99 amoc", "runs has no cifar99.*cifar10"),
        ("data demo cifar99", "the data set is 'cifar99', allowed is one of cifar10, cifar100"),
        ("classify demo cifar10 amoc", "classifiers.cifar10 has no amoc.*standard, amoc_finetuned"),
        ("attack demo cifar10 amok", r"no network or encoder is called amok \(amoc\?\): classifiers.cifar10 has"),
        ("embed demo cifar10 amok", "runs.cifar10 has no amok"),
        ("corrupt demo cifar10 standart", r"called standart \(standard\?\): .*; runs.cifar10 has amoc"),
        ("corrupt demo cifar10 x", "no network or encoder is called x: classifiers.cifar10 has standard"),
        (f"{ATTACK} --suite table9", "suites.* table9.*table5"),
        (f"{PRETRAIN} --epochs 1", "give --output a folder"),
        (f"{PRETRAIN} --steps-per-epoch 1", "give --output a folder"),
        (f"{PRETRAIN} --epochs 1 --output .", "give --output a folder, not the project's"),
        (f"{PRETRAIN} --epochs 1 --output models/../../project", "give --output a folder, not the project's"),
        (f"{PRETRAIN} --epochs 3 --output elsewhere", "--epochs is 3, allowed is at most 2, as amoc has in .* demo"),
    ],
)
def test_names_and_options(refused, words, sentence):
    refused(words, sentence)


def test_a_batch_of_more_images_than_there_are(refused):
    put("pretrain", "amoc", "batch_size", value=65 * 16)()  # the profile takes a sixteenth
    refused(PRETRAIN, "amoc has a batch_size of 65 in profile demo, allowed is at most 64, as many as data/demo/.* has")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("perplexity", 24, "embedding.perplexity is 24, allowed is less than the 24 images drawn"),
        ("neighbours", 65, "embedding.neighbours is 65, allowed is at most 64, the training images"),
    ],
)
def test_a_plane_of_too_few_images(refused, key, value, sentence):
    put("embedding", key, value=value)()
    refused("embed demo cifar10 amoc", sentence)


def test_a_gpu_that_is_not_there(refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    put("profiles", "demo", "engine", "device", value="cuda")()
    refused(PRETRAIN, "engine.device is cuda.*auto or cpu")


# ---------------------------------------------------------------- files


def remove(path: Path) -> Callable[[], None]:
    return lambda: path.unlink()


def truncate(path: Path) -> Callable[[], None]:
    return lambda: os.truncate(path, path.stat().st_size - 100)


def flip(path: Path) -> Callable[[], object]:
    """One bit, in the last byte."""

    def edit() -> None:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    return edit


def replace(path: Path, other: Path) -> Callable[[], object]:
    return lambda: shutil.copy(other, path)


def told(**changes: object) -> Callable[[], None]:
    """The encoder's file with something else said about it, or about its settings."""

    def edit() -> None:
        encoder, about = load_encoder(ENCODER)
        settings = {key: changes.get(key, value) for key, value in about["settings"].items()}
        save_encoder(ENCODER, encoder, {**about, **changes, "settings": settings})

    return edit


def told_by_heads(**changes: object) -> Callable[[], None]:
    return lambda: save_heads(HEADS, (loaded := load_heads(HEADS))[0], {**loaded[1], **changes})


def trial(*words: str) -> Callable[[], object]:
    """A shortened run's encoder in the place of the real one."""

    def edit() -> None:
        options = {word.partition("=")[0]: int(word.partition("=")[2]) for word in words}
        pretrain.main("demo", "cifar10", "amoc", output=Path("trial"), **options)
        shutil.copy("trial" / ENCODER, ENCODER)

    return edit


TWIN = paths.classifier("demo", "cifar10", "standard", twin=True)
FINETUNE, PROBED = "classify demo cifar10 amoc_finetuned", "attack demo cifar10 amoc"
EMBED = "embed demo cifar10 amoc"
CORRUPT, CORRUPT_PROBED = "corrupt demo cifar10 standard", "corrupt demo cifar10 amoc"
TABLE, FLOORS = "report table5 demo", "report floors demo"
OTHER_PROBES = (put("probes", value=["robev", "stdev"]), put("attacked_probe", value="robev"))

FILES = {
    "images missing": (remove(IMAGES), PRETRAIN, f"{IMAGES} is missing.*stages.data"),
    "images truncated": (truncate(IMAGES), CLASSIFY, f"{IMAGES} is truncated"),
    "images altered": (flip(IMAGES), EVALUATE, f"{IMAGES} was altered"),
    "no images": (replace(IMAGES, ENCODER), ATTACK, f"{IMAGES} holds no data set"),
    "too many images": (demo("data", "train", 5000), "data demo cifar10", "data.train is 5000.*1437"),
    "fingerprint": (remove(paths.fingerprint("amoc")), PRETRAIN, "amoc.json is missing.*stages.fingerprint amoc"),
    "fingerprint of attacks": (remove(paths.fingerprint("evaluate")), ATTACK, "fingerprints/evaluate.json is missing"),
    "encoder missing": (remove(ENCODER), EVALUATE, f"{ENCODER} is missing"),
    "encoder truncated": (truncate(ENCODER), EVALUATE, f"{ENCODER} is not a complete safetensors file"),
    "encoder to fine-tune": (truncate(ENCODER), FINETUNE, f"{ENCODER} is not a complete safetensors file"),
    "another width": (demo("model", "width", 4), EVALUATE, f"{ENCODER} .*width 2.* 4"),
    "no encoder": (replace(ENCODER, NETWORK), EVALUATE, f"{ENCODER} is not one of .* encoder files.*classifier"),
    "encoder of another profile": (told(profile="small"), EVALUATE, f'{ENCODER} .* profile "small", .* "demo"'),
    "encoder of another data set": (told(dataset="cifar100"), EMBED, f'{ENCODER} .* dataset "cifar100", .* "cifar10"'),
    "encoder of another run": (told(run="acc"), FINETUNE, f'{ENCODER} .* run "acc", asked for is "amoc"'),
    "encoder of other settings": (run("temperature", 0.3), PROBED, "settings.temperature 0.2, asked for is 0.3"),
    "encoder of a setting within": (
        run("optimizer", {"lr": 0.3}),
        CORRUPT_PROBED,
        r"settings.optimizer.lr 0.2, asked for is 0.3: `python -m stages.pretrain demo cifar10 amoc` makes it",
    ),
    "encoder with a switch": (run("zero_init_last", True), EVALUATE, "settings.zero_init_last null, asked for is true"),
    "encoder of few epochs": (trial("epochs=1"), EVALUATE, f"{ENCODER} .* epoch 1, asked for is 2"),
    "encoder that collapsed early": (told(epoch=1, status="collapsed"), EVALUATE, "epoch 1, asked for is 2"),
    "encoder of few steps": (trial("steps_per_epoch=2"), EVALUATE, "steps_per_epoch 2, asked for is null"),
    "network truncated": (truncate(NETWORK), ATTACK, f"{NETWORK} is not a complete safetensors file"),
    "network of another name": (
        lambda: shutil.copy(NETWORK, paths.classifier("demo", "cifar10", "amoc_finetuned")),
        "corrupt demo cifar10 amoc_finetuned",
        'amoc_finetuned.safetensors .* run "standard", asked for is "amoc_finetuned": `python -m stages.classify demo ',
    ),
    "network of other settings": (
        put("profiles", "demo", "recipes", "standard", "epochs", value=9),
        ATTACK,
        f"{NETWORK} .* settings.recipe.epochs 2, asked for is 9",
    ),
    "twin missing": (remove(TWIN), ATTACK, f"{TWIN} is missing"),
    "result of a larger suite": (
        write("results/demo/cifar10/attack/standard.json", '{"measurements": {"last": {"clean": {}, "l1_slide": {}}}}'),
        f"{ATTACK} --suite probe",
        "attack/standard.json has l1_slide, which the suite probe has not: move the file away first",
    ),
    "heads missing": (remove(HEADS), PROBED, f"{HEADS} is missing"),
    "heads of other probes": (
        lambda: [edit() for edit in OTHER_PROBES],
        PROBED,
        f"{HEADS} has no head of robev, only of adev, stdev: .*stages.evaluate",
    ),
    "heads of another encoder": (
        told_by_heads(run="moco"),
        PROBED,
        f'{HEADS} holds heads with run "moco", asked for is "amoc": .*stages.evaluate',
    ),
    "heads of another recipe": (
        put("recipes", "adev", "lr", value=9.0),
        PROBED,
        f"{HEADS} holds heads with recipes.adev.lr .* asked for is 9.0",
    ),
    "heads of another recipe to corrupt": (
        put("recipes", "adev", "lr", value=9.0),
        CORRUPT_PROBED,
        f"{HEADS} holds heads with recipes.adev.lr ",
    ),
    "network to corrupt": (remove(NETWORK), CORRUPT, f"{NETWORK} is missing"),
    "heads to corrupt": (remove(HEADS), CORRUPT_PROBED, f"{HEADS} is missing"),
    "fingerprint of corruptions": (remove(paths.fingerprint("corrupt")), CORRUPT, "corrupt.json is missing"),
    "fingerprint of the sheet": (remove(paths.fingerprint("corrupt")), "sheet demo cifar10", "corrupt.json is missing"),
    "no sheet": (lambda: None, "report corruptions demo", "sheet/corruptions.json is missing.*stages.sheet"),
    "no result": (lambda: None, TABLE, "results/demo/cifar10/attack/standard.json is missing.*stages.attack"),
    "no report": (lambda: None, FLOORS, "evaluate/moco.json is missing.*stages.evaluate"),
    "damaged result": (write("results/demo/cifar10/evaluate/amoc.json", "{"), FLOORS, "amoc.json is not JSON"),
}


@pytest.mark.parametrize(("edit", "words", "sentence"), FILES.values(), ids=FILES)
def test_files(refused, edit, words, sentence):
    edit()
    refused(words, sentence)


def test_an_encoder_is_not_refused_for_what_its_file_leaves_out(project):
    """As older commits wrote it, without the engine; and of a run that says what is so without a word."""
    encoder, about = load_encoder(ENCODER)
    save_encoder(ENCODER, encoder, {key: value for key, value in about.items() if key != "engine"})
    run("zero_init_last", False)()
    loaded, told, seed = pretrained.load(Params.load(), "demo", "cifar10", "amoc")
    assert same(loaded.state_dict(), encoder.state_dict())
    assert "engine" not in told and seed == about["settings"]["seed"]


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_cifar_without_network(refused, project, monkeypatch, folder):
    def unreachable(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr(datasets, "urlopen", unreachable)
    if folder:
        (project / folder).mkdir()
        monkeypatch.setenv(datasets.FOLDER_VARIABLE, folder)
    places = f"{folder} nor in .data-cache" if folder else ".data-cache"
    expected = "cifar-10-batches-py or cifar-10-python.tar.gz"
    refused("data small cifar10", f"not in {places}.*unreachable.*{datasets.FOLDER_VARIABLE}.*{expected}")


def test_protocols_that_are_not_there(refused):
    refused(f"{EVALUATE} --protocols mine", "protocols has no mine, it has peers")


def test_images_of_another_data_set_that_are_not_there(refused):
    missing = "data/demo/cifar100.safetensors is missing: `python -m stages.data demo cifar100` makes it"
    refused(f"{EVALUATE} --on cifar100", missing)


@pytest.mark.parametrize(
    "words", [PRETRAIN, EVALUATE, CLASSIFY, ATTACK, CORRUPT, "data demo cifar10", "report table7 demo"]
)
def test_a_full_disk(refused, monkeypatch, words):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(words, "cannot write .*: No space left on device; make room")


# ---------------------------------------------------------------- states


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    yield Stop(15)


@pytest.fixture
def states(project: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two encoders of different seeds that were stopped at once: where their states are."""
    found = []
    for seed in (3, 2):
        put("pretrain", "amoc", "seed", value=seed)()
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(pretrain, "interruptible", asked_to_stop)
            pretrain.main("demo", "cifar10", "amoc")
        found.append(*({*project.glob(".checkpoints/*/state.pt")} - {*found}))
    return found[0], found[1]


def test_a_state_of_other_settings(refused, states):
    other, own = states
    shutil.copy(other, own)
    refused(PRETRAIN, "state.pt was saved with other settings or data; remove it")


def test_a_damaged_state(refused, states):
    truncate(states[1])()
    refused(PRETRAIN, "state.pt is damaged .*; remove it")


def test_two_at_once(refused, monkeypatch):
    """The first is in the middle of its work when the second one starts."""

    def meanwhile(*arguments: object, **options: object) -> None:
        refused(PRETRAIN, f"pretrain-demo-cifar10-amoc-.* is running already: process {os.getpid()} on .*; wait for it")
        raise Interrupted(15)

    monkeypatch.setattr(pretrain, "pretrain", meanwhile)
    with pytest.raises(Interrupted):
        pretrain.main("demo", "cifar10", "amoc")


# ---------------------------------------------------------------- cost


@pytest.fixture
def slow_paper(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's profile with the tiny network on few images, on a machine where a pass takes ten seconds."""

    def begun(*arguments: object, **options: object) -> None:
        raise AssertionError("it has begun")

    settings = tiny.settings()["profiles"]["demo"]
    for key in ("model", "data", "engine", "early_stopping"):
        put("profiles", "paper", key, value=settings[key])()
    put("pretrain", "amoc", "batch_size", value=settings["data"]["train"])()
    for folder in ("data", "models"):
        shutil.copytree(f"{folder}/demo", f"{folder}/paper")
    encoder, about = load_encoder(ENCODER)
    asked = Params.load().pretraining("paper", "cifar10", "amoc")
    about |= {"profile": "paper", "settings": asked.plain(), "epoch": asked.epochs}
    save_encoder(paths.encoder("paper", "cifar10", "amoc"), encoder, about)
    settings = Params.load().classifying("paper", "cifar10", "standard").plain()
    for twin in (False, True):
        path = paths.classifier("paper", "cifar10", "standard", twin=twin)
        network, about = load_classifier(path)
        save_classifier(path, network, about | {"profile": "paper", "settings": settings})
    stages = {pretrain: "pretrain", evaluate: "train_classifier", classify: "train_classifier", attack: "measure"}
    for stage, work in stages.items():
        monkeypatch.setattr(stage, "seconds_per_pass", lambda model, images: 10.0)
        monkeypatch.setattr(stage, work, begun)


COSTLY = ["pretrain paper cifar10 amoc", "evaluate paper cifar10 amoc", "classify paper cifar10 standard",
          "attack paper cifar10 standard"]  # fmt: skip


@pytest.mark.parametrize("words", COSTLY)
def test_days_on_a_cpu_by_accident(refused, slow_paper, words):
    refused(words, rf"{words} would take about [\d,.]+ h on this CPU, and more than 6 h .*--anyway.*AMOC_ANYWAY=1")


@pytest.mark.parametrize("words", COSTLY)
def test_days_on_a_cpu_on_purpose(slow_paper, words):
    stage, *names = words.split()
    with pytest.raises(AssertionError, match="it has begun"):
        import_module(f"stages.{stage}").main(*names, anyway=True)


@pytest.mark.parametrize("words", COSTLY)
def test_days_on_a_cpu_on_purpose_where_dvc_gives_the_command(slow_paper, monkeypatch, words):
    stage, *names = words.split()
    monkeypatch.setattr(sys, "argv", [stage, *names])
    monkeypatch.setenv("AMOC_ANYWAY", "1")
    with pytest.raises(AssertionError, match="it has begun"):
        command.run(import_module(f"stages.{stage}").main)
