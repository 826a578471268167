"""stages.recorder: what a stage leaves behind is what `dvc repro` would have left."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc.utils.serialize import load_yaml

from stages.recorder import Recorder

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

# each stage notes that its command ran; a result that DVC stores, a metric that git keeps, a page that git keeps
PIPELINE = """
stages:
  result:
    cmd: echo ran >> result.runs; cp given.txt result.txt
    deps: [given.txt]
    outs: [result.txt]
  folder:
    cmd: echo ran >> folder.runs; mkdir -p folder; cp given.txt folder/inside.txt; echo $DVC_STAGE > folder/stage.txt
    deps: [given.txt]
    outs: [folder]
  metric:
    cmd: echo ran >> metric.runs; wc -c < result.txt > metric.json
    deps: [result.txt]
    metrics: [metric.json: {cache: false}]
  page:
    cmd: echo ran >> page.runs; cat result.txt metric.json > page.md
    deps: [result.txt, metric.json]
    outs: [page.md: {cache: false}]
"""
NAMES = ("result", "folder", "metric", "page")


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "given.txt").write_text("one\n")
    Repo.init(str(folder), no_scm=True).close()
    return folder


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = project(tmp_path / "ours")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def recorded(pipeline: Path) -> Path:
    with Recorder() as recorder:
        assert [recorder.reproduce(name, {}) for name in NAMES] == [0, 0, 0, 0]
    return pipeline


def dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def runs() -> dict[str, int]:
    """How often each stage's command has run."""
    return {path.stem: len(path.read_text().splitlines()) for path in Path().glob("*.runs")}


def files(folder: Path) -> Iterator[str]:
    """What DVC keeps: cached contents and the run cache."""
    return (path.relative_to(folder).as_posix() for path in sorted((folder / ".dvc/cache").rglob("*")))


def test_lock_caches_and_outputs_are_those_of_dvc_repro(recorded, tmp_path):
    theirs = project(tmp_path / "theirs")
    with chdir(theirs):
        dvc("repro")
    assert load_yaml("dvc.lock") == load_yaml(str(theirs / "dvc.lock"))  # DVC runs them in another order
    assert list(files(recorded)) == list(files(theirs))
    for name in ("result.txt", "folder/inside.txt", "folder/stage.txt", "metric.json", "page.md"):
        assert Path(name).read_text() == (theirs / name).read_text()
    assert dvc("status") == "Data and pipelines are up to date.\n"


def test_what_did_not_change_does_not_run(recorded):
    """Although a stage before it ran again: it may have written the same."""
    Path("given.txt").write_text("one\n")
    with Recorder() as recorder:
        assert [recorder.reproduce(name, {}) for name in NAMES] == [0, 0, 0, 0]
    assert runs() == dict.fromkeys(NAMES, 1)


def test_what_changed_runs_on_the_new_and_not_beside_the_old(recorded):
    Path("given.txt").write_text("three\n")
    Path("folder/left.txt").write_text("by hand\n")
    with Recorder() as recorder:
        assert [recorder.reproduce(name, {}) for name in NAMES] == [0, 0, 0, 0]
    assert runs() == dict.fromkeys(NAMES, 2)
    assert Path("page.md").read_text() == "three\n6\n"
    assert sorted(path.name for path in Path("folder").iterdir()) == ["inside.txt", "stage.txt"]


def test_a_run_that_dvc_knows_is_put_back(recorded):
    """As `dvc repro` after a setting is changed and changed back: from its run cache, where that stores the outputs."""
    for text in ("two\n", "one\n"):
        Path("given.txt").write_text(text)
        with Recorder() as recorder:
            assert [recorder.reproduce(name, {}) for name in NAMES] == [0, 0, 0, 0]
    assert runs() == {"result": 2, "folder": 2, "metric": 2, "page": 3}
    assert Path("page.md").read_text() == "one\n4\n"
    assert dvc("status") == "Data and pipelines are up to date.\n"


def test_each_is_in_the_lock_as_soon_as_it_has_ended(pipeline):
    recorder = Recorder()
    for number, name in enumerate(NAMES, 1):
        assert recorder.reproduce(name, {}) == 0
        assert list(load_yaml("dvc.lock")["stages"]) == list(NAMES[:number])  # and now the process may be killed


