"""stages.parallel: what DVC would run, several at a time, in an order that works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from dvc.repo import Repo

from amoc.refusal import Refusal
from stages import parallel
from stages.pipeline import Pending, pending

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
# each of the two waits until the other has begun: one after the other they would fail
MEETING = (
    "touch {own}.begun; for i in $(seq 600); do [ -e {other}.begun ] && exec touch {own}.txt; sleep 0.1; done; exit 1"
)
PIPELINE = f"""
stages:
  first:
    cmd: cp constant.txt first.txt
    deps: [constant.txt]
    outs: [first.txt]
  left:
    cmd: {MEETING.format(own="left", other="right")}
    deps: [first.txt]
    outs: [left.txt]
  right:
    cmd: {MEETING.format(own="right", other="left")}
    deps: [first.txt]
    outs: [right.txt]
  last:
    cmd: cat left.txt right.txt > last.txt
    deps: [left.txt, right.txt]
    outs: [last.txt]
  apart:
    cmd: echo $AMOC_STAGES_AT_ONCE > apart.txt
    outs: [apart.txt]
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("constant.txt").write_text("always\n")
    Repo.init(no_scm=True).close()
    return tmp_path


def test_each_waits_for_what_it_needs_and_for_no_more(pipeline):
    waits = {stage.name: stage.after for stage in pending((), "demo")}
    assert waits == {
        "first": set(), "left": {"first"}, "right": {"first"}, "last": {"first", "left", "right"}, "apart": set(),
    }  # fmt: skip


def test_two_at_a_time(pipeline):
    parallel.run(pending(("last",), "demo"), jobs=2)
    assert Path("last.txt").exists() and not Path("apart.txt").exists()
    assert [stage.name for stage in pending((), "demo")] == ["apart"]


@pytest.mark.parametrize(("targets", "at_once"), [(("apart",), 1), (("first", "apart"), 2)])
def test_a_stage_is_told_how_many_share_the_machine(pipeline, targets, at_once):
    parallel.run(pending(targets, "demo"), jobs=2)
    assert Path("apart.txt").read_text() == f"{at_once}\n"


@pytest.mark.parametrize("spoil", [lambda: Path("first.txt").unlink(), lambda: Path("first.txt").write_text("foreign")])
def test_what_dvc_has_in_its_cache_is_put_back_before_it_is_read(pipeline, spoil):
    """As after `git checkout` without `dvc checkout`: the next stage must not run on another commit's file."""
    parallel.run(pending(("first",), "demo"), jobs=2)
    spoil()
    assert [stage.name for stage in pending(("last",), "demo")] == ["left", "right", "last"]
    assert [stage.name for stage in pending(("last",), "demo", restore=True)] == ["first", "left", "right", "last"]
    parallel.run(pending(("last",), "demo", restore=True), jobs=2)
    assert Path("first.txt").read_text() == "always\n"
    assert pending(("last",), "demo", restore=True) == []


def order(stages: list[Pending], jobs: int, monkeypatch: pytest.MonkeyPatch, failing: str = "") -> list[str]:
    """In which they are begun, when each is at its end at once."""
    begun: list[str] = []

    def reproduce(name: str, environment: dict[str, str]) -> int:
        begun.append(name)
        return int(name == failing)

    recorder = MagicMock()
    recorder.__enter__.return_value.reproduce = reproduce
    monkeypatch.setattr(parallel, "Recorder", lambda: recorder)
    parallel.run(stages, jobs)
    return begun


def stage(name: str, *after: str) -> Pending:
    return Pending(name, f"make {name}", ("never ran",), (f"{name}.txt",), frozenset(after))


DIAMOND = [stage("first"), stage("left", "first"), stage("right", "first"), stage("last", "left", "right")]


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_none_begins_before_what_it_waits_for(monkeypatch, jobs):
    begun = order(DIAMOND, jobs, monkeypatch)
    assert begun[0] == "first" and begun[-1] == "last" and sorted(begun) == ["first", "last", "left", "right"]


