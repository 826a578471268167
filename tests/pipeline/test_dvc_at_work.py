"""What DVC runs again after an edit, in a copy of the project in which cheap stages ran."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo
from ruamel.yaml import YAML

from amoc.params import Params
from stages import settings
from stages.pipeline import pending
from tests.pipeline.graph import ROOT
from tests.stages import tiny

# pygtrie, which DVC uses, announces a change of its own
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

PAPER = {  # as dvc.lock would record it
    "cmd": "python -m stages.report table7 paper",
    "outs": [{"path": "reports/table7/paper/table7.md", "hash": "md5", "md5": "0" * 32, "size": 1}],
}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project in which cheap stages of the profile `demo` ran, and one of `paper` on another day."""
    folder = tmp_path_factory.mktemp("reproduced")
    for name in ("amoc", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    with (folder / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML().dump({"schema": "2.0", "stages": {"reports/table7@paper": PAPER}}, file)
    with chdir(folder), Repo.init(no_scm=True) as repo, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # stages call `python`
        ran = repo.reproduce(["reports/table2", "reports/table7"])
        assert {stage.name for stage in ran} == {"settings", "reports/table2@demo", "reports/table7@demo"}
    yield folder


def test_what_other_profiles_recorded_stays(reproduced):
    stages = YAML(typ="safe").load((reproduced / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert stages.pop("reports/table7@paper") == PAPER
    assert stages.keys() == {"settings", "reports/table2@demo", "reports/table7@demo"}


@pytest.mark.parametrize(
    ("leaf", "value", "stale"),
    [
        (None, None, set()),
        (("attacks", "linf_pgd20", "steps"), 21, {"settings", "reports/table2"}),
        (("profiles", "demo", "scale", "short"), 41, {"settings", "reports/table2", "reports/table7"}),
        (("profiles", "small", "scale", "short"), 21, {"settings"}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_a_changed_setting_makes_stale_what_reads_it(reproduced, monkeypatch, leaf, value, stale):
    monkeypatch.chdir(reproduced)
    before = Path("params.yaml").read_text(encoding="utf-8")
    try:
        if leaf is not None:
            raw = tiny.changed(YAML(typ="safe").load(before), leaf, value)
            Path("params.yaml").write_text(json.dumps(raw), encoding="utf-8")
        found = pending(["reports/table2", "reports/table7"], "demo", settings.foreseen(Params.load(), "demo"))
        assert {stage.name.removesuffix("@demo") for stage in found} == stale
    finally:
        Path("params.yaml").write_text(before, encoding="utf-8")


def test_a_refused_file_takes_no_settings_away(reproduced, monkeypatch):
    """DVC removes a stage's outputs before it runs, were they not to persist: the project has them in git."""
    monkeypatch.chdir(reproduced)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    made = {path: path.read_bytes() for path in Path("results").rglob("*.json")}
    before = Path("params.yaml").read_text(encoding="utf-8")
    try:
        Path("params.yaml").write_text(before.replace("    temperature:", "    temprature:", 1), encoding="utf-8")
        with Repo() as repo, pytest.raises(DvcException, match="failed to reproduce 'settings'"):
            repo.reproduce(["reports/table2"])
        assert len(made) > 300 and {path: path.read_bytes() for path in Path("results").rglob("*.json")} == made
    finally:
        Path("params.yaml").write_text(before, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("amoc/reporting/words.py", {"reports/table2", "reports/table7"}),
        ("amoc/pretraining/variants.py", {"reports/table7"}),
        ("amoc/perturb.py", set()),
    ],
)
def test_changed_code_makes_stale_what_depends_on_it(reproduced, file, stale):
    before = (reproduced / file).read_bytes()
    (reproduced / file).write_bytes(before + b"# more\n")
    try:
        assert stages_to_run(reproduced) == stale
    finally:
        (reproduced / file).write_bytes(before)


def stages_to_run(folder: Path) -> set[str]:
    """Of the cheap stages, by their group."""
    with chdir(folder), Repo() as repo:
        return {name.partition("@")[0] for name in repo.status(["reports/table2", "reports/table7"])}
