"""stages.lockfile: dvc.lock as DVC itself would write it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dvc.dvcfile import load_file
from dvc.repo import Repo
from dvc.utils.serialize import load_yaml

from amoc.refusal import Refusal
from stages.lockfile import recorded

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
LONG = "a_name_that_is_so_long_that_a_line_of_yaml_has_to_be_folded_before_it.safetensors"
PIPELINE = f"""
stages:
  first:
    cmd: cp given.txt first.txt
    deps: [given.txt]
    outs: [first.txt]
  reports/second:
    cmd: cat first.txt > {LONG} && echo a command that is as long as the file's own name
    deps: [first.txt]
    outs: ["{LONG}", nothing.txt: {{cache: false}}]
  third:
    cmd: touch third.txt
    params: [number, text]
    outs: [third.txt]
"""
NAMES = ("first", "reports/second", "third")


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text("number: 1\ntext: 'two: words'\n")
    for name in ("given.txt", "first.txt", LONG, "nothing.txt", "third.txt"):
        Path(name).write_text(f"{name}\n")
    Repo.init(no_scm=True).close()
    return tmp_path


def ours_and_dvcs(name: str) -> tuple[str, str]:
    """The text with a stage as it is now, by us and then by DVC, which also writes it."""
    lock = Path("dvc.lock")
    with Repo() as repo, repo.lock:
        file = load_file(repo, "dvc.yaml")
        stage = file.stages[name]
        stage.save()
        ours = recorded(lock.read_text() if lock.exists() else "", stage)
        file.dump_stages([stage], update_pipeline=False)
    return ours, lock.read_text()


def test_first_and_further_stages(pipeline):
    for name in NAMES:
        ours, dvcs = ours_and_dvcs(name)
        assert ours == dvcs
    assert f"\n        {LONG}\n" in dvcs  # folded
    assert "two: words" in dvcs


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_that_is_there_already(pipeline, name):
    """The first, the last and one between them; the others' text stays where it is."""
    for other in NAMES:
        ours_and_dvcs(other)
    before = Path("dvc.lock").read_text()
    for path in ("given.txt", "first.txt", "params.yaml"):
        Path(path).write_text("number: 2\ntext: other\n")
    ours, dvcs = ours_and_dvcs(name)
    assert ours == dvcs != before


def test_one_that_begins_like_another(pipeline):
    Path("dvc.yaml").write_text(PIPELINE.replace("  third:", "  first_of_all:"))
    for name in ("first_of_all", "first", "first_of_all"):
        ours, dvcs = ours_and_dvcs(name)
        assert ours == dvcs
    assert ours.count("  first_of_all:\n") == ours.count("  first:\n") == 1


def test_behind_the_stages_and_not_behind_what_else_is_there(pipeline):
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\ndatasets: []\n")
    for name in NAMES:
        ours, dvcs = ours_and_dvcs(name)
        assert ours == dvcs
    assert ours.endswith("\ndatasets: []\n")


def test_what_is_no_lock_is_refused(pipeline):
    with Repo() as repo, pytest.raises(Refusal, match=r"dvc\.lock has no stages"):
        recorded("<<<<<<< HEAD\n", load_file(repo, "dvc.yaml").stages["first"])


def test_the_shipped_one_stays_as_it_is(tmp_path, monkeypatch):
    """A part of the demo's stages, as they are in it."""
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    text = Path("dvc.lock").read_text(encoding="utf-8")
    with Repo() as repo:
        stages = load_file(repo, "dvc.yaml").stages
        names = [name for name in load_yaml("dvc.lock")["stages"] if "@demo" in name][::7]
        assert len(names) > 20
        for name in names:
            assert recorded(text, stages[name]) == text
