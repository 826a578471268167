"""stages.plan: which stages would run, held against what DVC then runs; what they cost, against what they announce."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from importlib import import_module
from pathlib import Path

import pytest
from dvc.repo import Repo

from amoc import datasets
from amoc.models.encoder import Encoder
from amoc.models.files import save_encoder, save_heads
from amoc.models.heads import linear_head
from amoc.params import Params
from amoc.refusal import Refusal
from amoc.settings import Data
from stages import classify, command, evaluate, paths, plan, pretrain
from stages.estimate import size, sizes, work
from stages.pipeline import pending
from tests import shipped
from tests.stages import tiny

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

# ---------------------------------------------------------------- a pipeline of three commands

PIPELINE = """
stages:
  behaviour:
    cmd: cp constant.txt behaviour.txt
    deps: [code.py]
    outs: [behaviour.txt: {cache: false}]
  train:
    matrix: {profile: ["${profile}"], run: [one, two]}
    cmd: cat behaviour.txt params.yaml > ${item.profile}_${item.run}.txt
    deps: [behaviour.txt]
    params: ["${item.run}"]
    outs: ["${item.profile}_${item.run}.txt"]
  reports/table:
    matrix: {profile: ["${profile}"]}
    cmd: cat ${item.profile}_one.txt > ${item.profile}_table.txt
    deps: ["${item.profile}_one.txt"]
    outs: ["${item.profile}_table.txt": {cache: false}]
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text("profile: demo\none: 1\ntwo: 1\n")
    Path("code.py").write_text("pass\n")
    Path("constant.txt").write_text("always\n")
    Repo.init(no_scm=True).close()
    return tmp_path


def test_what_only_a_frozen_stage_needs_does_not_run(pipeline):
    with Repo() as repo:
        repo.reproduce()
        Path("dvc.yaml").write_text(PIPELINE.replace("    params: [", "    frozen: true\n    params: ["))
        Path("code.py").write_text("other\n")
        assert pending(("reports/table",), "demo") == []
        assert repo.reproduce("reports/table") == []
        assert [stage.name for stage in pending((), "demo")] == ["behaviour"]


def reasons(*targets: str, profile: str = "demo") -> dict[str, tuple[str, ...]]:
    return {stage.name: stage.why for stage in pending(targets, profile)}


def reproduced(*targets: str) -> set[str]:
    """The stages that DVC runs."""
    with Repo() as repo:
        return {stage.name for stage in repo.reproduce(list(targets) or None)}


def test_everything_of_a_new_project_in_the_order_in_which_it_runs(pipeline):
    never = ("never ran",)
    assert reasons() == {
        "behaviour": never, "train@demo-one": never, "train@demo-two": never, "reports/table@demo": never,
    }  # fmt: skip
    assert list(reasons("reports/table")) == ["behaviour", "train@demo-one", "reports/table@demo"]
    assert list(reasons("train@demo-two", "behaviour")) == ["behaviour", "train@demo-two"]
    assert not Path("dvc.lock").exists() and not Path("behaviour.txt").exists()  # nothing ran
    assert reproduced("reports/table") == {"behaviour", "train@demo-one", "reports/table@demo"}
    assert reasons("reports/table") == {}
    assert reasons() == {"train@demo-two": never}


def test_another_profile_needs_no_edit(pipeline):
    reproduced()
    assert reasons() == {}
    assert list(reasons("reports/table", profile="paper")) == ["train@paper-one", "reports/table@paper"]
    assert Path("params.yaml").read_text().startswith("profile: demo\n")


def test_what_a_stage_reads_of_others_whole_folder_is_no_code(pipeline):
    index = "  index:\n    cmd: ls pages > index.txt\n    deps: [pages]\n    outs: [index.txt]\n"
    page = "  page:\n    cmd: mkdir -p pages && cp constant.txt pages/page.txt\n    deps: [constant.txt]\n"
    Path("dvc.yaml").write_text(f"{PIPELINE}{index}{page}    outs: [pages/page.txt: {{cache: false}}]\n")
    never = ("never ran",)
    assert list(reasons("index").items()) == [("page", never), ("index", never)]
    assert reproduced("index") == {"page", "index"} and reasons("index") == {}
    Path("pages/page.txt").write_text("better\n")
    assert reasons("index") == {"page": ("outputs",), "index": ("inputs", "follows")}


def change_setting() -> None:
    Path("params.yaml").write_text("profile: demo\none: 2\ntwo: 1\n")


def change_code() -> None:
    Path("code.py").write_text("...\n")


def change_command() -> None:
    Path("dvc.yaml").write_text(PIPELINE.replace("cat ${item.profile}_one", "head -5 ${item.profile}_one"))


def change_a_result() -> None:
    Path("demo_table.txt").write_text("better\n")


