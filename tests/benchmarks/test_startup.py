"""Seconds of a stage's process: that the whole of it is timed, in a copy that has what it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amoc.refusal import Refusal
from amoc.reporting.titles import TITLES
from benchmarks import startup
from benchmarks.startup import TRAINS, copy, execute, table
from benchmarks.timing import Spread
from tests.benchmarks.conftest import ROOT


@pytest.fixture
def project(tmp_path) -> Path:
    """With a stage that waits and one that fails, settings, a result and a report."""
    files = {
        "params.yaml": "profile: demo\n",
        "results/fingerprints/amoc.json": "{}",
        "results/demo/cifar10/evaluate/amoc.json": "{}",
        "results/small/cifar10/evaluate/amoc.json": "{}",
        "reports/table2/demo/table2.md": "# Table 2\n",
        "models/demo/cifar10/amoc.safetensors": "",
        "stages/data.py": "import pathlib, sys; pathlib.Path('made').write_text(' '.join(sys.argv[1:]))\n",
        "stages/wait.py": "import time; time.sleep(0.3)\n",
        "stages/fail.py": "import sys; print('looked', file=sys.stderr); sys.exit('fail: nothing there')\n",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def test_a_copy_has_settings_results_and_reports_and_is_gone_after(project):
    with copy(project) as folder:
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "params.yaml", "results/fingerprints/amoc.json", "results/demo/cifar10/evaluate/amoc.json",
        "reports/table2/demo/table2.md",
    }  # fmt: skip
    assert not folder.exists()


def test_seconds_are_those_of_the_whole_process_in_the_folder(project, tmp_path):
    assert 0.3 < execute("wait", project, tmp_path) < 60
    execute("data demo cifar10", project, tmp_path)
    assert (tmp_path / "made").read_text() == "demo cifar10"


def test_a_stage_that_fails_is_refused_with_its_last_line(project, tmp_path):
    with pytest.raises(Refusal, match=r"^python -m stages\.fail failed: fail: nothing there$"):
        execute("fail", project, tmp_path)


def test_stages_take_turns_after_the_images_are_made(project, monkeypatch):
    asked = []

    def execute(stage, *_):
        asked.append(stage)
        return float(len(asked))

    monkeypatch.setattr(startup, "execute", execute)
    seconds = startup.startup(("a", "b"), project, blocks=2)
    assert asked == ["data demo cifar10", "a", "b", "a", "b"]
    assert seconds == {"a": Spread(2.5, 3.0, 3.5), "b": Spread(3.5, 4.0, 4.5)}


def test_table():
    lines = table({"report table2 demo": Spread(1, 2, 3)}).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == ["seconds (quartiles)", "2 (1 .. 3)"]


def test_command_ends_with_a_line_of_json_of_all_reports_of_the_demo(monkeypatch, capsys):
    asked = []

    def execute(stage, *_):
        asked.append(stage)
        return 3.0 if stage == TRAINS else 1.0

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(startup, "execute", execute)
    startup.main(blocks=1)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    there = [name for name in (*TITLES, "index") if (ROOT / "reports" / name / "demo").is_dir()]
    assert told["report_seconds"] == {f"report {name} demo": 1.0 for name in there} and "index" in there
    assert (told["train_seconds"], told["blocks"]) == (3.0, 1)
    assert asked == ["data demo cifar10", TRAINS, *told["report_seconds"]]


def test_a_report_can_be_made_in_a_copy():
    seconds = startup.startup(("report claims demo",), ROOT, blocks=1)
    assert 0 < seconds["report claims demo"].median < 60


@pytest.mark.slow
def test_a_step_can_be_trained_in_a_copy():
    assert 0 < startup.startup((TRAINS,), ROOT, blocks=1)[TRAINS].median < 600