def test_one_that_fails_is_not_recorded(pipeline, capsys):
    text = PIPELINE.replace("cp given.txt result.txt", "touch result.txt; echo no room left; exit 3")
    Path("dvc.yaml").write_text(text)
    with Recorder() as recorder:
        assert recorder.reproduce("result", {}) == 3
        assert recorder.reproduce("folder", {}) == 0
    assert "no room left" in capsys.readouterr().out
    assert list(load_yaml("dvc.lock")["stages"]) == ["folder"]


@pytest.mark.parametrize(
    "commands",
    ["[touch begun, 'false', touch result.txt]", "|\n      touch begun\n      false\n      touch result.txt"],
)
def test_of_several_commands_none_runs_after_one_that_failed(pipeline, commands):
    text = PIPELINE.replace("cmd: echo ran >> result.runs; cp given.txt result.txt", f"cmd: {commands}")
    Path("dvc.yaml").write_text(text)
    with Recorder() as recorder:
        assert recorder.reproduce("result", {}) == 1
        assert Path("begun").exists() and not Path("result.txt").exists()
        Path("dvc.yaml").write_text(text.replace("false", "true"))
    with Recorder() as recorder:
        assert recorder.reproduce("result", {}) == 0
    assert dvc("status", "result") == "Data and pipelines are up to date.\n"


def test_a_command_may_print_what_is_no_text(pipeline, capsys):
    Path("dvc.yaml").write_text(PIPELINE.replace("echo ran >> result.runs", r"printf 'caf\351\n'"))
    with Recorder() as recorder:
        assert recorder.reproduce("result", {}) == 0
    assert "caf\N{REPLACEMENT CHARACTER}\n" in capsys.readouterr().out


def test_after_the_end_none_begins(pipeline):
    with Recorder() as recorder:
        recorder.end(signal.SIGTERM)
        assert recorder.reproduce("result", {}) == 143
    assert runs() == {} and not Path("dvc.lock").exists()


def test_a_command_sees_the_environment_that_it_is_given(pipeline):
    Path("dvc.yaml").write_text(PIPELINE.replace("$DVC_STAGE", "$DVC_STAGE $HOW_MANY"))
    with Recorder() as recorder:
        recorder.reproduce("folder", {"HOW_MANY": "two"})
    assert Path("folder/stage.txt").read_text() == "folder two\n"


def test_a_file_that_another_process_of_dvc_uses_is_left_alone(recorded, capsys):
    """The other is this process under another command's name, which is how DVC tells them apart."""
    Path("given.txt").write_text("two\n")
    busy = str(Path("result.txt").resolve())
    with Recorder() as recorder, Repo() as repo, rwlock(repo.tmp_dir, repo.fs, "dvc repro metric", [busy], [], False):
        assert recorder.reproduce("result", {}) == 1
        assert recorder.reproduce("folder", {}) == 0
    said = capsys.readouterr().out
    assert "result: DVC says: " in said and "result.txt' is busy, it is being blocked by:" in said
    assert Path("result.txt").read_text() == "one\n"


def test_while_a_command_runs_dvc_keeps_others_away_from_its_files(pipeline):
    """The stage's own command asks DVC to run the stage that writes what it reads."""
    inner = f"{sys.executable} -m dvc repro --single-item --force result > said.txt 2>&1"
    text = PIPELINE.replace("wc -c < result.txt > metric.json", f"{inner}; echo $? > metric.json")
    Path("dvc.yaml").write_text(text)
    with Recorder() as recorder:
        assert [recorder.reproduce(name, {}) for name in ("result", "metric")] == [0, 0]
    assert Path("metric.json").read_text() == "255\n"
    assert "result.txt' is busy" in Path("said.txt").read_text()
    assert runs()["result"] == 1


def test_what_is_in_the_lock_already_stays(recorded):
    shutil.copy("dvc.lock", "before.lock")
    Path("given.txt").write_text("two\n")
    with Recorder() as recorder:
        recorder.reproduce("folder", {})
    before, after = load_yaml("before.lock")["stages"], load_yaml("dvc.lock")["stages"]
    assert before.pop("folder") != after.pop("folder")
    assert before == after


def test_a_cache_that_cannot_be_written_is_one_sentence(pipeline, capsys):
    """And no stage is recorded that DVC has not stored."""
    Path("no-folder").write_text("")
    with Repo() as repo:
        repo.config["cache"]["dir"] = str(Path("no-folder/cache").resolve())
        with repo.config.edit("local") as config:
            config["cache"] = {"dir": str(Path("no-folder/cache").resolve())}
    with Recorder() as recorder:
        assert recorder.reproduce("result", {}) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("result: cannot be recorded: ") and "no-folder" in said
    assert not Path("dvc.lock").exists()
