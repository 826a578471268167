"""python -m stages.report, as a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import matplotlib.font_manager
import pytest

from stages.report import Name

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    shutil.copy(ROOT / "params.yaml", folder)
    command = [sys.executable, "-m", "stages.report", *arguments]
    # matplotlib's own folder, with its list of fonts made: else a new machine's first picture says so on stderr
    environment = {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": matplotlib.get_cachedir()}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_room_needs_no_torch_and_starts_without_scipy_or_matplotlib():
    files = (ROOT / "amoc" / "reporting").glob("[!_]*.py")
    modules = ", ".join(f"amoc.reporting.{file.stem}" for file in files)
    heavy = {"torch", "scipy", "matplotlib", "sklearn"}
    code = f"import sys, {modules}, stages.report; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", ["table2", "v1_table2", "table7"])
def test_a_table_of_settings_starts_without_numpy(tmp_path, name):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    code = (
        "import sys; from stages import report\n"
        f"report.main({name!r}, 'demo'); print('numpy' in sys.modules)"
    )
    command, environment = [sys.executable, "-c", code], {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n")


DRAWN = (
    "table5", "table6", "figure2", "figure3", "figure4", "figure5", "figure6", "figure7", "v1_table3", "v1_figure2",
    "corruptions", "fast", "switches",
)  # fmt: skip
PICTURE = {name: (f"{name}.svg", f"{name}.png") for name in DRAWN}


@pytest.mark.parametrize("name", get_args(Name))
def test_a_report_is_written_and_printed(tmp_path, name):
    done = run(tmp_path, name, "paper")
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "reports" / name / "paper"
    beside = ["index.html"] if name == "index" else PICTURE.get(name, ())
    written = [f"{name}.md", f"{name}.csv", *beside, "metrics.json"]
    assert {file.name for file in folder.iterdir()} == set(written)
    page = (folder / f"{name}.md").read_text()
    assert done.stdout.startswith(page.partition("\n\n## ")[0] if name == "index" else page)
    assert done.stdout.endswith(f"\n{folder.relative_to(tmp_path)}: {', '.join(written)}\n")


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
        (["claims", "demo"], "evaluate/amoc.json is missing"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(tmp_path, arguments, sentence):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "reports").exists()
