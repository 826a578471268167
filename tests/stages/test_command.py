"""What the shell sees of a stage: exit status, one sentence or a traceback; and the shortest stage, `data`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amoc import datasets
from stages import data

ROOT = Path(__file__).resolve().parents[2]

REHEARSAL = '''
from __future__ import annotations

import gc
import os
import signal
import sys
import time

from amoc.engine.interruption import Interrupted, interruptible
from amoc.refusal import Refusal
from stages import command

looked = gc.isenabled()


def main(profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
         anyway: command.AnywayOption = False) -> None:
    """Rehearse an ending."""
    if run == "fine":
        print(profile, dataset, run, anyway)
    if run == "light":
        assert "torch" not in sys.modules
    if run == "garbage":
        print(looked, gc.isenabled(), gc.get_freeze_count() > 0)
    if run == "refusal":
        raise Refusal("params.yaml: lambda is 2, allowed is 0 to 1")
    if run == "stop":
        with interruptible() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            while not stop.requested:
                time.sleep(0.001)
            raise Interrupted(stop.signal)
    if run == "interrupt":
        raise KeyboardInterrupt
    if run == "memory":
        bytearray(1 << 62)
    if run == "tensors":
        import torch

        torch.empty(1 << 50)
    if run == "runtime":
        raise RuntimeError("shapes do not match")
    if run == "disk":
        with open("/dev/full", "w") as full:
            full.write("x")
    if run == "file":
        open("nowhere/nothing")
    if run == "bug":
        {}["bug"]


if __name__ == "__main__":
    command.run(main)
'''


def shell(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **variables}
    return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def rehearse(tmp_path):
    (tmp_path / "rehearsal.py").write_text(REHEARSAL)
    return lambda *arguments: shell(tmp_path, "rehearsal.py", *arguments)


@pytest.mark.parametrize(
    ("run", "status", "sentence"),
    [
        ("refusal", 2, "params.yaml: lambda is 2, allowed is 0 to 1"),
        ("stop", 128 + 15, "interrupted; the same command goes on from what is saved"),
        ("memory", 2, "out of memory: free some, or choose a smaller profile"),
        ("tensors", 2, "out of memory: free some, or choose a smaller profile"),
        ("disk", 2, "no space left on the disk for the output: free some and start again"),
    ],
)
def test_an_ending_that_is_no_bug_is_one_sentence(rehearse, run, status, sentence):
    result = rehearse("demo", "cifar10", run)
    said = result.stderr.replace("\nstopping as soon as the state is saved (Ctrl-C again: at once)\n", "")
    assert (result.returncode, said) == (status, f"rehearsal: {sentence}\n")


@pytest.mark.parametrize(
    ("run", "error"),
    [
        ("bug", "KeyError: 'bug'"),
        ("runtime", "RuntimeError: shapes do not match"),
        ("file", "No such file or directory: 'nowhere/nothing'"),
    ],
)
def test_a_bug_keeps_its_traceback(rehearse, run, error):
    result = rehearse("demo", "cifar10", run)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[-1].endswith(error)
    assert any('rehearsal.py", line' in line for line in lines)


def test_ctrl_c_ends_with_the_status_that_shells_expect(rehearse):
    result = rehearse("demo", "cifar10", "interrupt")
    assert result.returncode == 130
    assert "Traceback" not in result.stderr


def test_a_command_that_ends_well_ends_with_0(rehearse):
    result = rehearse("small", "cifar100", "fine", "--anyway")
    assert (result.returncode, result.stdout, result.stderr) == (0, "small cifar100 fine True\n", "")


def test_what_commands_share_needs_no_torch(rehearse):
    assert rehearse("demo", "cifar10", "light").returncode == 0


def test_garbage_is_looked_for_while_a_command_runs_but_not_while_it_is_imported(rehearse, tmp_path):
    assert rehearse("demo", "cifar10", "garbage").stdout == "True True True\n"  # a script of its own
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("import stages")  # as Python loads stages/__init__.py for `-m stages.pretrain`
    (package / "rehearsal.py").write_text(REHEARSAL)
    result = shell(tmp_path, "-m", "package.rehearsal", "demo", "cifar10", "garbage")
    assert (result.stdout, result.stderr) == ("False True True\n", "")


def test_wrong_arguments_are_refused_and_help_is_given(rehearse):
    result = rehearse("demmo", "cifar10", "fine")
    assert result.returncode == 2 and result.stdout == ""
    assert all(word in result.stderr for word in ("demmo", "demo", "small", "paper"))
    assert rehearse("demo").returncode == 2
    shown = rehearse("--help")
    assert shown.returncode == 0
    assert all(word in shown.stdout for word in ("Rehearse an ending.", "profile", "dataset", "run", "--anyway"))


# ---------------------------------------------------------------- stages.data


def test_data_writes_what_build_makes(tiny_project, capsys):
    data.main("demo", "cifar10")
    path = Path("data/demo/cifar10.safetensors")
    files = {file.relative_to(tiny_project) for file in tiny_project.rglob("*") if file.is_file()}
    assert files == {path, Path("params.yaml")}
    read = datasets.read(path)
    assert (read.name, read.source, len(read.train.labels), len(read.test.labels)) == ("cifar10", "digits", 1437, 360)
    assert capsys.readouterr().out == f"{path}: the first 1437 training and 360 test images of scikit-learn's digits\n"


def test_data_writes_where_it_is_told_to(tiny_project):
    data.main("demo", "cifar100", output=Path("elsewhere"))
    assert datasets.read(Path("elsewhere/data/demo/cifar100.safetensors")).name == "cifar100"
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("variables", "folder", "cache"),
    [
        ({}, None, ".data-cache"),
        ({"AMOC_DATA_DIR": "", "DVC_ROOT": ""}, None, ".data-cache"),
        ({"AMOC_DATA_DIR": "/big/disk", "DVC_ROOT": "/project"}, Path("/big/disk"), "/project/.data-cache"),
    ],
)
def test_data_looks_where_the_environment_says(tiny_project, monkeypatch, variables, folder, cache):
    monkeypatch.delenv("AMOC_DATA_DIR", raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    asked = []
    build = datasets.build

    def spy(name, settings, folder, cache):
        asked.append((name, settings.source, folder, cache))
        return build(name, settings.model_copy(update={"source": "digits", "train": 5, "test": 5}), folder, cache)

    monkeypatch.setattr(datasets, "build", spy)
    data.main("small", "cifar100")
    assert asked == [("cifar100", "cifar", folder, Path(cache))]


def test_data_refuses_in_one_sentence(tiny_project):
    result = shell(tiny_project, "-m", "stages.data", "small", "cifar10", AMOC_DATA_DIR="typo")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "data: AMOC_DATA_DIR is typo, which is not a folder\n"
    assert list(tiny_project.iterdir()) == [tiny_project / "params.yaml"]
