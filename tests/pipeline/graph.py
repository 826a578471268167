"""The pipeline of a profile as DVC resolves it, with what tests ask of it."""

from __future__ import annotations

import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from dvc import dvcfile
from dvc.repo import Repo
from dvc.stage import PipelineStage

from stages import settings
from tests import shipped

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = "requirements.txt"  # code too, of others


class Graph:
    """The pipeline of one profile, as DVC resolves it."""

    def __init__(self, folder: Path, profile: str) -> None:
        shutil.copy(ROOT / "dvc.yaml", folder)
        text = (ROOT / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(re.sub(r"(?m)^profile: \w+", f"profile: {profile}", text), encoding="utf-8")
        self.profile, self.folder = profile, folder
        with chdir(folder), Repo.init(no_scm=True) as repo, pytest.MonkeyPatch.context() as patch:
            file = dvcfile.load_file(repo, "dvc.yaml")
            patch.setattr(dvcfile, "load_file", lambda repo, path: file)  # else it is read anew for each report
            repo.index.check_graph()
            self.stages: dict[str, PipelineStage] = {stage.name: stage for stage in repo.index.stages}
            self.reports = {name: [stage.name for stage in repo.stage.collect(name)] for name in self._reports()}

    def outs(self, stage: PipelineStage) -> set[str]:
        return {self._path(out.fs_path) for out in stage.outs}

    def files(self, stage: PipelineStage) -> set[str]:
        """What a stage depends on, besides parameters."""
        return {self._path(dep.fs_path) for dep in stage.deps if dep not in stage.params}

    def needs(self, *reports: str) -> set[str]:
        """The stages that `dvc repro` runs for these reports, in a project where nothing has run."""
        made = [(out, name) for name, stage in self.stages.items() for out in self.outs(stage)]
        found, waiting = set(), [f"{report}@{self.profile}" for report in reports]
        while waiting:
            found.add(name := waiting.pop())
            files = self.files(self.stages[name])
            waiting += {by for out, by in made if by not in found and any(overlap(out, file) for file in files)}
        return found

    def settings(self) -> set[str]:
        """The files of resolved settings of the profile."""
        return {str(path) for path, _ in settings.resolved(shipped.params(), self.profile)}

    def _path(self, path: str) -> str:
        return str(Path(path).relative_to(self.folder))

    def _reports(self) -> set[str]:
        return {name.partition("@")[0] for name in self.stages if name.startswith("reports/")}


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is a folder that the other lies in: a stage may make or need a folder."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def tracked(stage: PipelineStage) -> set[str]:
    return {key for dependency in stage.params for key in dependency.params}


def stage_of(graph: Graph, report: str) -> PipelineStage:
    return graph.stages[f"reports/{report}@{graph.profile}"]


def is_code(path: str) -> bool:
    return path.startswith(("amoc/", "stages/")) or path == LIBRARIES