def test_one_at_a_time_is_in_the_order_of_the_pipeline(monkeypatch):
    assert order(DIAMOND, 1, monkeypatch) == ["first", "left", "right", "last"]


def test_after_a_failure_nothing_more_begins(monkeypatch):
    with pytest.raises(Refusal, match=r"^left failed: see above$"):
        order(DIAMOND, 1, monkeypatch, failing="left")


def test_an_error_of_our_own_waits_for_what_is_running(monkeypatch):
    ended = []

    def reproduce(name: str, environment: dict[str, str]) -> int:
        if name == "left":
            raise OSError("no such thing")
        time.sleep(0.2 * (name == "right"))
        ended.append(name)
        return 0

    recorder = MagicMock()
    recorder.__enter__.return_value.reproduce = reproduce
    monkeypatch.setattr(parallel, "Recorder", lambda: recorder)
    with pytest.raises(OSError, match="no such thing"):
        parallel.run(DIAMOND, 2)
    assert ended == ["first", "right"]


def test_what_it_tells_the_shell(pipeline):
    """A stage that fails is named, what it printed is shown, and what needs it does not run."""
    text = PIPELINE.replace("cp constant.txt first.txt", "echo there is nothing to copy; exit 3")
    Path("dvc.yaml").write_text(text)
    (pipeline / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "stages.parallel", "last", "apart", "--jobs", "1"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "parallel: first failed: see above\n"
    assert "there is nothing to copy" in done.stdout
    assert not Path("last.txt").exists()


STUBBORN = """
stages:
  quick:
    cmd: touch quick.txt
    outs: [quick.txt]
  long:
    cmd: "trap '{answer}' TERM; echo $$ > long.begun; while :; do sleep 0.1; done"
    outs: [long.txt]
    deps: [quick.txt]
  never:
    cmd: touch never.txt
    outs: [never.txt]
    deps: [long.txt]
"""


@contextmanager
def interrupted(folder: Path, answer: str, stdout: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """stages.parallel on a stage that gives this answer to SIGTERM, while that runs."""
    Path("dvc.yaml").write_text(STUBBORN.format(answer=answer))
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "stages.parallel"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # which nohup has the tests ignore
    )  # fmt: skip
    with process:
        while not Path("long.begun").exists() and process.poll() is None:
            time.sleep(0.05)
        yield process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_interrupted_it_lets_stages_save_and_records_those_at_their_end(pipeline, number, status):
    with interrupted(pipeline, "touch state.saved; exit 143") as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert said.endswith("parallel: interrupted; the same command goes on from what is saved\n")
    assert Path("state.saved").exists() and not Path("never.txt").exists()
    assert [stage.name for stage in pending((), "demo")] == ["long", "never"]


def test_a_stage_saves_although_nobody_reads_what_it_says(pipeline):
    """As under `stages.parallel | tee log`, where Ctrl-C ends tee at once."""
    with interrupted(pipeline, "echo saving; touch state.saved; exit 143", stdout=subprocess.PIPE) as process:
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode != 0 and "from what is saved" in said
    assert Path("state.saved").exists()


def test_ctrl_c_again_ends_what_does_not_end_by_itself(pipeline):
    with interrupted(pipeline, "touch asked.once") as process:
        process.send_signal(signal.SIGINT)
        while not Path("asked.once").exists() and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("long.begun").read_text()), 0)
    assert [stage.name for stage in pending((), "demo")] == ["long", "never"]


def test_what_cannot_be_brought_up_to_date_is_no_endless_loop(pipeline, monkeypatch):
    monkeypatch.setattr(parallel, "run", lambda stages, jobs: None)
    (pipeline / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    with pytest.raises(Refusal, match="DVC has run apart and still finds them out of date"):
        parallel.main(["apart"], jobs=2)
