"""python -m stages.report: what it writes and says; in a process of its own, what it needs to start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import matplotlib.font_manager
import pytest

from stages import command, report
from stages.report import Name

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """A command at its end."""

    status: int
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture
def run(tiny_project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """run("table5", "paper"): what the shell would see of the command, which runs in this process."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["report", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ending:
            command.run(report.main)
        return Ended(ending.value.code, *capfd.readouterr())

    return run


def alone(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Python with these words, in a process of its own."""
    shutil.copy(ROOT / "params.yaml", folder)
    # matplotlib's own folder, with its list of fonts made: else a new machine's first picture says so on stderr
    environment = {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": matplotlib.get_cachedir()}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_command_is_the_module(tmp_path):
    """As dvc.yaml gives it."""
    done = alone(tmp_path, "-m", "stages.report", "table5", "paper")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nreports/table5/paper: table5.md, table5.csv, table5.svg, table5.png, metrics.json\n")
    done = alone(tmp_path, "-m", "stages.report", "table5", "demo")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


ONE_BY_ONE = """
import sys
from importlib import import_module
from amoc.params import Params

params = Params.load()
for name in sys.argv[1:]:
    for module in [module for module in sys.modules if module.startswith("amoc.reporting")]:
        del sys.modules[module]
    made = import_module(f"amoc.reporting.{name}").build(params, "paper")
    if made.draw is not None:
        made.draw()
    print(name)
assert "torch" not in sys.modules
"""


def test_each_report_imports_itself_what_it_needs(tmp_path):
    """Not only because another one has imported it before; and none needs torch."""
    done = alone(tmp_path, "-c", ONE_BY_ONE, *get_args(Name))
    assert (done.stdout.split(), done.stderr) == ([*get_args(Name)], "")


def test_the_room_needs_no_torch_and_starts_without_scipy_or_matplotlib():
    files = (ROOT / "amoc" / "reporting").glob("[!_]*.py")
    modules = ", ".join(f"amoc.reporting.{file.stem}" for file in files)
    heavy = {"torch", "scipy", "matplotlib", "sklearn"}
    code = f"import sys, {modules}, stages.report; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", ["table2", "v1_table2", "table7"])
def test_a_table_of_settings_starts_without_numpy(tmp_path, name):
    code = f"import sys; from stages import report\nreport.main({name!r}, 'demo'); print('numpy' in sys.modules)"
    shown = alone(tmp_path, "-c", code).stdout
    assert shown.endswith("\nFalse\n")


DRAWN = (
    "table5", "table5_seed2", "table6", "figure2", "figure3", "figure4", "figure5", "figure6", "figure7",
    "v1_table3", "v1_table5", "v1_figure2", "corruptions", "fast", "switches",
)  # fmt: skip
PICTURE = {name: (f"{name}.svg", f"{name}.png") for name in DRAWN}


@pytest.mark.parametrize("name", get_args(Name))
def test_a_report_is_written_and_printed(run, tiny_project, name):
    done = run(name, "paper")
    assert (done.status, done.stderr) == (0, "")
    folder = tiny_project / "reports" / name / "paper"
    beside = ["index.html"] if name == "index" else PICTURE.get(name, ())
    written = [f"{name}.md", f"{name}.csv", *beside, "metrics.json"]
    assert {file.name for file in folder.iterdir()} == set(written)
    page = (folder / f"{name}.md").read_text()
    assert done.stdout.startswith(page.partition("\n\n## ")[0] if name == "index" else page)
    assert done.stdout.endswith(f"\n{folder.relative_to(tiny_project)}: {', '.join(written)}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table5", "demo"], "attack/standard.json is missing"),
        (["table3", "demo"], "evaluate/moco.json is missing"),
        (["table4", "demo"], "pretrain/acl_b256.clock.json is missing: run `dvc repro`, or only `python -m stages.p"),
        (["figure2", "demo"], "embed/acl.json is missing: run `dvc repro`, or only `python -m stages.embed"),
        (["figure3", "demo"], "evaluate/moco.json is missing"),
        (["peers", "demo"], "evaluate/moco.peers.json is missing"),
        (["transfer", "demo"], "cifar10/evaluate/amoc.json is missing"),
        (["floors", "demo"], "evaluate/amoc.json is missing"),
        (["claims", "demo"], "table3/demo/metrics.json is missing: `python -m stages.report table3 demo` makes it"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(run, tiny_project, arguments, sentence):
    done = run(*arguments)
    assert done.status == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tiny_project / "reports").exists()