def lose_everything_of_a_stage() -> None:
    Path("demo_one.txt").unlink()
    for folder in Path(".dvc/cache").iterdir():
        shutil.rmtree(folder)


CHANGES: list[tuple[Callable[[], None], dict[str, tuple[str, ...]]]] = [
    (change_setting, {"train@demo-one": ("settings",), "reports/table@demo": ("follows",)}),
    (change_code, {"behaviour": ("code",)}),
    (change_command, {"reports/table@demo": ("command",)}),
    (change_a_result, {"reports/table@demo": ("outputs",)}),
]


@pytest.mark.parametrize(("change", "stale"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_what_would_run_is_what_then_runs(pipeline, change, stale):
    reproduced()
    change()
    assert reasons("reports/table") == stale
    assert reasons("reports/table") == stale  # asking changes nothing
    assert reproduced("reports/table") == stale.keys()
    assert reasons("reports/table") == {}


def test_what_the_cache_has_need_not_be_made_again(pipeline):
    reproduced()
    Path("demo_one.txt").unlink()
    assert reasons("reports/table") == {}
    with Repo() as repo:
        repo.checkout(["train@demo-one"])
    assert Path("demo_one.txt").exists() and reproduced("reports/table") == set()


def test_what_the_cache_has_only_a_part_of_is_made_again(pipeline):
    """DVC removes what it does not cache, a curve, before it looks for the rest there."""
    weights, curve = "${item.profile}_${item.run}.txt", "${item.profile}_${item.run}.csv"
    text = PIPELINE.replace(f"> {weights}\n", f"> {weights} && echo 1 > {curve}\n")
    text = text.replace(f'outs: ["{weights}"]', f'outs: ["{weights}", "{curve}": {{cache: false}}]')
    assert text.count(curve) == 2
    Path("dvc.yaml").write_text(text)
    reproduced()
    Path("demo_one.txt").unlink()
    assert list(reasons("train@demo-one")) == ["train@demo-one"]
    assert reproduced("train@demo-one") == {"train@demo-one"}


def test_what_is_lost_is_made_again_and_what_needs_it_may_be(pipeline):
    """On another machine it would come out otherwise."""
    reproduced()
    lose_everything_of_a_stage()
    assert reasons("reports/table") == {"train@demo-one": ("outputs",), "reports/table@demo": ("follows",)}
    assert "train@demo-one" in reproduced("reports/table")


def test_what_is_not_there_and_nothing_makes_is_refused(pipeline):
    """A run that params.yaml names and dvc.yaml does not, for one."""
    last = "  last:\n    cmd: cp lost.txt last.txt\n    deps: [lost.txt]\n    outs: [last.txt]\n"
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text() + last)
    sentence = r"last needs lost\.txt, which is not there, and no stage of dvc\.yaml makes it"
    with pytest.raises(Refusal, match=sentence):
        reasons("last")
    Path("lost.txt").write_text("1")
    reproduced()
    Path("lost.txt").unlink()
    with pytest.raises(Refusal, match=sentence):
        reasons("last")


def test_a_changed_input_is_seen(pipeline):
    """Here behaviour.txt changes with the code."""
    reproduced()
    change_code()
    Path("constant.txt").write_text("changed\n")
    assert reproduced("behaviour") == {"behaviour"}
    assert reasons("reports/table") == {"train@demo-one": ("inputs",), "reports/table@demo": ("follows",)}


def test_a_stage_of_which_more_than_the_code_changed_may_write_something_else(pipeline):
    reproduced()
    change_code()
    Path("dvc.yaml").write_text(PIPELINE.replace("cp constant.txt", "cp ./constant.txt"))
    follow = ("follows",)
    assert reasons("reports/table") == {
        "behaviour": ("command", "code"), "train@demo-one": follow, "reports/table@demo": follow,
    }  # fmt: skip


RESOLVED = """
stages:
  settings:
    cmd: mkdir settings && grep one params.yaml > settings/one.txt && grep two params.yaml > settings/two.txt
    params: [one, two]
    outs: [settings: {cache: false}]
  train:
    matrix: {run: [one, two]}
    cmd: cp settings/${item.run}.txt ${item.run}.txt
    deps: ["settings/${item.run}.txt"]
    outs: ["${item.run}.txt"]
  reports/table:
    cmd: cat one.txt two.txt > table.txt
    deps: [one.txt, two.txt]
    outs: [table.txt: {cache: false}]
"""


def test_what_a_stage_is_going_to_write_decides_who_follows(pipeline):
    """Settings that are not resolved yet: params.yaml has changed, the file that comes of it has not."""
    Path("dvc.yaml").write_text(RESOLVED)
    reproduced()
    Path("params.yaml").write_text("profile: demo\none: 2\ntwo: 1\n")
    md5 = {name: hashlib.md5(f"{name}: {value}\n".encode()).hexdigest() for name, value in (("one", 2), ("two", 1))}
    foreseen = {Path("settings", f"{name}.txt"): value for name, value in md5.items()}
    expected = {"settings": ("settings",), "train@one": ("settings",), "reports/table": ("follows",)}
    assert {stage.name: stage.why for stage in pending((), "demo", foreseen)} == expected
    assert [stage.name for stage in pending(("train@two",), "demo", foreseen)] == ["settings"]
    assert reproduced() == expected.keys()
    assert pending((), "demo", foreseen) == []


# ---------------------------------------------------------------- what a stage costs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.project(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in ("DVC_ROOT", "AMOC_CHECKPOINTS"):
            patch.delenv(variable, raising=False)
        pretrain.main("demo", "cifar10", "amoc")
        evaluate.main("demo", "cifar10", "amoc")
        classify.main("demo", "cifar10", "standard")
    return folder


class _Announced(Exception):
    """What a stage says before it starts; here it goes no further."""


@pytest.mark.parametrize(
    "words",
    [
        "pretrain demo cifar10 amoc", "pretrain demo cifar10 acl", "numerics demo cifar10 amoc",
        "evaluate demo cifar10 amoc", "evaluate demo cifar10 amoc --protocols peers",
        "classify demo cifar10 standard", "classify demo cifar10 amoc_finetuned",
        "attack demo cifar10 standard", "attack demo cifar10 standard --suite probe", "attack demo cifar10 amoc",
        "attack demo cifar10 standard --suite radii", "corrupt demo cifar10 standard", "corrupt demo cifar10 amoc",
        "embed demo cifar10 amoc",
    ],
)  # fmt: skip
def test_the_cost_is_what_the_stage_announces(finished, monkeypatch, words):
    monkeypatch.chdir(finished)
    module = import_module(f"stages.{words.split()[0]}")

    def announce(title: str, passes: float, *_: object) -> None:
        raise _Announced(passes)

    monkeypatch.setattr(module, "announce", announce)
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(_Announced) as said:
        command.run(module.main)
    estimated = work(Params.load(), f"python -m stages.{words}")
    assert estimated.passes == said.value.args[0] > 0
    assert estimated.precision == "float32"


def test_a_stage_that_trains_has_the_precision_of_its_run():
    params = shipped.params()
    for words, precision in (
        ("pretrain small cifar10 amoc", "bfloat16"), ("pretrain small cifar10 amoc_float32", "float32"),
        ("classify small cifar10 trades", "bfloat16"), ("evaluate small cifar10 amoc", "float32"),
    ):  # fmt: skip
        assert work(params, f"python -m stages.{words}").precision == precision


@pytest.mark.parametrize("words", ["python -m stages.report table5 demo", "python -m stages.data demo cifar10", "make"])
def test_what_neither_trains_nor_attacks_is_not_counted(words):
    assert work(shipped.params(), words) is None


@pytest.mark.parametrize("source", ["digits", "cifar"])
def test_a_source_has_so_many_images(source, request, tmp_path):
    folder = request.getfixturevalue("cifar_dir") if source == "cifar" else None
    profile = {"digits": "demo", "cifar": "paper"}[source]
    data = datasets.build("cifar10", Data(source=source, train=None, test=None), folder, tmp_path)
    params = shipped.params()
    there = sizes(params, profile, "cifar10")
    assert (there.train, there.test) == (len(data.train.labels), len(data.test.labels))
    assert data.train.pixels.shape[1:] == (there.side, there.side, 3)
    assert there.classes == data.classes
    datasets.write(data, path := tmp_path / "data.safetensors")
    assert_close(path, size(params, f"python -m stages.data {profile} cifar10", "data/x"))


def assert_close(path: Path, estimated: int) -> None:
    """But for the header of the file."""
    assert 0 <= path.stat().st_size - estimated < 30_000


def test_the_size_of_weights_is_that_of_their_file(tmp_path):
    params = shipped.params()
    encoder = Encoder(**params.model("demo").plain(), mean=(0.5,) * 3, std=(0.5,) * 3)
    save_encoder(path := tmp_path / "encoder.safetensors", encoder, {})
    assert path.stat().st_size > 600_000
    assert_close(path, size(params, "python -m stages.pretrain demo cifar10 amoc", "models/amoc.safetensors"))
    for option, protocols in (("", "probes"), (" --protocols peers", "peers")):
        recipes, _ = params.protocols("demo", protocols)
        heads = {name: linear_head(encoder.features, 10) for name, r in recipes.items() if r.train == "head"}
        save_heads(path, heads, {})
        words = f"python -m stages.evaluate demo cifar10 amoc{option}"
        assert_close(path, estimated := size(params, words, "models/amoc.heads.safetensors"))
        assert estimated == len(heads) * 4 * (10 * 128 + 10)
    assert size(params, "python -m stages.evaluate demo cifar10 amoc", "results/demo/cifar10/evaluate/amoc.json") == 0


def test_on_another_data_set_an_encoder_costs_what_that_has_images_and_classes():
    params = shipped.params()
    for profile, classes in (("demo", 20), ("paper", 100)):
        away = f"python -m stages.evaluate {profile} cifar10 amoc --on cifar100"
        own = f"python -m stages.evaluate {profile} cifar100 amoc"
        assert work(params, away) == work(params, own)
        heads = size(params, away, "models/amoc.from_cifar10.heads.safetensors")
        assert heads == 3 * 4 * classes * (8 * params.model(profile).width + 1)
        assert heads == size(params, own, "models/amoc.heads.safetensors")


def test_heads_and_the_network_of_a_protocol_differ_in_size():
    params = shipped.params()
    words = "python -m stages.evaluate demo cifar10 amoc --protocols peers"
    files = [paths.heads("demo", "cifar10", "amoc.peers"), paths.classifier("demo", "cifar10", "amoc.peers.aff")]
    heads, network = (size(params, words, str(file)) for file in files)
    assert network > 50 * heads > 0


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project in which nothing has run."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("amoc", "stages"):
        shutil.copytree(tiny.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", "requirements.txt"):
        shutil.copy(tiny.ROOT / name, folder)
    with chdir(folder):
        Repo.init(no_scm=True).close()
    yield folder


def shown(text: str) -> dict[str, list[str]]:
    _, *rows = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| "))
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}


@pytest.mark.parametrize("profile", ["demo", "small"])
def test_the_whole_of_table5_in_order_with_time_and_disk(project, monkeypatch, capsys, profile):
    monkeypatch.chdir(project)
    before = tiny.contents(project)
    plan.main(["reports/table5"], profile)
    said = capsys.readouterr().out
    assert said.startswith(f"# reports/table5 in the profile {profile}\n")
    rows = shown(said)
    *names, total = rows
    assert total == "**19 stages**" and len(names) == 19
    order = ["settings", f"data@{profile}-cifar10", f"pretrain@{profile}-cifar10-amoc",
             f"evaluate@{profile}-cifar10-amoc", f"attack-probed@{profile}-cifar10-amoc",
             f"reports/table5@{profile}"]  # fmt: skip
    assert [name for name in names if name in order] == order and names[-1] == order[-1]
    assert {why for why, *_ in list(rows.values())[:-1]} == {"never ran"}
    assert rows["fingerprint-amoc"][1:] == ["-", "seconds", ""] == rows[f"reports/table5@{profile}"][1:]
    own = Params.load().pretraining(profile, "cifar10", "amoc")
    images = {"demo": 1437, "small": 5000}[profile]
    assert rows[f"pretrain@{profile}-cifar10-amoc"][1] == f"{float(f'{own.epochs * images * 19:.2g}'):,.0f}"
    assert all(re.fullmatch(r"[\d,.]+ (s|min|h)|seconds", time) for *_, time, _ in rows.values())
    assert float(rows[total][3]) > 6 * float(rows[f"pretrain@{profile}-cifar10-amoc"][3]) > 3
    after = {name for name, content in tiny.contents(project).items() if before.get(name) != content}
    assert all(name.startswith(".dvc/tmp/") for name in after)  # DVC's own notes


def test_nothing_to_do_is_said(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setattr("stages.plan.pending", lambda targets, profile, foreseen: [])
    plan.main(["reports/table"], "demo")
    assert capsys.readouterr().out == "reports/table in the profile demo: nothing would run\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reports/table9"], r"dvc\.yaml has no stage 'reports/table9', it has fingerprint-amoc, .*reports/table5"),
        (["reports/table5/"], r"dvc\.yaml has no stage 'reports/table5/', it has "),
    ],
)
def test_a_target_that_is_not_there_is_refused_in_one_sentence(project, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["plan", *arguments])
    with pytest.raises(SystemExit) as ending:
        command.run(plan.main)
    said = capsys.readouterr().err
    assert ending.value.code == 2 and re.fullmatch(rf"plan: {sentence}[^\n]*\n", said)


def test_where_dvc_is_not_at_home_it_says_so(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(project / "params.yaml", tmp_path)
    monkeypatch.setattr(sys, "argv", ["plan"])
    with pytest.raises(SystemExit) as ending:
        command.run(plan.main)
    said = capsys.readouterr().err
    assert ending.value.code == 2 and re.fullmatch(r"plan: DVC says: [^\n]+\n", said)
    assert os.listdir(tmp_path) == ["params.yaml"]
